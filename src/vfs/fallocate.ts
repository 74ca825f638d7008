/**
 * fallocate(2): preallocation, punched holes, zeroed ranges. The kernel passes on KEEP_SIZE, PUNCH_HOLE and ZERO_RANGE
 * only (fuse_file_fallocate, fs/fuse/file.c); COLLAPSE_RANGE and INSERT_RANGE are EOPNOTSUPP before we hear of them.
 *
 * Preallocating charges pages to the file, as its own extent of each chunk: what is written there later can't run into
 * the size limit. It takes no room in the store's file, so the host's disk can still be full by then.
 */
import { fsError } from '../base/errno.js';
import type { Fh } from '../base/ids.js';
import { PAGE_BYTES } from '../store/types.js';
import { FS_APPEND_FL, FS_IMMUTABLE_FL, type Vnode } from '../vnode/vnode.js';
import type { Caller } from './api.js';
import { killPrivileges } from './attributes.js';
import { charge, framesForZero, zeroRange } from './data.js';
import { regular } from './open.js';
import { FILE_SIZE_MAX, type FsState } from './state.js';
import { bufOf, chargedPages, extentOf } from './stored-data.js';

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const ZERO_RANGE = 16;

/** May have allocated part of the range when it throws WouldBlock; called again, it goes on. */
export const fallocate = (
  fs: FsState,
  caller: Caller,
  fh: Fh,
  mode: number,
  offset: number,
  length: number,
): void => {
  fs.requireWritable('fallocate');
  const vp = regular(fs.handle(fh));
  const keepSize = (mode & KEEP_SIZE) !== 0;
  const punch = (mode & PUNCH_HOLE) !== 0;
  if (mode & ~(KEEP_SIZE | PUNCH_HOLE | ZERO_RANGE) || (punch && (!keepSize || mode & ZERO_RANGE)))
    throw fsError('EOPNOTSUPP', 'fallocate');
  if (offset < 0 || length <= 0) throw fsError('EINVAL', 'fallocate');
  const end = offset + length;
  if (end > FILE_SIZE_MAX) throw fsError('EFBIG', 'fallocate');
  // vfs_fallocate: of an append-only file no more than preallocation.
  if (vp.flags & FS_IMMUTABLE_FL || (vp.flags & FS_APPEND_FL && mode & ~KEEP_SIZE))
    throw fsError('EPERM', 'fallocate');
  if (!punch) requireRoom(fs, vp, offset, end);
  fs.txgs.admit(framesForZero(fs));
  if (mode & (PUNCH_HOLE | ZERO_RANGE)) zeroRange(fs, vp, offset, Math.min(end, vp.size));
  if (!punch) allocateRange(fs, vp, offset, end);
  if (!keepSize && end > vp.size) vp.size = end;
  fs.modified(vp);
  if (caller.uid !== 0) killPrivileges(fs, vp);
};

/** Extent that chunk `index` needs for a file that is allocated up to byte `end`. */
const extentFor = (fs: FsState, index: number, end: number): number =>
  Math.ceil(Math.min(fs.chunkBytes, end - index * fs.chunkBytes) / PAGE_BYTES);

/** ENOSPC unless the pages that [offset, end) lacks fit below the size limit, and on the host's disk as it is now. */
const requireRoom = (fs: FsState, vp: Vnode, offset: number, end: number): void => {
  const first = Math.floor(offset / fs.chunkBytes);
  const last = Math.floor((end - 1) / fs.chunkBytes);
  const whole = (last - first) * (fs.chunkBytes / PAGE_BYTES) - chargedPages(fs, vp, first, last, false);
  const growth = whole + Math.max(0, extentFor(fs, last, end) - extentOf(fs, vp, last));
  if (growth <= 0) return;
  const { allocPages } = fs.txgs.counters;
  if (allocPages + growth > fs.pagesMax || growth * PAGE_BYTES > fs.options.hostFreeBytes())
    throw fsError('ENOSPC', 'fallocate');
};

const allocateRange = (fs: FsState, vp: Vnode, offset: number, end: number): void => {
  let room = fs.txgs.objectsRoom;
  for (let index = Math.floor(offset / fs.chunkBytes); index * fs.chunkBytes < end; index++) {
    const extent = extentFor(fs, index, end);
    const growth = extent - extentOf(fs, vp, index);
    if (growth <= 0) continue;
    if (room-- === 0) {
      fs.txgs.admit(0);
      room = fs.txgs.objectsRoom;
    }
    const buf = bufOf(fs, vp, index);
    buf.extent = extent;
    buf.rowExtent = extent;
    charge(fs, vp, growth);
    fs.txgs.log.allocate(vp.ino, index, extent);
    fs.txgs.rowLogged(buf);
  }
};
