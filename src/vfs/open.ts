/** Open files: open, create, release, read, write, fallocate, lseek, copy_file_range. */
import { fsError } from '../base/errno.js';
import type { ByteName, Fh, Ino } from '../base/ids.js';
import { PAGE_BYTES } from '../store/types.js';
import { S_IFREG, type Vnode } from '../vnode/vnode.js';
import type { Caller, DataSink, OpenResult, WriteFlags } from './api.js';
import { killPrivileges } from './attributes.js';
import { mknod } from './create.js';
import {
  checkGrowth,
  framesFor,
  framesForZero,
  readRange,
  truncateTo,
  writeRange,
  zeroRange,
} from './data.js';
import { FILE_SIZE_MAX, withVnode, type FsState, type Handle } from './state.js';
import { bufOf } from './stored-data.js';

const O_ACCMODE = 3;
const O_TRUNC = 0o1000;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FALLOC_KEEP_SIZE = 1;
const FALLOC_PUNCH_HOLE = 2;
const FALLOC_ZERO_RANGE = 16;
/** copy_file_range moves at most this much a call; callers loop. */
const COPY_MAX = 1 << 20;

/** A handle on `vp`: it takes a reference of its own. */
export const openVnode = (fs: FsState, vp: Vnode, flags: number): OpenResult => {
  const writes = (flags & O_ACCMODE) !== 0;
  const fh = fs.newFh();
  fs.vnodes.vref(vp);
  vp.openCount++;
  if (writes) vp.writeCount++;
  fs.vnodes.age(vp);
  fs.handles.set(fh, { fh, vp, flags, writes, errSeq: fs.txgs.errSeq });
  return { fh, keepCache: true };
};

export const open = (fs: FsState, ino: Ino, flags: number): OpenResult => {
  if ((flags & O_ACCMODE) !== 0 || (flags & O_TRUNC) !== 0) fs.requireWritable('open');
  return withVnode(fs, fs.vget(ino), (vp) => {
    if (vp.isDir) throw fsError('EISDIR', 'open');
    if ((flags & O_TRUNC) !== 0 && vp.isReg) {
      fs.txgs.admit(1);
      truncateTo(fs, vp, 0);
      fs.modified(vp);
    }
    return openVnode(fs, vp, flags);
  });
};

export const create = (
  fs: FsState,
  caller: Caller,
  parent: Ino,
  name: ByteName,
  mode: number,
  flags: number,
  umask: number,
): { vp: Vnode; open: OpenResult } => {
  const vp = mknod(fs, caller, parent, name, S_IFREG | (mode & 0o7777), 0, umask);
  return { vp, open: openVnode(fs, vp, flags) };
};

export const release = (fs: FsState, fh: Fh): void => {
  const handle = fs.handles.get(fh);
  if (handle === undefined) return;
  fs.handles.delete(fh);
  handle.vp.openCount--;
  if (handle.writes) handle.vp.writeCount--;
  fs.vnodes.vrele(handle.vp);
};

const regular = (handle: Handle): Vnode => {
  if (!handle.vp.isReg) throw fsError('EINVAL');
  return handle.vp;
};

export const read = (fs: FsState, fh: Fh, offset: number, length: number, sink: DataSink): number => {
  const vp = regular(fs.handle(fh));
  fs.bufs.newRequest();
  const delivered = readRange(fs, vp, offset, length, sink);
  if (length > 0) fs.accessed(vp);
  return delivered;
};

export const write = (fs: FsState, fh: Fh, offset: number, data: Uint8Array, flags: WriteFlags): number => {
  fs.requireWritable('write');
  const vp = regular(fs.handle(fh));
  fs.bufs.newRequest();
  checkGrowth(fs, vp, offset, data.length);
  fs.txgs.admit(framesFor(offset, data.length));
  writeRange(fs, vp, offset, data);
  if (flags.killSuidgid) killPrivileges(fs, vp);
  // With the write-back cache the kernel keeps the times and sends them by SETATTR: a late write-back must not
  // undo an
  // explicit utimens.
  if (!flags.fromCache && data.length > 0) fs.modified(vp);
  return data.length;
};

export const fallocate = (fs: FsState, fh: Fh, mode: number, offset: number, length: number): void => {
  fs.requireWritable('fallocate');
  const vp = regular(fs.handle(fh));
  const keepSize = (mode & FALLOC_KEEP_SIZE) !== 0;
  const known = FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE;
  const punch = (mode & FALLOC_PUNCH_HOLE) !== 0;
  if (mode & ~known || (punch && (!keepSize || mode & FALLOC_ZERO_RANGE)))
    throw fsError('EOPNOTSUPP', 'fallocate');
  if (offset < 0 || length <= 0) throw fsError('EINVAL', 'fallocate');
  const end = offset + length;
  if (end > FILE_SIZE_MAX) throw fsError('EFBIG', 'fallocate');
  if (!punch && fs.txgs.counters.allocPages + Math.ceil(length / PAGE_BYTES) > fs.pagesMax) {
    throw fsError('ENOSPC', 'fallocate');
  }
  fs.bufs.newRequest();
  fs.txgs.admit(framesForZero(fs));
  if (mode & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE)) zeroRange(fs, vp, offset, Math.min(end, vp.size));
  if (!keepSize && end > vp.size) vp.size = end;
  fs.modified(vp);
};

export const lseek = (fs: FsState, fh: Fh, offset: number, whence: number): number => {
  const vp = regular(fs.handle(fh));
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw fsError('EINVAL', 'lseek');
  if (offset < 0 || offset >= vp.size) throw fsError('ENXIO', 'lseek');
  fs.bufs.newRequest();
  return whence === SEEK_DATA ? seekData(fs, vp, offset) : seekHole(fs, vp, offset);
};

/** Data is kept by chunks: within one, everything below its extent counts as data. */
const seekData = (fs: FsState, vp: Vnode, offset: number): number => {
  for (let at = offset; at < vp.size;) {
    const index = Math.floor(at / fs.chunkBytes);
    const dataEnd = index * fs.chunkBytes + bufOf(fs, vp, index).extent * PAGE_BYTES;
    if (at < dataEnd) return at;
    const next = nextDataChunk(fs, vp, index + 1);
    if (next < 0) break;
    at = next * fs.chunkBytes;
  }
  throw fsError('ENXIO', 'lseek');
};

/** The next chunk that may hold data, stored or resident; -1 if there is none. */
const nextDataChunk = (fs: FsState, vp: Vnode, from: number): number => {
  let next = vp.inStore ? fs.reader.nextChunk(vp.ino, from) : -1;
  if (vp.bufs) {
    for (const buf of vp.bufs.values()) {
      if (buf.index >= from && buf.extent > 0 && (next < 0 || buf.index < next)) next = buf.index;
    }
  }
  return next;
};

const seekHole = (fs: FsState, vp: Vnode, offset: number): number => {
  for (let at = offset; at < vp.size;) {
    const index = Math.floor(at / fs.chunkBytes);
    const dataEnd = index * fs.chunkBytes + bufOf(fs, vp, index).extent * PAGE_BYTES;
    if (at >= dataEnd) return at;
    if (dataEnd < (index + 1) * fs.chunkBytes) return Math.min(dataEnd, vp.size);
    at = (index + 1) * fs.chunkBytes;
  }
  return vp.size;
};

/** Copies within the store, through the page cache. Returns the bytes copied, perhaps fewer than asked. */
export const copyFileRange = (
  fs: FsState,
  srcFh: Fh,
  srcOffset: number,
  dstFh: Fh,
  dstOffset: number,
  length: number,
): number => {
  fs.requireWritable('copy_file_range');
  const src = regular(fs.handle(srcFh));
  const dst = regular(fs.handle(dstFh));
  const most = Math.min(
    length,
    COPY_MAX,
    Math.floor((fs.bufs.pool.size * PAGE_BYTES) / 8),
    src.size - srcOffset,
  );
  if (most <= 0) return 0;
  fs.bufs.newRequest();
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
  fs.modified(dst);
  killPrivileges(fs, dst);
  fs.accessed(src);
  return most;
};
