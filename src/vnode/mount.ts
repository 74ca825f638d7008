/**
 * Mount: one mounted store, after DragonFly's `struct mount` (sys/sys/mount.h).
 *
 * INVARIANT: every vnode with mp = this is on the queue exactly once, and queueSize counts them, the syncer
 * vnode excepted.
 */
import { asIno } from '../base/ids.js';
import type { InodeRecord } from '../store/types.js';
import { VFlag, VType, Vnode } from './vnode.js';

/** What the filesystem type does for the vnode layer: the VOPs and VFSOPs that it calls. */
export interface MountOps {
  /** Reads the row of an inode; undefined if there is none. */
  loadInode(ino: number): InodeRecord | undefined;
  /** VOP_INACTIVE: the last reference of an unlinked vnode that the kernel has forgotten is gone: remove it. */
  inactive(vp: Vnode): void;
}

/** A scan in progress over the mount queue: vmntvnodescan_info. */
export interface VnodeScan {
  vp: Vnode | undefined;
}

export class Mount {
  readonly ops: MountOps;
  /** mnt_nvnodelist. */
  queueHead: Vnode | undefined = undefined;
  queueTail: Vnode | undefined = undefined;
  queueSize = 0;
  /** mnt_vnodescan_list. */
  readonly scans = new Set<VnodeScan>();
  /** mnt_syncer: the LRU placemark of the recycler, itself on the queue. */
  readonly syncer: Vnode;
  /**
   * A vnode was reclaimed while the kernel counted lookups of it: from now on a loaded vnode's count may be too
   * low.
   */
  lookupCountsLost = false;
  /** The root vnode, referenced by the mount from its start to its end. */
  rootVnode: Vnode | undefined = undefined;

  constructor(ops: MountOps) {
    this.ops = ops;
    this.syncer = new Vnode(asIno(0));
    this.syncer.flag |= VFlag.VSYSTEM;
    this.syncer.type = VType.VNON;
    this.queueHead = this.syncer;
    this.queueTail = this.syncer;
  }
}
