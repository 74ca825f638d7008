/** getattr, setattr, and the rules for set-user-id and set-group-id bits. */
import { fsError } from '../base/errno.js';
import { byteName, type Fh, type Ino } from '../base/ids.js';
import { requireNotUnmounting } from '../vnode/mount.js';
import { S_IFMT, S_ISGID, S_ISUID, S_IXGRP, type Vnode } from '../vnode/vnode.js';
import { ACL_ACCESS, aclAfterChmod } from './acl.js';
import type { SetAttributes, TimeChange } from './api.js';
import { truncateTo } from './data.js';
import { requireSettable } from './flags.js';
import { FILE_SIZE_MAX, requireAlive, type FsState } from './state.js';
import { dropXattr, putXattr, xattrsOf } from './xattr.js';

const CAPABILITY = byteName('security.capability');

/** The vnode behind a handle, or of the ino; referenced. */
export const vgetByHandle = (fs: FsState, ino: Ino, fh: Fh | undefined): Vnode => {
  const handle = fh === undefined ? undefined : fs.handles.get(fh);
  if (handle === undefined) return fs.vget(ino);
  requireAlive(handle);
  requireNotUnmounting(fs.mp);
  fs.vnodes.vref(handle.vp);
  return handle.vp;
};

export const setattr = (fs: FsState, ino: Ino, fh: Fh | undefined, changes: SetAttributes): Vnode => {
  fs.requireWritable('setattr');
  const vp = vgetByHandle(fs, ino, fh);
  try {
    requireSettable(vp, changes);
    if (changes.size !== undefined) checkSize(vp, changes.size);
    fs.txgs.admit(changes.size === undefined ? 0 : 1);
    apply(fs, vp, changes);
    return vp;
  } catch (error) {
    fs.vnodes.vrele(vp);
    throw error;
  }
};

const checkSize = (vp: Vnode, size: number): void => {
  if (vp.isDir) throw fsError('EISDIR', 'truncate');
  if (!vp.isReg || size < 0) throw fsError('EINVAL', 'truncate');
  if (size > FILE_SIZE_MAX) throw fsError('EFBIG', 'truncate');
};

const apply = (fs: FsState, vp: Vnode, changes: SetAttributes): void => {
  fs.changed(vp);
  if (changes.uid !== undefined || changes.gid !== undefined) {
    if (changes.uid !== undefined) vp.uid = changes.uid;
    if (changes.gid !== undefined) vp.gid = changes.gid;
    if (!vp.isDir) killPrivileges(fs, vp);
  }
  if (changes.killSuidgid && vp.isReg) killPrivileges(fs, vp);
  if (changes.mode !== undefined) chmod(fs, vp, changes.mode);
  if (changes.size !== undefined) {
    // POSIX: ftruncate to the same size still marks the times; truncate(2) on Linux does too.
    truncateTo(fs, vp, changes.size);
    vp.mtimeSec = vp.ctimeSec;
    vp.mtimeNsec = vp.ctimeNsec;
  }
  setTime(fs, changes.atime, (sec, nsec) => {
    vp.atimeSec = sec;
    vp.atimeNsec = nsec;
  });
  setTime(fs, changes.mtime, (sec, nsec) => {
    vp.mtimeSec = sec;
    vp.mtimeNsec = nsec;
  });
  setTime(fs, changes.ctime, (sec, nsec) => {
    vp.ctimeSec = sec;
    vp.ctimeNsec = nsec;
  });
};

/**
 * A time beyond what the store can hold becomes the nearest that it can, as timestamp_truncate does (fs/inode.c).
 * Stored as it came it would be refused by SQLite, and its whole group with it, again and again.
 */
const SEC_MAX = Number.MAX_SAFE_INTEGER;

const setTime = (
  fs: FsState,
  time: TimeChange | undefined,
  set: (sec: number, nsec: number) => void,
): void => {
  if (time === undefined) return;
  if (time === 'now') set(fs.clock.sec, fs.clock.nsec);
  else set(Math.min(SEC_MAX, Math.max(-SEC_MAX, time.sec)), time.nsec);
};

const chmod = (fs: FsState, vp: Vnode, mode: number): void => {
  vp.mode = (vp.mode & S_IFMT) | (mode & 0o7777);
  if (vp.xattrCount === 0) return;
  const acl = xattrsOf(fs, vp).get(ACL_ACCESS);
  if (acl !== undefined) putXattr(fs, vp, ACL_ACCESS, aclAfterChmod(acl, mode));
};

/**
 * Clears set-user-id, set-group-id of a group-executable file, and the file capabilities: after a write, truncate or
 * chown. What FUSE_HANDLE_KILLPRIV_V2 asks of the filesystem (fs/attr.c: setattr_should_drop_suidgid).
 */
export const killPrivileges = (fs: FsState, vp: Vnode): void => {
  let mode = vp.mode & ~S_ISUID;
  if (mode & S_IXGRP) mode &= ~S_ISGID;
  if (mode !== vp.mode) {
    vp.mode = mode;
    fs.changed(vp);
  }
  if (vp.xattrCount > 0) dropXattr(fs, vp, CAPABILITY);
};
