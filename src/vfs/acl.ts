/**
 * POSIX ACLs as the kernel stores them in xattrs (include/uapi/linux/posix_acl_xattr.h, version 2): checks,
 * inheritance, and their tie to the mode bits. With FUSE_POSIX_ACL the kernel checks access by these, the filesystem
 * keeps them consistent. Follows fs/posix_acl.c (posix_acl_create, posix_acl_chmod, posix_acl_update_mode) and acl(5).
 */
import { fsError } from '../base/errno.js';
import { byteName } from '../base/ids.js';

export const ACL_ACCESS = byteName('system.posix_acl_access');
export const ACL_DEFAULT = byteName('system.posix_acl_default');

const ACL_USER_OBJ = 0x01;
const ACL_USER = 0x02;
const ACL_GROUP_OBJ = 0x04;
const ACL_GROUP = 0x08;
const ACL_MASK = 0x10;
const ACL_OTHER = 0x20;

interface AclEntry {
  tag: number;
  perm: number;
  id: number;
}

/** Throws EINVAL for anything that is not a valid ACL. */
export const parseAcl = (value: Uint8Array): AclEntry[] => {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (value.length < 4 || (value.length - 4) % 8 !== 0 || view.getUint32(0, true) !== 2) {
    throw fsError('EINVAL', 'acl');
  }
  const entries: AclEntry[] = [];
  for (let at = 4; at < value.length; at += 8) {
    entries.push({
      tag: view.getUint16(at, true),
      perm: view.getUint16(at + 2, true),
      id: view.getUint32(at + 4, true),
    });
  }
  validate(entries);
  return entries;
};

const count = (entries: readonly AclEntry[], tag: number): number =>
  entries.filter((entry) => entry.tag === tag).length;

/** posix_acl_valid: one of each object entry, a mask if anybody is named, permissions within rwx. */
const validate = (entries: readonly AclEntry[]): void => {
  if (entries.length === 0) return;
  const named = count(entries, ACL_USER) + count(entries, ACL_GROUP);
  const known = [ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER];
  const ok =
    count(entries, ACL_USER_OBJ) === 1 &&
    count(entries, ACL_GROUP_OBJ) === 1 &&
    count(entries, ACL_OTHER) === 1 &&
    count(entries, ACL_MASK) <= 1 &&
    (named === 0 || count(entries, ACL_MASK) === 1) &&
    entries.every((entry) => known.includes(entry.tag) && (entry.perm & ~7) === 0);
  if (!ok) throw fsError('EINVAL', 'acl');
};

const encodeAcl = (entries: readonly AclEntry[]): Uint8Array => {
  const value = new Uint8Array(4 + entries.length * 8);
  const view = new DataView(value.buffer);
  view.setUint32(0, 2, true);
  entries.forEach((entry, i) => {
    view.setUint16(4 + i * 8, entry.tag, true);
    view.setUint16(6 + i * 8, entry.perm, true);
    view.setUint32(8 + i * 8, entry.id, true);
  });
  return value;
};

const permOf = (entries: readonly AclEntry[], tag: number): number =>
  entries.find((entry) => entry.tag === tag)?.perm ?? 0;

/** The nine permission bits that an access ACL stands for: the group bits are the mask's, if there is one. */
const modeOfAcl = (entries: readonly AclEntry[]): number => {
  const group = count(entries, ACL_MASK) > 0 ? ACL_MASK : ACL_GROUP_OBJ;
  return (permOf(entries, ACL_USER_OBJ) << 6) | (permOf(entries, group) << 3) | permOf(entries, ACL_OTHER);
};

const isMinimal = (entries: readonly AclEntry[]): boolean => entries.length <= 3;

/** What setting an access ACL does: the new permission bits, and whether anything is left to store beyond them. */
export const accessAclEffect = (value: Uint8Array): { permissions: number | undefined; store: boolean } => {
  const entries = parseAcl(value);
  if (entries.length === 0) return { permissions: undefined, store: false };
  return { permissions: modeOfAcl(entries), store: !isMinimal(entries) };
};

/** chmod of a file with an access ACL: the ACL after it. (posix_acl_chmod) */
export const aclAfterChmod = (value: Uint8Array, mode: number): Uint8Array => {
  const entries = parseAcl(value);
  const group = count(entries, ACL_MASK) > 0 ? ACL_MASK : ACL_GROUP_OBJ;
  for (const entry of entries) {
    if (entry.tag === ACL_USER_OBJ) entry.perm = (mode >> 6) & 7;
    else if (entry.tag === group) entry.perm = (mode >> 3) & 7;
    else if (entry.tag === ACL_OTHER) entry.perm = mode & 7;
  }
  return encodeAcl(entries);
};

/** A new file under a directory with a default ACL: its mode and access ACL. (posix_acl_create_masq) */
export const inheritAcl = (
  defaultAcl: Uint8Array,
  mode: number,
): { mode: number; access: Uint8Array | undefined } => {
  const entries = parseAcl(defaultAcl);
  if (entries.length === 0) return { mode, access: undefined };
  const group = count(entries, ACL_MASK) > 0 ? ACL_MASK : ACL_GROUP_OBJ;
  for (const entry of entries) {
    if (entry.tag === ACL_USER_OBJ) entry.perm &= (mode >> 6) & 7;
    else if (entry.tag === group) entry.perm &= (mode >> 3) & 7;
    else if (entry.tag === ACL_OTHER) entry.perm &= mode & 7;
  }
  const newMode = (mode & ~0o777) | modeOfAcl(entries);
  return { mode: newMode, access: isMinimal(entries) ? undefined : encodeAcl(entries) };
};
