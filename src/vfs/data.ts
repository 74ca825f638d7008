/**
 * File data: read, write, truncate, zero. Works in chunks (Buf) of pages; see vnode/buf.ts for the states of a page.
 *
 * INVARIANT: bytes of a valid page at and past the file's size are zeros, so a file that grows again shows zeros.
 * INVARIANT: vp.allocPages is the sum of the extents of its chunks.
 */
import { assert } from '../base/assert.js';
import { fsError } from '../base/errno.js';
import { PAGE_BYTES } from '../store/types.js';
import { lengthOfMask, lowestBit, maskBelow, maskOf, popcount, type Buf } from '../vnode/buf.js';
import type { Vnode } from '../vnode/vnode.js';
import type { DataSink } from './api.js';
import { FILE_SIZE_MAX, type FsState } from './state.js';
import { bufOf, chargedPages, fillAhead, fillPage, readStored } from './stored-data.js';

/** Delivers bytes [offset, offset + length) of the file, clipped at its size. Returns how many. */
export const readRange = (fs: FsState, vp: Vnode, offset: number, length: number, sink: DataSink): number => {
  const end = Math.min(offset + length, vp.size);
  let at = offset;
  while (at < end) {
    const index = Math.floor(at / fs.chunkBytes);
    const start = index * fs.chunkBytes;
    const upTo = Math.min(end, start + fs.chunkBytes);
    readChunkPart(fs, vp, index, at - start, upTo - start, sink);
    at = upTo;
  }
  return Math.max(0, end - offset);
};

const readChunkPart = (
  fs: FsState,
  vp: Vnode,
  index: number,
  from: number,
  to: number,
  sink: DataSink,
): void => {
  const buf = bufOf(fs, vp, index);
  const wanted = maskOf(Math.floor(from / PAGE_BYTES), Math.floor((to - 1) / PAGE_BYTES));
  let data: Uint8Array | undefined;
  if ((wanted & ~buf.valid & maskBelow(buf.extent)) === 0) {
    fs.bufs.hits++;
  } else if (fillAhead(fs, buf)) {
    fs.bufs.misses++;
  } else {
    fs.bufs.misses++;
    data = readStored(fs, buf);
    // SQLite has read the whole chunk in any case.
    const absent = ~buf.valid & maskBelow(buf.extent) & (isLocal(buf, wanted) ? -1 : wanted);
    if (fs.bufs.reserve(popcount(absent))) {
      for (let rest = absent; rest !== 0; rest &= rest - 1) fillPage(fs, buf, lowestBit(rest), data);
    }
  }
  deliver(fs, buf, from, to, data, sink);
};

/** Of a chunk's pages, this part must have been asked for before all of it is kept. */
const LOCAL_SHARE = 4;

/**
 * Whether the rest of the chunk is likely to be asked for too: `wanted` goes on where an earlier request ended, or enough of
 * it has been asked for. A page here and there says nothing about its neighbours, which would take sixteen times the room
 * (and memory that was never touched before costs more than the reading: see vnode/buf-cache.ts).
 */
const isLocal = (buf: Buf, wanted: number): boolean => {
  const before = (wanted & -wanted) >>> 1;
  return (buf.valid & before) !== 0 || popcount(buf.valid | wanted) * LOCAL_SHARE >= buf.extent;
};

/** Valid pages from the pool, absent ones from `data` (zeros past its end; without data they are holes). */
const deliver = (
  fs: FsState,
  buf: Buf,
  from: number,
  to: number,
  data: Uint8Array | undefined,
  sink: DataSink,
): void => {
  let at = from;
  while (at < to) {
    let page = Math.floor(at / PAGE_BYTES);
    const valid = (buf.valid >>> page) & 1;
    do page++;
    while (page * PAGE_BYTES < to && ((buf.valid >>> page) & 1) === valid);
    const upTo = Math.min(to, page * PAGE_BYTES);
    if (valid) {
      fs.bufs.pieces(buf, at, upTo - at, (offset, length) => sink.pool(offset, length));
    } else {
      const stored = data === undefined ? at : Math.max(at, Math.min(upTo, data.length));
      if (data !== undefined && stored > at) sink.bytes(data.subarray(at, stored));
      if (upTo > stored) sink.zeros(upTo - stored);
    }
    at = upTo;
  }
};

/** Frames that a write of `length` bytes at `offset` needs at most. */
export const framesFor = (offset: number, length: number): number =>
  length === 0 ? 0 : Math.floor((offset + length - 1) / PAGE_BYTES) - Math.floor(offset / PAGE_BYTES) + 1;

/**
 * Checks that [offset, offset + length) may be written: EFBIG past the largest file, ENOSPC past the quota. Makes no
 * change. Returns the pages by which allocation will grow.
 */
export const checkGrowth = (fs: FsState, vp: Vnode, offset: number, length: number): number => {
  if (offset + length > FILE_SIZE_MAX) throw fsError('EFBIG');
  if (length === 0 || fs.pagesMax === Infinity) return 0;
  let growth = 0;
  const last = offset + length - 1;
  for (let index = Math.floor(offset / fs.chunkBytes); index * fs.chunkBytes <= last; index++) {
    const lastInChunk = Math.min(last - index * fs.chunkBytes, fs.chunkBytes - 1);
    const pages = Math.floor(lastInChunk / PAGE_BYTES) + 1;
    growth += Math.max(0, pages - bufOf(fs, vp, index).extent);
  }
  if (growth > 0 && fs.txgs.counters.allocPages + growth > fs.pagesMax) throw fsError('ENOSPC', 'size limit');
  return growth;
};

/**
 * Writes `data` at `offset`. Requires {@link checkGrowth} and admit(framesFor(…)); can't fail. Times are the
 * caller's.
 */
export const writeRange = (fs: FsState, vp: Vnode, offset: number, data: Uint8Array): void => {
  let done = 0;
  while (done < data.length) {
    const at = offset + done;
    const index = Math.floor(at / fs.chunkBytes);
    const from = at - index * fs.chunkBytes;
    const length = Math.min(data.length - done, fs.chunkBytes - from);
    const buf = preparePages(fs, vp, index, from, from + length);
    fs.bufs.copyIn(buf, from, data, done, length);
    if (length === fs.chunkBytes) fs.bufs.pass(buf);
    done += length;
  }
  if (offset + data.length > vp.size && data.length > 0) {
    vp.size = offset + data.length;
    fs.txgs.dirtyAttr(vp);
  }
};

/**
 * Makes the pages of bytes [from, to) of the chunk valid, writable and dirty; whole pages' contents are
 * undefined after it.
 */
const preparePages = (fs: FsState, vp: Vnode, index: number, from: number, to: number): Buf => {
  const buf = bufOf(fs, vp, index);
  const first = Math.floor(from / PAGE_BYTES);
  const last = Math.floor((to - 1) / PAGE_BYTES);
  let data: Uint8Array | undefined;
  for (let page = first; page <= last; page++) {
    const bit = 1 << page;
    const whole = from <= page * PAGE_BYTES && to >= (page + 1) * PAGE_BYTES;
    if ((buf.valid & bit) === 0) {
      if (whole) {
        fs.bufs.addPage(buf, page);
      } else {
        if (page < buf.extent) data ??= readStored(fs, buf);
        fillPage(fs, buf, page, page < buf.extent ? data : undefined);
      }
    } else if ((buf.sealed & bit) !== 0) {
      copyOnWrite(fs, buf, page, !whole);
    }
  }
  const mask = maskOf(first, last);
  const growth = last + 1 - buf.extent;
  if (growth > 0) {
    buf.extent += growth;
    charge(fs, vp, growth);
  }
  fs.txgs.dirtyPages(buf, mask, popcount(mask & ~buf.dirty));
  return buf;
};

/** A sealed page belongs to its group: the buf goes on with a new (reserved) frame. */
const copyOnWrite = (fs: FsState, buf: Buf, page: number, keepContents: boolean): void => {
  const pool = fs.bufs.pool;
  const frame = pool.alloc();
  const old = buf.frames[page];
  if (keepContents) {
    pool.bytes.copyWithin(frame * PAGE_BYTES, old * PAGE_BYTES, (old + 1) * PAGE_BYTES);
  }
  buf.frames[page] = frame;
  buf.sealed &= ~(1 << page);
};

/** Changes what is charged to `vp` by `pages`. */
export const charge = (fs: FsState, vp: Vnode, pages: number): void => {
  vp.allocPages += pages;
  fs.txgs.counters.allocPages += pages;
  fs.txgs.dirtyAttr(vp);
};

const release = (fs: FsState, vp: Vnode, pages: number): void => {
  assert(pages <= vp.allocPages, 'more pages released than allocated');
  vp.allocPages -= pages;
  fs.txgs.counters.allocPages -= pages;
};

/** Sets the size. Requires admit(1). Times are the caller's. */
export const truncateTo = (fs: FsState, vp: Vnode, size: number): void => {
  // Pages may be charged past the end (preallocation): any truncate to the size or below frees them.
  if (size < vp.size || (size === vp.size && vp.allocPages > Math.ceil(size / PAGE_BYTES))) {
    fs.txgs.cutting();
    const index = Math.floor(size / fs.chunkBytes);
    const inChunk = size - index * fs.chunkBytes;
    if (size === 0) {
      if (vp.bufs) for (const buf of [...vp.bufs.values()]) fs.bufs.destroy(buf);
      release(fs, vp, vp.allocPages);
    } else {
      release(fs, vp, chargedPages(fs, vp, inChunk === 0 ? index : index + 1, Infinity, true));
      if (inChunk !== 0) cutChunk(fs, vp, index, inChunk);
    }
    if (vp.inStore || vp.logged) {
      vp.cutOpen = Math.min(vp.cutOpen, size);
      fs.txgs.log.truncate(vp.ino, size);
      vp.logged = true;
    }
  }
  vp.size = size;
  fs.txgs.dirtyAttr(vp);
};

/** Cuts chunk `index` to `inChunk` bytes (0 < inChunk < chunkBytes). */
const cutChunk = (fs: FsState, vp: Vnode, index: number, inChunk: number): void => {
  const buf = bufOf(fs, vp, index);
  const isOnItsWay = buf.sealed !== 0;
  const keep = Math.ceil(inChunk / PAGE_BYTES);
  fs.bufs.dropPages(buf, ~maskBelow(keep));
  buf.sourceLimit = Math.min(buf.sourceLimit, inChunk);
  buf.rowExtent = Math.min(buf.rowExtent, keep);
  const extent = Math.max(buf.rowExtent, lengthOfMask(buf.dirty));
  if (buf.extent > extent) {
    release(fs, vp, buf.extent - extent);
    buf.extent = extent;
    // Those between held zeros: a hole below what was written and is now cut off.
    fs.bufs.dropPages(buf, ~maskBelow(extent));
  }
  const tail = inChunk % PAGE_BYTES;
  const page = keep - 1;
  if (tail !== 0 && ((buf.valid >>> page) & 1) === 1) {
    const bit = 1 << page;
    if ((buf.sealed & bit) !== 0) {
      // The sealed frame will reach the store as it is; ours must stay resident until then, so it counts as
      // written anew.
      copyOnWrite(fs, buf, page, true);
      fs.txgs.dirtyPages(buf, bit, 1);
    }
    fs.bufs.pool.zero(buf.frames[page], tail);
  }
  if (buf.pinned) return;
  // All of its sealed pages were cut off, but not all that they made the row reach: only the buf knows that until then.
  if (isOnItsWay) fs.txgs.keepRow(buf);
  else fs.bufs.markClean(buf);
};

/** Chunks at each end of a zeroed range that need frames: at most two, wholly. */
export const framesForZero = (fs: FsState): number => (2 * fs.chunkBytes) / PAGE_BYTES;

/** Makes [offset, end) read as zeros; whole chunks are freed. The size stays. Requires admit(framesForZero). */
export const zeroRange = (fs: FsState, vp: Vnode, offset: number, end: number): void => {
  const from = Math.ceil(offset / fs.chunkBytes);
  const to = Math.floor(end / fs.chunkBytes);
  if (from > to) {
    zeroPart(fs, vp, to, offset - to * fs.chunkBytes, end - to * fs.chunkBytes);
    return;
  }
  if (offset < from * fs.chunkBytes)
    zeroPart(fs, vp, from - 1, offset - (from - 1) * fs.chunkBytes, fs.chunkBytes);
  if (end > to * fs.chunkBytes) zeroPart(fs, vp, to, 0, end - to * fs.chunkBytes);
  if (from < to) dropChunks(fs, vp, from, to);
  fs.txgs.dirtyAttr(vp);
};

/** Chunks [from, to) become holes. */
export const dropChunks = (fs: FsState, vp: Vnode, from: number, to: number): void => {
  fs.txgs.cutting();
  release(fs, vp, chargedPages(fs, vp, from, to, true));
  if (!vp.inStore && !vp.logged) return;
  (vp.dropsOpen ??= []).push(from, to);
  fs.txgs.log.dropChunks(vp.ino, from, to);
  vp.logged = true;
};

/** Zeros bytes [from, to) of one chunk by writing; what lies past its extent is zero already. */
const zeroPart = (fs: FsState, vp: Vnode, index: number, from: number, to: number): void => {
  const upTo = Math.min(to, bufOf(fs, vp, index).extent * PAGE_BYTES);
  if (upTo <= from) return;
  const buf = preparePages(fs, vp, index, from, upTo);
  fs.bufs.pieces(buf, from, upTo - from, (at, length) => fs.bufs.pool.zeroBytes(at, length));
};
