/**
 * Vnode: the in-memory inode, after DragonFly's `struct vnode` (sys/sys/vnode.h).
 *
 *   getnewvnode      ACTIVE    useCount > 0
 *   last vrele  →    INACTIVE  useCount = 0: cached, a candidate of the recycler once nothing holds it
 *   vget        →    ACTIVE    again (VAGE bits cleared one by one at each open)
 *   vgone       →    RECLAIMED flag VRECLAIMED: dissociated from its ino and off the vnode table and queue
 *
 * References are held by
 *   useCount    open handles, requests in flight, the mount for its root            (vref / vrele)
 *   holdCount   the open group's list of dirty vnodes, the sealed group's: attributes, names, bufs  (vhold / vdrop)
 *   lookupCount what the kernel remembers of the nodeid (LOOKUP adds, FORGET subtracts)
 *
 * INVARIANT: no count is negative.
 * INVARIANT: VRECLAIMED implies no bufs, no names, in no table; one that still has references (force-close: the handles
 *            are dead) is on the queue of the dummy mount, others on none.
 * (nlink = 0) is
 * INVARIANT: a linked vnode may be reclaimed with lookupCount > 0 (the nodeid loads again); an unlinked one
 *            removed from the store when useCount and lookupCount are both 0, and is not reclaimed before.
 * INVARIANT: holdCount > 0 implies not reclaimed.
 */
import { asIno, type ByteName, type Ino } from '../base/ids.js';
import type { InodeRecord } from '../store/types.js';
import type { Buf } from './buf.js';
import type { NameEntry } from './name-cache.js';
import type { Mount } from './mount.js';

export const VType = {
  VNON: 0,
  VREG: 1,
  VDIR: 2,
  VBLK: 3,
  VCHR: 4,
  VLNK: 5,
  VSOCK: 6,
  VFIFO: 7,
  VBAD: 8,
} as const;
export type VTypeValue = (typeof VType)[keyof typeof VType];

export const VFlag = {
  /** Both set: used once. Each open clears one: VAGE0, then VAGE1. */
  VAGE0: 1,
  VAGE1: 2,
  VRECLAIMED: 4,
  VROOT: 8,
  /** The syncer vnode: a placemark, never given out. */
  VSYSTEM: 16,
  /** Exclusively locked by an allocation, a reclaim or a slow scan (vx_lock). */
  VXLOCK: 32,
} as const;

export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
export const S_IFLNK = 0o120000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_IXGRP = 0o0010;

/** Inode flags (include/uapi/linux/fs.h) that mean something here. */
export const FS_IMMUTABLE_FL = 0x10;
export const FS_APPEND_FL = 0x20;
export const FS_NODUMP_FL = 0x40;
export const FS_NOATIME_FL = 0x80;

const TYPE_OF_FORMAT: Record<number, VTypeValue> = {
  0o010000: VType.VFIFO,
  0o020000: VType.VCHR,
  0o040000: VType.VDIR,
  0o060000: VType.VBLK,
  0o100000: VType.VREG,
  0o120000: VType.VLNK,
  0o140000: VType.VSOCK,
};

/** VBAD for a mode whose type bits name no file type: a damaged row. */
export const vtypeOfMode = (mode: number): VTypeValue => TYPE_OF_FORMAT[mode & S_IFMT] ?? VType.VBAD;

/**
 * A zero that V8 keeps as a double. A field has the representation of the first value that it was given; when a later
 * one doesn't fit, V8 makes a new hidden class, moves every vnode to it, and throws away what it had compiled.
 */
const DOUBLE_ZERO = -0;

export class Vnode implements InodeRecord {
  mp: Mount | undefined = undefined;
  ino: Ino;
  type: VTypeValue = VType.VNON;
  flag: number = VFlag.VAGE0 | VFlag.VAGE1;

  useCount = 0;
  holdCount = 0;
  lookupCount = 0;
  /** Set on a vnode loaded again after a reclaim while the kernel may still have counted lookups of it. */
  lookupCountLost = false;
  /** The name by which the kernel last came here, and its directory; an empty name: by none. */
  seenParent: Ino = asIno(0);
  seenName: ByteName = '' as ByteName;
  /** Open handles that may write: v_writecount. */
  writeCount = 0;
  /** Open handles, kinds together. */
  openCount = 0;

  // Attributes: InodeRecord, as stored (or to be stored, when dirty).
  mode = 0;
  uid = 0;
  gid = 0;
  nlink = 0;
  size = DOUBLE_ZERO;
  rdev = 0;
  allocPages = 0;
  flags = 0;
  xattrCount = 0;
  parent = 0;
  nextCookie = 0;
  atimeSec = DOUBLE_ZERO;
  atimeNsec = 0;
  mtimeSec = DOUBLE_ZERO;
  mtimeNsec = 0;
  ctimeSec = DOUBLE_ZERO;
  ctimeNsec = 0;
  btimeSec = DOUBLE_ZERO;
  btimeNsec = 0;

  // State of write-back; owned by the txg pipeline (src/syncer/txgs.ts).
  /** The row differs from what is sealed or stored. */
  attrDirty = false;
  /** On the open group's list of vnodes. */
  onDirtyList = false;
  /**
   * Last group in which anything about this vnode, or a name leading to it, changed; 0 is none since it was
   * loaded.
   */
  dirtyTxg = 0;
  /** The store has (or, once the sealed group commits, will have) a row for it. */
  inStore = false;
  /** Operations on it have been appended to the open group's log. */
  logged = false;
  /** Removed: the row goes with the open group. Nothing is written for it any more. */
  removed = false;
  /**
   * Bytes of stored data at and past the lower of these are to be cut by the open / the sealed group: see
   * stored-range.ts.
   */
  cutOpen = Infinity;
  cutSealed = Infinity;
  /** Chunk ranges [from, to) to be dropped by the open / the sealed group; flat pairs. */
  dropsOpen: number[] | undefined = undefined;
  dropsSealed: number[] | undefined = undefined;

  /** Resident bufs by chunk index. */
  bufs: Map<number, Buf> | undefined = undefined;
  /** Pages valid in them. */
  residentPages = 0;
  /** Bufs with pages dirty in the open group. */
  dirtyBufs: Buf[] | undefined = undefined;
  /** Of a directory: cached names. */
  names: Map<ByteName, NameEntry> | undefined = undefined;
  /** Of a directory: `names` holds every entry there is. */
  namesComplete = false;
  /** Of a directory: entries not yet in the store, by ascending cookie (some stale: see name-cache.ts). */
  added: NameEntry[] | undefined = undefined;
  addedCookies: number[] | undefined = undefined;
  /** Names of this directory that are dirty or sealed. */
  dirtyNames = 0;
  /** Of a symlink: its target, when known; and extended attributes, all or none. See value-cache.ts. */
  linkTarget: Uint8Array | undefined = undefined;
  xattrs: Map<ByteName, Uint8Array> | undefined = undefined;
  /** Last group that changed those, while it is not committed; else 0. */
  valuesTxg = 0;

  // Mount queue links: v_nmntvnodes.
  mqPrev: Vnode | undefined = undefined;
  mqNext: Vnode | undefined = undefined;

  constructor(ino: Ino) {
    this.ino = ino;
  }

  /** Fills the attributes from a stored row. */
  load(record: InodeRecord): void {
    this.mode = record.mode;
    this.uid = record.uid;
    this.gid = record.gid;
    this.nlink = record.nlink;
    this.size = record.size;
    this.rdev = record.rdev;
    this.allocPages = record.allocPages;
    this.flags = record.flags;
    this.xattrCount = record.xattrCount;
    this.parent = record.parent;
    this.nextCookie = record.nextCookie;
    this.atimeSec = record.atimeSec;
    this.atimeNsec = record.atimeNsec;
    this.mtimeSec = record.mtimeSec;
    this.mtimeNsec = record.mtimeNsec;
    this.ctimeSec = record.ctimeSec;
    this.ctimeNsec = record.ctimeNsec;
    this.btimeSec = record.btimeSec;
    this.btimeNsec = record.btimeNsec;
    this.inStore = true;
    this.type = vtypeOfMode(record.mode);
  }

  get isDir(): boolean {
    return this.type === VType.VDIR;
  }
  get isReg(): boolean {
    return this.type === VType.VREG;
  }
}
