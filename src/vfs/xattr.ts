/**
 * Extended attributes: xattr(7). All of an inode's attributes are loaded at the first use and kept with its vnode while
 * there is room (see vnode/value-cache.ts).
 * Who may touch which namespace is the kernel's check (default_permissions); limits are Linux's
 * (include/uapi/linux/limits.h).
 */
import { fsError } from '../base/errno.js';
import { bytesOfName, type ByteName, type Ino } from '../base/ids.js';
import { S_ISGID, type Vnode } from '../vnode/vnode.js';
import { ACL_ACCESS, ACL_DEFAULT, accessAclEffect, parseAcl } from './acl.js';
import { requireMutable } from './flags.js';
import type { FsState } from './state.js';
import { withVnode } from './state.js';

const XATTR_NAME_MAX = 255;
const XATTR_SIZE_MAX = 65_536;
/** Bytes of names and values of one inode: more would not come back through listxattr(2), whose limit is 64 KiB. */
const XATTR_LIST_MAX = 65_536;
const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;

/** All attributes of `vp`, loaded if need be. */
export const xattrsOf = (fs: FsState, vp: Vnode): Map<ByteName, Uint8Array> => {
  let { xattrs } = vp;
  if (xattrs === undefined) {
    xattrs = new Map();
    if (vp.xattrCount > 0)
      for (const { name, value } of fs.reader.listXattrs(vp.ino)) xattrs.set(name, value);
    vp.xattrs = xattrs;
  }
  fs.vnodes.values.touch(vp);
  return xattrs;
};

/** Sets without checks; for inheritance too. Requires admit. */
export const putXattr = (fs: FsState, vp: Vnode, name: ByteName, value: Uint8Array): void => {
  const xattrs = xattrsOf(fs, vp);
  xattrs.set(name, value);
  vp.xattrCount = xattrs.size;
  fs.vnodes.values.touch(vp);
  fs.txgs.log.setXattr(vp.ino, name, value);
  fs.txgs.valuesLogged(vp);
  fs.changed(vp);
};

export const dropXattr = (fs: FsState, vp: Vnode, name: ByteName): boolean => {
  const xattrs = xattrsOf(fs, vp);
  if (!xattrs.delete(name)) return false;
  vp.xattrCount = xattrs.size;
  fs.vnodes.values.touch(vp);
  fs.txgs.log.removeXattr(vp.ino, name);
  fs.txgs.valuesLogged(vp);
  fs.changed(vp);
  return true;
};

const NAMESPACES = ['user.', 'trusted.', 'security.'];

/**
 * EOPNOTSUPP for a namespace that doesn't exist, EINVAL for a prefix without a name: as xattr_resolve_name
 * (fs/xattr.c).
 */
const requireNamespace = (fs: FsState, name: ByteName): void => {
  // An ACL that nobody checks would promise what doesn't hold.
  if ((name === ACL_ACCESS || name === ACL_DEFAULT) && fs.options.capabilities.acls) return;
  const prefix = NAMESPACES.find((namespace) => name.startsWith(namespace));
  if (prefix === undefined) throw fsError('EOPNOTSUPP', 'setxattr');
  if (name.length === prefix.length) throw fsError('EINVAL', 'setxattr');
};

export const setxattr = (
  fs: FsState,
  ino: Ino,
  name: ByteName,
  value: Uint8Array,
  flags: number,
  clearSgid: boolean,
): void => {
  fs.requireWritable('setxattr');
  if (name.length === 0 || name.length > XATTR_NAME_MAX) throw fsError('ERANGE', 'setxattr');
  requireNamespace(fs, name);
  if (value.length > XATTR_SIZE_MAX) throw fsError('E2BIG', 'setxattr');
  withVnode(fs, fs.vget(ino), (vp) => {
    requireMutable(vp, 'setxattr');
    const xattrs = xattrsOf(fs, vp);
    const exists = xattrs.has(name);
    if (flags & XATTR_CREATE && exists) throw fsError('EEXIST', 'setxattr');
    if (flags & XATTR_REPLACE && !exists) throw fsError('ENODATA', 'setxattr');
    if (!exists && listBytes(xattrs) + name.length + 1 > XATTR_LIST_MAX) throw fsError('ENOSPC', 'setxattr');
    fs.txgs.admit(0);
    if (name === ACL_ACCESS || name === ACL_DEFAULT) setAcl(fs, vp, name, value, clearSgid);
    else putXattr(fs, vp, name, new Uint8Array(value));
  });
};

const setAcl = (fs: FsState, vp: Vnode, name: ByteName, value: Uint8Array, clearSgid: boolean): void => {
  if (name === ACL_DEFAULT) {
    if (!vp.isDir) throw fsError('EACCES', 'setxattr');
    if (parseAcl(value).length === 0) dropXattr(fs, vp, name);
    else putXattr(fs, vp, name, new Uint8Array(value));
    return;
  }
  const { permissions, store } = accessAclEffect(value);
  if (permissions !== undefined) vp.mode = (vp.mode & ~0o777) | permissions;
  if (clearSgid) vp.mode &= ~S_ISGID;
  if (store) putXattr(fs, vp, name, new Uint8Array(value));
  else if (!dropXattr(fs, vp, name)) fs.changed(vp);
};

export const getxattr = (fs: FsState, ino: Ino, name: ByteName): Uint8Array =>
  withVnode(fs, fs.vget(ino), (vp) => {
    const value = vp.xattrCount === 0 && vp.xattrs === undefined ? undefined : xattrsOf(fs, vp).get(name);
    if (value === undefined) throw fsError('ENODATA', 'getxattr');
    return value;
  });

const listBytes = (xattrs: ReadonlyMap<ByteName, Uint8Array>): number => {
  let bytes = 0;
  for (const name of xattrs.keys()) bytes += name.length + 1;
  return bytes;
};

export const listxattr = (fs: FsState, ino: Ino): Uint8Array =>
  withVnode(fs, fs.vget(ino), (vp) => {
    if (vp.xattrCount === 0) return new Uint8Array(0);
    const xattrs = xattrsOf(fs, vp);
    const list = Buffer.alloc(listBytes(xattrs));
    let at = 0;
    for (const name of xattrs.keys()) at += bytesOfName(name).copy(list, at) + 1;
    return list;
  });

export const removexattr = (fs: FsState, ino: Ino, name: ByteName): void => {
  fs.requireWritable('removexattr');
  withVnode(fs, fs.vget(ino), (vp) => {
    requireMutable(vp, 'removexattr');
    if (!xattrsOf(fs, vp).has(name)) throw fsError('ENODATA', 'removexattr');
    fs.txgs.admit(0);
    dropXattr(fs, vp, name);
  });
};
