/**
 * copy_file_range(2): shares whole chunks, copies what is left.
 *
 * A chunk can be shared if source and target lie alike within it, it is copied wholly (or to the end of a file that the
 * target doesn't reach beyond), and its bytes are in the store: nothing of it dirty or on its way. So a long copy of a
 * file that has just been written first waits for its group to be committed, once a call; a short one is copied in
 * memory.
 *
 * A clone is logged as "chunk n of the target is chunk row r": see TxgOps.cloneChunk. Until the group is committed the
 * target's buf says where the bytes are (Buf.source); writes to either file go on as ever, since the writer never
 * changes a shared row.
 */
import type { Fh } from '../base/ids.js';
import { fsError } from '../base/errno.js';
import { PAGE_BYTES, type ChunkRow } from '../store/types.js';
import { isDropped, storedLimit } from '../vnode/stored-range.js';
import { FS_IMMUTABLE_FL, FS_APPEND_FL, type Vnode } from '../vnode/vnode.js';
import type { Caller } from './api.js';
import { killPrivileges } from './attributes.js';
import { charge, checkGrowth, dropChunks, framesFor, readRange, writeRange } from './data.js';
import { regular } from './open.js';
import { FILE_SIZE_MAX, type FsState, type Handle } from './state.js';
import { bufOf, extentOf } from './stored-data.js';

/** Bytes copied in memory a call, at most; callers loop. */
const COPY_MAX = 1 << 20;
/** Chunks shared a call, at most. */
const CLONE_MAX = 4096;
/** From this length on a copy waits until its source is in the store. */
const WAIT_BYTES = 1 << 20;

interface Copy {
  src: Vnode;
  srcOffset: number;
  dst: Vnode;
  dstOffset: number;
  /** To the source's end at most. */
  length: number;
}

/** Copies within the store. Returns the bytes copied, perhaps fewer than asked. */
export const copyFileRange = (
  fs: FsState,
  caller: Caller,
  srcFh: Fh,
  srcOffset: number,
  dstFh: Fh,
  dstOffset: number,
  length: number,
): number => {
  fs.requireWritable('copy_file_range');
  const srcHandle = fs.handle(srcFh);
  const src = regular(srcHandle);
  const dst = regular(fs.handle(dstFh));
  if (dst.flags & FS_IMMUTABLE_FL || (dst.flags & FS_APPEND_FL && dstOffset < dst.size))
    throw fsError('EPERM', 'copy_file_range');
  const copy = { src, srcOffset, dst, dstOffset, length: Math.min(length, src.size - srcOffset) };
  if (copy.length <= 0) return 0;
  if (dstOffset + copy.length > FILE_SIZE_MAX) throw fsError('EFBIG', 'copy_file_range');
  fs.bufs.newRequest();
  const shareable = shareableChunks(fs, copy);
  if (shareable * fs.chunkBytes >= WAIT_BYTES) awaitSource(fs, srcHandle, copy, shareable);
  const run = settledRun(fs, copy, shareable);
  const copied = run > 0 ? shareRun(fs, copy, run) : copyBytes(fs, copy, shareable);
  fs.modified(dst);
  if (caller.uid !== 0) killPrivileges(fs, dst);
  fs.accessed(src);
  return copied;
};

/** How many chunks from the start of the copy on are copied wholly, at the same places of source and target. */
const shareableChunks = (fs: FsState, { src, srcOffset, dst, dstOffset, length }: Copy): number => {
  if (srcOffset % fs.chunkBytes !== 0 || dstOffset % fs.chunkBytes !== 0) return 0;
  const whole = Math.floor(length / fs.chunkBytes);
  const tail = length - whole * fs.chunkBytes;
  // Past the source's end its last chunk is zeros, and so it may be past the target's.
  const tailToo = tail > 0 && srcOffset + length === src.size && dstOffset + length >= dst.size;
  return Math.min(CLONE_MAX, whole + (tailToo ? 1 : 0));
};

/** Nothing that concerns stored chunk `index` is on its way. Requires that no truncation is. */
const isSettled = (vp: Vnode, index: number): boolean =>
  !(vp.bufs?.get(index)?.pinned ?? false) && !isDropped(vp, index);

/** The first `count` chunks of the source that are settled, without a gap. */
const settledRun = (fs: FsState, { src, srcOffset }: Copy, count: number): number => {
  if (count === 0 || !src.inStore || storedLimit(src) !== Infinity) return 0;
  const first = srcOffset / fs.chunkBytes;
  // Inline data has no chunk row to share.
  const inline = first === 0 && extentOf(fs, src, 0) > 0 && fs.reader.chunkRows(src.ino, 0, 1).length === 0;
  let run = 0;
  while (!inline && run < count && isSettled(src, first + run)) run++;
  return run;
};

const awaitSource = (fs: FsState, handle: Handle, copy: Copy, count: number): void => {
  const { txgs } = fs;
  if (handle.copyTxg === 0 && settledRun(fs, copy, count) < count) {
    handle.copyTxg = copy.src.onDirtyList ? txgs.openId : txgs.openId - 1;
  }
  if (handle.copyTxg !== 0) txgs.awaitCommit(handle.copyTxg);
  handle.copyTxg = 0;
};

/** Shares `count` settled chunks. Returns the bytes that are copied by it. */
const shareRun = (fs: FsState, copy: Copy, count: number): number => {
  const { src, srcOffset, dst, dstOffset } = copy;
  const first = srcOffset / fs.chunkBytes;
  const to = dstOffset / fs.chunkBytes;
  fs.txgs.admit(0);
  const run = Math.min(count, fs.txgs.objectsRoom);
  const rows = new Map<number, ChunkRow>();
  for (const row of fs.reader.chunkRows(src.ino, first, first + run)) rows.set(row.index - first, row);
  requireRoom(fs, dst, to, run, rows);
  for (let i = 0; i < run; i++) {
    const row = rows.get(i);
    if (row !== undefined) shareChunk(fs, dst, to + i, row);
    else if (extentOf(fs, dst, to + i) > 0) dropChunks(fs, dst, to + i, to + i + 1);
  }
  const copied = Math.min(copy.length, run * fs.chunkBytes);
  dst.size = Math.max(dst.size, dstOffset + copied);
  fs.txgs.dirtyAttr(dst);
  return copied;
};

/** Shared pages are charged to each file: ENOSPC when they would pass the size limit. */
const requireRoom = (
  fs: FsState,
  dst: Vnode,
  to: number,
  run: number,
  rows: ReadonlyMap<number, ChunkRow>,
): void => {
  if (fs.pagesMax === Infinity) return;
  let growth = 0;
  for (let i = 0; i < run; i++) growth += (rows.get(i)?.pages ?? 0) - extentOf(fs, dst, to + i);
  if (growth > 0 && fs.txgs.counters.allocPages + growth > fs.pagesMax) throw fsError('ENOSPC', 'size limit');
};

const shareChunk = (fs: FsState, dst: Vnode, index: number, row: ChunkRow): void => {
  const old = bufOf(fs, dst, index);
  const growth = row.pages - old.extent;
  fs.bufs.destroy(old);
  const buf = fs.bufs.create(dst, index, row.pages);
  buf.source = row.chunk;
  buf.sourceTxg = fs.txgs.openId;
  charge(fs, dst, growth);
  fs.txgs.log.cloneChunk(dst.ino, index, row.chunk, row.pages);
  fs.txgs.rowLogged(buf);
};

/** How much to copy in memory now: up to the next chunk that can be shared. */
const copyLength = (fs: FsState, copy: Copy, shareable: number): number => {
  const most = Math.min(copy.length, COPY_MAX, Math.floor((fs.bufs.pool.size * PAGE_BYTES) / 8));
  const { src, srcOffset, dstOffset } = copy;
  const within = srcOffset % fs.chunkBytes;
  if (within !== dstOffset % fs.chunkBytes) return most;
  if (within !== 0) return Math.min(most, fs.chunkBytes - within);
  let chunks = 1;
  while (chunks < shareable && !isSettled(src, srcOffset / fs.chunkBytes + chunks)) chunks++;
  return chunks < shareable ? Math.min(most, chunks * fs.chunkBytes) : most;
};

const copyBytes = (fs: FsState, copy: Copy, shareable: number): number => {
  const { src, srcOffset, dst, dstOffset } = copy;
  const most = copyLength(fs, copy, shareable);
  checkGrowth(fs, dst, dstOffset, most);
  fs.txgs.admit(framesFor(dstOffset, most));
  // Taken out first: source and target may be the same file, and filling the target may evict the source's pages.
  const data = new Uint8Array(most);
  let filled = 0;
  const take = (piece: Uint8Array): void => {
    data.set(piece, filled);
    filled += piece.length;
  };
  readRange(fs, src, srcOffset, most, {
    pool: (offset, count) => take(fs.bufs.pool.bytes.subarray(offset, offset + count)),
    bytes: take,
    zeros: (count) => {
      filled += count;
    },
  });
  fs.txgs.admit(framesFor(dstOffset, most));
  writeRange(fs, dst, dstOffset, data);
  return most;
};
