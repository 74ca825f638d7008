/**
 * Inode flags (chattr(1), FS_IOC_SETFLAGS) and what immutable and append-only forbid. The kernel checks who may set
 * them (fileattr_set_prepare, fs/file_attr.c), but doesn't know that a FUSE inode has them: so every check of
 * IS_IMMUTABLE and IS_APPEND that fs/namei.c, fs/attr.c, fs/open.c and fs/xattr.c make is made here, with their errno,
 * EPERM.
 *
 * What remains the kernel's: access(2) knows nothing of it. Data that a program wrote before the flag was set may still
 * be in the kernel's cache, so write-back is never refused: a descriptor open for writing goes on until it is closed.
 */
import { fsError } from '../base/errno.js';
import type { Ino } from '../base/ids.js';
import { FS_APPEND_FL, FS_IMMUTABLE_FL, FS_NOATIME_FL, FS_NODUMP_FL, type Vnode } from '../vnode/vnode.js';
import type { SetAttributes } from './api.js';
import { withVnode, type FsState } from './state.js';

const SUPPORTED = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL;
/** What a new file or directory takes over from its directory (as ext4_mask_flags). */
export const INHERITED_FLAGS = FS_NODUMP_FL | FS_NOATIME_FL;

const O_ACCMODE = 3;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;

const isFixed = (vp: Vnode): boolean => (vp.flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) !== 0;
const refuse = (op: string): never => {
  throw fsError('EPERM', op);
};

/** Sets the inode flags of a file or directory. EOPNOTSUPP for flags that mean nothing here. */
export const setFlags = (fs: FsState, ino: Ino, flags: number): void => {
  fs.requireWritable('setflags');
  if ((flags & ~SUPPORTED) !== 0) throw fsError('EOPNOTSUPP', 'setflags');
  withVnode(fs, fs.vget(ino), (vp) => {
    if (!vp.isReg && !vp.isDir) throw fsError('ENOTTY', 'setflags');
    fs.txgs.admit(0);
    vp.flags = flags;
    fs.changed(vp);
  });
};

/** Neither immutable nor append-only: for what changes a file otherwise than by appending, or its names. */
export const requireMutable = (vp: Vnode, op: string): void => {
  if (isFixed(vp)) refuse(op);
};

/** may_open, handle_truncate: an immutable file is never opened for writing, an append-only one only with O_APPEND. */
export const requireOpenable = (vp: Vnode, flags: number): void => {
  if (!isFixed(vp)) return;
  const writes = (flags & O_ACCMODE) !== 0;
  if (flags & O_TRUNC || (writes && (vp.flags & FS_IMMUTABLE_FL || !(flags & O_APPEND)))) refuse('open');
};

/** A write that doesn't come from the kernel's cache. */
export const requireWriteAt = (vp: Vnode, offset: number): void => {
  if (!isFixed(vp)) return;
  if (vp.flags & FS_IMMUTABLE_FL || offset < vp.size) refuse('write');
};

/**
 * may_setattr, do_truncate. mtime and ctime without an atime is also how the kernel sends the times of data it wrote
 * back (fuse_flush_times), so that is let through; and under the write-back cache it sends "now" for the atime only.
 */
export const requireSettable = (vp: Vnode, changes: SetAttributes): void => {
  if (!isFixed(vp)) return;
  const { mode, uid, gid, size, atime } = changes;
  const ids = mode !== undefined || uid !== undefined || gid !== undefined;
  const times = atime !== undefined && (atime !== 'now' || (vp.flags & FS_IMMUTABLE_FL) !== 0);
  if (ids || size !== undefined || times) refuse('setattr');
};

/** A name may be added to the directory (may_create). */
export const requireAddable = (dvp: Vnode, op: string): void => {
  if (dvp.flags & FS_IMMUTABLE_FL) refuse(op);
};

/** The name of `vp` may be taken from the directory (may_delete). */
export const requireRemovable = (dvp: Vnode, vp: Vnode, op: string): void => {
  if (isFixed(dvp) || isFixed(vp)) refuse(op);
};
