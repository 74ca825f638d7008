/**
 * Filesystem identifiers, after sys/kern/vfs_mount.c (vfs_getnewfsid, vfs_setfsid, mount_cmp).
 *
 * Linux takes no fsid from a FUSE server (st_dev and f_fsid are the kernel's own), so a program sees ours in
 * `vnodefs status --json`.
 */
import { assert } from '../base/assert.js';
import type { Mount } from './mount.js';

/** Two 32-bit words: fsid_t. */
export interface Fsid {
  readonly val0: number;
  readonly val1: number;
}

/** Device numbers of mounts have this major: makeudev(255, x). */
const MAJOR_BITS = 255 << 8;
const MINOR_MASK = 0xffff00ff;

/** 16 hexadecimal digits. */
export const formatFsid = ({ val0, val1 }: Fsid): string =>
  [val0, val1].map((val) => (val >>> 0).toString(16).padStart(8, '0')).join('');

/** FNV-1a. (The kernel uses a CRC-32; any hash that spreads will do.) */
const hash = (text: string): number => {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
};

/**
 * Gives `mp` an fsid made from where it is mounted. {@link MountList.mountlistInsert} makes it unique. Only before the
 * mount has been inserted. (vfs_getnewfsid)
 */
export const vfsGetnewfsid = (mp: Mount): void => {
  assert(!mp.listed, 'vfsGetnewfsid: mounted already');
  const minor = mp.stat.mntonname === '' ? 0 : hash(mp.stat.mntonname) & MINOR_MASK;
  mp.stat.fsid = { val0: (MAJOR_BITS | minor) >>> 0, val1: mp.vfc.typenum };
};

/**
 * Gives `mp` the fsid of its store, so that it is the same at every mount, wherever. Uniqueness and time as for
 * {@link vfsGetnewfsid}. (vfs_setfsid)
 */
export const vfsSetfsid = (mp: Mount, template: Fsid): void => {
  assert(!mp.listed, 'vfsSetfsid: mounted already');
  mp.stat.fsid = template;
};

/** The template of a store: from its uuid, 32 hexadecimal digits. */
export const fsidOfUuid = (uuid: string): Fsid => ({
  val0: Number.parseInt(uuid.slice(0, 8), 16),
  val1: Number.parseInt(uuid.slice(8, 16), 16),
});

/** The next candidate after a collision: counts in the minor number's bits. (the loop of mountlist_insert) */
export const nextFsid = ({ val0, val1 }: Fsid): Fsid => {
  const count = ((((val0 & 0xffff0000) >>> 8) | (val0 & 0xff)) + 1) & 0xffffff;
  const next = (((count & 0xffff00) << 8) | (count & 0xff) | (val0 & 0xff00)) >>> 0;
  return { val0: next, val1: count === 0 ? (val1 + 0x100) >>> 0 : val1 };
};
