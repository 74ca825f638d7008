/** Open files: open, create, release, read, write, lseek. */
import { fsError } from '../base/errno.js';
import type { ByteName, Fh, Ino } from '../base/ids.js';
import { PAGE_BYTES } from '../store/types.js';
import { FS_APPEND_FL, S_IFREG, type Vnode } from '../vnode/vnode.js';
import type { Caller, DataSink, OpenResult, WriteFlags } from './api.js';
import { killPrivileges } from './attributes.js';
import { mknod } from './create.js';
import { checkGrowth, framesFor, readRange, truncateTo, writeRange } from './data.js';
import { requireOpenable, requireWriteAt } from './flags.js';
import { withVnode, type FsState, type Handle } from './state.js';
import { isDropped } from '../vnode/stored-range.js';
import { noPattern } from '../syncer/read-ahead.js';
import { bufOf } from './stored-data.js';

const O_ACCMODE = 3;
const O_TRUNC = 0o1000;
const O_NOATIME = 0o1000000;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** A handle on `vp`: it takes a reference of its own. */
export const openVnode = (fs: FsState, vp: Vnode, flags: number): OpenResult => {
  const writes = (flags & O_ACCMODE) !== 0;
  const fh = fs.newFh();
  fs.vnodes.vref(vp);
  vp.openCount++;
  if (writes) vp.writeCount++;
  fs.vnodes.age(vp);
  fs.handles.set(fh, { fh, vp, flags, writes, errSeq: fs.txgs.errSeq, copyTxg: 0, ...noPattern() });
  return { fh, keepCache: true, directIo: writes && (vp.flags & FS_APPEND_FL) !== 0 };
};

export const open = (fs: FsState, ino: Ino, flags: number): OpenResult => {
  if ((flags & O_ACCMODE) !== 0 || (flags & O_TRUNC) !== 0) fs.requireWritable('open');
  return withVnode(fs, fs.vget(ino), (vp) => {
    if (vp.isDir) throw fsError('EISDIR', 'open');
    requireOpenable(vp, flags);
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

/** The vnode of a handle on a regular file: else EINVAL. */
export const regular = (handle: Handle): Vnode => {
  if (!handle.vp.isReg) throw fsError('EINVAL');
  return handle.vp;
};

export const read = (fs: FsState, fh: Fh, offset: number, length: number, sink: DataSink): number => {
  const handle = fs.handle(fh);
  const vp = regular(handle);
  fs.bufs.newRequest();
  const end = Math.min(offset + length, vp.size);
  // Inline data and what has just been made aren't worth it, or not there.
  if (vp.inStore && vp.allocPages > 1 && end > offset) {
    const absent = (index: number): boolean => vp.bufs?.has(index) !== true && !isDropped(vp, index);
    fs.readAhead.onRead(vp.ino, handle, offset, end, vp.size, absent);
  }
  const delivered = readRange(fs, vp, offset, length, sink);
  if (length > 0 && (handle.flags & O_NOATIME) === 0) fs.accessed(vp);
  return delivered;
};

export const write = (fs: FsState, fh: Fh, offset: number, data: Uint8Array, flags: WriteFlags): number => {
  fs.requireWritable('write');
  const vp = regular(fs.handle(fh));
  if (!flags.fromCache) requireWriteAt(vp, offset);
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
