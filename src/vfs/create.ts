/** New inodes and names: mknod, mkdir, symlink, link, create, tmpfile. */
import { fsError } from '../base/errno.js';
import type { ByteName, Ino } from '../base/ids.js';
import {
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_ISGID,
  VType,
  vtypeOfMode,
  type Vnode,
} from '../vnode/vnode.js';
import { ACL_ACCESS, ACL_DEFAULT, inheritAcl } from './acl.js';
import type { Caller } from './api.js';
import { INHERITED_FLAGS, requireAddable, requireMutable } from './flags.js';
import { findName, setName } from './namei.js';
import { LINK_MAX, SYMLINK_MAX, withVnode, type FsState } from './state.js';
import { putXattr, xattrsOf } from './xattr.js';

/** First cookie of a new directory: 1 and 2 are `.` and `..`. */
const FIRST_COOKIE = 3;

interface NewInode {
  mode: number;
  rdev: number;
  umask: number;
}

/**
 * A new inode without a name, referenced, its row dirty. Owner, group and mode follow open(2) and inode_init_owner
 * (fs/inode.c): a set-group-id directory passes on its group, and to directories the bit too. Where the transport
 * doesn't say who asks, the file is the directory's owner's.
 */
const newInode = (fs: FsState, caller: Caller, dvp: Vnode, wanted: NewInode): Vnode => {
  const vp = fs.vnodes.getnewvnode(fs.mp, fs.allocIno());
  const isDir = (wanted.mode & S_IFMT) === S_IFDIR;
  const sgid = (dvp.mode & S_ISGID) !== 0;
  const owner = fs.options.capabilities.newFileOwner === 'directory' ? dvp : caller;
  vp.uid = owner.uid;
  vp.gid = sgid ? dvp.gid : owner.gid;
  vp.rdev = wanted.rdev;
  vp.nlink = isDir ? 2 : 1;
  vp.size = 0; // not the -0 that the field began with
  if (isDir) {
    vp.parent = dvp.ino;
    vp.nextCookie = FIRST_COOKIE;
    vp.namesComplete = true;
  }
  const defaultAcl = dvp.xattrCount > 0 ? xattrsOf(fs, dvp).get(ACL_DEFAULT) : undefined;
  const isLink = (wanted.mode & S_IFMT) === S_IFLNK;
  let mode = wanted.mode;
  let access: Uint8Array | undefined;
  if (isLink) mode = S_IFLNK | 0o777;
  else if (defaultAcl === undefined) mode &= ~(wanted.umask & 0o777);
  else ({ mode, access } = inheritAcl(defaultAcl, mode));
  vp.mode = isDir && sgid ? mode | S_ISGID : mode;
  vp.type = vtypeOfMode(vp.mode);
  if (isDir || vp.isReg) vp.flags = dvp.flags & INHERITED_FLAGS;
  fs.modified(vp);
  vp.atimeSec = vp.btimeSec = vp.mtimeSec;
  vp.atimeNsec = vp.btimeNsec = vp.mtimeNsec;
  if (access !== undefined) putXattr(fs, vp, ACL_ACCESS, access);
  if (defaultAcl !== undefined && isDir) putXattr(fs, vp, ACL_DEFAULT, defaultAcl);
  fs.vnodes.vxUnlock(vp);
  return vp;
};

/** Checks that `name` can be added to `dvp`. */
const requireFree = (fs: FsState, dvp: Vnode, name: ByteName): void => {
  if (dvp.nlink === 0) throw fsError('ENOENT');
  const entry = findName(fs, dvp, name);
  if (entry !== undefined && entry.ino !== 0) throw fsError('EEXIST');
  requireAddable(dvp, 'create');
};

const requireType = (mode: number): void => {
  const type = vtypeOfMode(mode);
  if (type === VType.VBAD || type === VType.VDIR || type === VType.VLNK) throw fsError('EINVAL', 'mknod');
};

/**
 * Makes `name` in directory `parent`; returns the new vnode referenced. The body of mknod, mkdir, create,
 * symlink.
 */
const makeNode = (
  fs: FsState,
  caller: Caller,
  parent: Ino,
  name: ByteName,
  wanted: NewInode,
  target?: Uint8Array,
): Vnode => {
  fs.requireWritable('create');
  return withVnode(fs, fs.vgetDir(parent), (dvp) => {
    requireFree(fs, dvp, name);
    const isDir = (wanted.mode & S_IFMT) === S_IFDIR;
    if (isDir && dvp.nlink >= LINK_MAX) throw fsError('EMLINK', 'mkdir');
    fs.txgs.admit(0);
    return addNode(fs, caller, dvp, name, wanted, target);
  });
};

/** The step after admit: a new inode under a free name. Returns it referenced. Throws ENOSPC before any change. */
export const addNode = (
  fs: FsState,
  caller: Caller,
  dvp: Vnode,
  name: ByteName,
  wanted: NewInode,
  target?: Uint8Array,
): Vnode => {
  const vp = newInode(fs, caller, dvp, wanted);
  if (target !== undefined) {
    vp.linkTarget = target;
    fs.txgs.log.setSymlink(vp.ino, target);
    fs.txgs.valuesLogged(vp);
    fs.vnodes.values.touch(vp);
    vp.size = target.length;
  }
  if (vp.isDir) dvp.nlink++;
  setName(fs, dvp, name, vp.ino, vp.mode);
  return vp;
};

export const mknod = (
  fs: FsState,
  caller: Caller,
  parent: Ino,
  name: ByteName,
  mode: number,
  rdev: number,
  umask: number,
): Vnode => {
  const typed = ((mode & S_IFMT) === 0 ? mode | S_IFREG : mode) & 0xffff;
  requireType(typed);
  return makeNode(fs, caller, parent, name, { mode: typed, rdev, umask });
};

export const mkdir = (
  fs: FsState,
  caller: Caller,
  parent: Ino,
  name: ByteName,
  mode: number,
  umask: number,
): Vnode => makeNode(fs, caller, parent, name, { mode: S_IFDIR | (mode & 0o7777), rdev: 0, umask });

export const symlink = (
  fs: FsState,
  caller: Caller,
  parent: Ino,
  name: ByteName,
  target: Uint8Array,
): Vnode => {
  if (target.length === 0) throw fsError('ENOENT', 'symlink');
  if (target.length > SYMLINK_MAX) throw fsError('ENAMETOOLONG', 'symlink');
  return makeNode(
    fs,
    caller,
    parent,
    name,
    { mode: S_IFLNK | 0o777, rdev: 0, umask: 0 },
    new Uint8Array(target),
  );
};

/** A regular file without a name (O_TMPFILE): unlinked from the start, it may be linked later. */
export const tmpfile = (fs: FsState, caller: Caller, parent: Ino, mode: number, umask: number): Vnode => {
  fs.requireWritable('tmpfile');
  return withVnode(fs, fs.vgetDir(parent), (dvp) => {
    if (dvp.nlink === 0) throw fsError('ENOENT');
    requireAddable(dvp, 'tmpfile');
    fs.txgs.admit(0);
    const vp = newInode(fs, caller, dvp, { mode: S_IFREG | (mode & 0o7777), rdev: 0, umask });
    vp.nlink = 0;
    fs.txgs.setOrphan(vp.ino, true);
    return vp;
  });
};

export const link = (fs: FsState, ino: Ino, newParent: Ino, newName: ByteName): Vnode => {
  fs.requireWritable('link');
  const vp = fs.vget(ino);
  try {
    if (vp.isDir) throw fsError('EPERM', 'link');
    requireMutable(vp, 'link');
    withVnode(fs, fs.vgetDir(newParent), (dvp) => {
      requireFree(fs, dvp, newName);
      if (vp.nlink >= LINK_MAX) throw fsError('EMLINK', 'link');
      fs.txgs.admit(0);
      if (vp.nlink === 0) fs.txgs.setOrphan(vp.ino, false);
      vp.nlink++;
      fs.changed(vp);
      setName(fs, dvp, newName, vp.ino, vp.mode);
    });
    return vp;
  } catch (error) {
    fs.vnodes.vrele(vp);
    throw error;
  }
};
