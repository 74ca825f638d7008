/**
 * Mount: one mounted store, after DragonFly's `struct mount` (sys/sys/mount.h) and sys/kern/vfs_mount.c (mount_init,
 * vfs_busy, vfs_unbusy).
 *
 *   vfsRootmountalloc  busied, MNT_RDONLY, on no list
 *   mountlistInsert    LISTED: requests are served
 *   unmountBegin       MNTK_UNMOUNT: nobody gets it busy any more; who asks sleeps, or hears ENOENT at once (NOWAIT)
 *   unmountRefused     LISTED again, the sleepers go on
 *   mountlistRemove    GONE: the sleepers hear ENOENT
 *
 * Counts are held by
 *   busyCount  whoever works on the mount across time: a barrier that waits for its commit, a scan of the mount list
 *              (mnt_lock, shared). A synchronous operation need not count: no unmount can begin inside of it, so it only
 *              looks at the flag ({@link requireNotUnmounting}).
 *
 * INVARIANT: every vnode with mp = this is on the queue exactly once, and queueSize counts them, the syncer
 * vnode excepted.
 * INVARIANT: busyCount >= 0; a mount that has left the mount list has busyCount 0.
 * INVARIANT: two mounts on the list have different fsids.
 */
import { assert } from '../base/assert.js';
import { fsError } from '../base/errno.js';
import { Wakeup, WouldBlock } from '../base/wait.js';
import type { InodeRecord } from '../store/types.js';
import type { BioOps } from './bio-ops.js';
import type { Fsid } from './fsid.js';
import type { VfsConf } from './vfs-conf.js';
import type { Vnode } from './vnode.js';
import type { VnodeCache } from './vnode-cache.js';

/** mnt_flag. */
export const MNT_RDONLY = 1;
/** mnt_kern_flag: an unmount is in progress. */
export const MNTK_UNMOUNT = 1;
/** mnt_kern_flag: somebody sleeps in {@link vfsBusy}. */
export const MNTK_MWAIT = 2;

/** Flag of {@link vfsBusy}. */
export const LK_NOWAIT = 1;

/** What the filesystem type does for the vnode layer: the VOPs and VFSOPs that it calls. */
export interface MountOps {
  /** Reads the row of an inode; undefined if there is none. */
  loadInode(ino: number): InodeRecord | undefined;
  /** VOP_INACTIVE: the last reference of an unlinked vnode that the kernel has forgotten is gone: remove it. */
  inactive(vp: Vnode): void;
  /** VOP_RECLAIM: the vnode is about to go; its counts are still there. */
  reclaim?(vp: Vnode): void;
  /** Called by the invariant checker, between operations. */
  audit(asksStore: boolean): MountAudit;
}

/** What a mount's write-back knows, for the invariant checker (vfs/invariants.ts). */
export interface MountAudit {
  /** Vnodes on the open group's list, and on the sealed group's. */
  open: ReadonlySet<Vnode>;
  sealed: ReadonlySet<Vnode>;
  /** Frames that the sealed group pins, and those among them that no buf shows any more. */
  sealedFrames: number;
  orphanedFrames: readonly number[];
  /** What else doesn't hold, one sentence each. */
  wrong: readonly string[];
}

/** A scan in progress over the mount queue: vmntvnodescan_info. */
export interface VnodeScan {
  vp: Vnode | undefined;
}

export class Mount {
  readonly ops: MountOps;
  /** Whose vnodes these are. */
  readonly vnodes: VnodeCache;
  readonly vfc: VfsConf;
  /** MNT_*. */
  flag = 0;
  /** MNTK_*. */
  kernFlag = 0;
  /** mnt_stat. */
  readonly stat: { fsid: Fsid; mntfromname: string; mntonname: string } = {
    fsid: { val0: 0, val1: 0 },
    mntfromname: '',
    mntonname: '',
  };
  /** On the mount list. */
  listed = false;
  /** Has been on the mount list and left it. */
  gone = false;
  busyCount = 0;
  /** Slept on by {@link vfsBusy} while an unmount runs. */
  readonly unmountEnded = new Wakeup();
  /** Woken when busyCount falls to 0 while an unmount runs. */
  readonly drained = new Wakeup();
  /** mnt_bioops. */
  bioOps: BioOps | undefined = undefined;
  /** Resident vnodes by inode number. */
  readonly table = new Map<number, Vnode>();
  /** mnt_nvnodelist. */
  queueHead: Vnode | undefined = undefined;
  queueTail: Vnode | undefined = undefined;
  queueSize = 0;
  /** mnt_vnodescan_list. */
  readonly scans = new Set<VnodeScan>();
  /** mnt_syncer: the LRU placemark of the recycler, itself on the queue; a dummy mount has none. */
  syncer: Vnode | undefined = undefined;
  /**
   * A vnode was reclaimed while the kernel counted lookups of it: from now on a loaded vnode's count may be too
   * low.
   */
  lookupCountsLost = false;
  /** The root vnode, referenced by the mount from its start to its end. */
  rootVnode: Vnode | undefined = undefined;

  constructor(vnodes: VnodeCache, vfc: VfsConf, ops: MountOps) {
    this.vnodes = vnodes;
    this.vfc = vfc;
    this.ops = ops;
  }
}

/**
 * A mount structure with nothing in it but its syncer vnode: the kernel's mount_init creates the syncer thread, which
 * has this vnode. `withSyncer` false is for a dummy mount, whose vnodes nobody recycles or syncs.
 */
export const mountInit = (vnodes: VnodeCache, vfc: VfsConf, ops: MountOps, withSyncer: boolean): Mount => {
  const mp = new Mount(vnodes, vfc, ops);
  if (withSyncer) vnodes.allocateSyncvnode(mp);
  return mp;
};

/** For synchronous operations: throws as {@link vfsBusy} would, takes nothing. */
export const requireNotUnmounting = (mp: Mount): void => {
  if ((mp.kernFlag & MNTK_UNMOUNT) !== 0) refuse(mp, 0);
};

const refuse = (mp: Mount, flags: number): never => {
  if (mp.gone || (flags & LK_NOWAIT) !== 0) throw fsError('ENOENT', 'vfs_busy');
  mp.kernFlag |= MNTK_MWAIT;
  throw new WouldBlock(mp.unmountEnded);
};

/**
 * A shared hold against unmount; the caller must {@link vfsUnbusy}. While an unmount runs: ENOENT with LK_NOWAIT,
 * otherwise WouldBlock; called again after it, ENOENT if the mount is gone, the hold if the unmount was refused.
 * (vfs_busy, which answers ENOENT in the last case too: its caller has no request to start anew)
 */
export const vfsBusy = (mp: Mount, flags: number): void => {
  if ((mp.kernFlag & MNTK_UNMOUNT) !== 0) refuse(mp, flags);
  mp.busyCount++;
};

/** Releases one hold; the last one lets a waiting unmount go on. (vfs_unbusy) */
export const vfsUnbusy = (mp: Mount): void => {
  assert(mp.busyCount > 0, 'vfsUnbusy: not busy');
  if (--mp.busyCount === 0 && (mp.kernFlag & MNTK_UNMOUNT) !== 0) mp.drained.wakeAll();
};

/**
 * Marks the start of an unmount: from now on nobody gets the mount busy. EBUSY if one runs already. To be called
 * through {@link MountList.mountlistInterlock}. What is busy now must be waited for: {@link Mount.drained}.
 * (dounmount_interlock, sys/kern/vfs_syscalls.c)
 */
export const unmountBegin = (mp: Mount): void => {
  if ((mp.kernFlag & MNTK_UNMOUNT) !== 0) throw fsError('EBUSY', 'unmount');
  mp.kernFlag |= MNTK_UNMOUNT;
};

/** The unmount was refused: the mount goes on, and so do the sleepers. */
export const unmountRefused = (mp: Mount): void => {
  assert((mp.kernFlag & MNTK_UNMOUNT) !== 0 && !mp.gone, 'unmountRefused: no unmount');
  endUnmount(mp, MNTK_UNMOUNT);
};

/** Wakes the sleepers of a mount that is gone. Part of mountlistRemove. */
export const unmountDone = (mp: Mount): void => {
  assert(mp.busyCount === 0, 'unmountDone: busy');
  mp.gone = true;
  mp.kernFlag |= MNTK_UNMOUNT;
  endUnmount(mp, 0);
};

const endUnmount = (mp: Mount, clear: number): void => {
  mp.kernFlag &= ~(clear | MNTK_MWAIT);
  mp.unmountEnded.wakeAll();
};
