/**
 * The vnode cache of a daemon: its mounts and filesystem types, and one budget (`vnodesMax`, desiredvnodes) over all
 * mounts.
 * After sys/kern/vfs_lock.c (vref, vrele, vget, vhold, vdrop), vfs_subr.c (vgone) and vfs_mount.c (getnewvnode).
 *
 * Synchronous, on one thread: a vnode can't change under a caller except across deferred work, which must hold
 * a reference.
 */
import { assert } from '../base/assert.js';
import { asIno, type Ino } from '../base/ids.js';
import { fsError } from '../base/errno.js';
import { BioOpsList } from './bio-ops.js';
import type { BufCache } from './buf-cache.js';
import { MNT_RDONLY, mountInit, type Mount } from './mount.js';
import { MountList } from './mount-list.js';
import { insmntque } from './mount-queue.js';
import type { NameCache } from './name-cache.js';
import { PAGE_BYTES } from '../store/types.js';
import { ValueCache } from './value-cache.js';
import { VfsConfList } from './vfs-conf.js';
import { VFlag, VType, Vnode } from './vnode.js';

/** Values kept with vnodes may take this part of what the pages may, and at least this much. */
const VALUES_PART = 16;
const VALUES_MIN_BYTES = 256 << 10;

export class VnodeCache {
  readonly bufs: BufCache;
  readonly names: NameCache;
  readonly values: ValueCache;
  readonly vfsconf = new VfsConfList();
  readonly mountlist = new MountList();
  readonly bioOps = new BioOpsList();
  /** Where force-closed vnodes are until their last handle is closed: its operations fail. */
  readonly dummymount: Mount;
  /** Called by an allocation that finds the budget used up, before it allocates. */
  onFull: () => void = () => undefined;
  /** desiredvnodes. */
  readonly max: number;
  /** numvnodes: resident vnodes of all mounts. */
  count = 0;
  /** Of these, with useCount > 0. */
  active = 0;
  allocations = 0;
  reclaims = 0;
  hits = 0;
  misses = 0;

  constructor(bufs: BufCache, names: NameCache, max: number) {
    this.bufs = bufs;
    this.names = names;
    this.values = new ValueCache(Math.max(VALUES_MIN_BYTES, (bufs.pool.size * PAGE_BYTES) / VALUES_PART));
    this.max = max;
    const dead = {
      loadInode: () => undefined,
      inactive: () => undefined,
      audit: () => ({
        open: new Set<Vnode>(),
        sealed: new Set<Vnode>(),
        sealedFrames: 0,
        orphanedFrames: [],
        wrong: [],
      }),
    };
    this.dummymount = mountInit(this, this.vfsconf.vfsconfAdd('dummy'), dead, false);
    this.dummymount.flag |= MNT_RDONLY;
  }

  /** Resident vnodes of `mp` by inode number. */
  table(mp: Mount): ReadonlyMap<number, Vnode> {
    return mp.table;
  }

  /**
   * Allocates a vnode: referenced, exclusively locked (VX), on the mount's queue but invisible (VNON). The caller fills
   * it and calls {@link vxUnlock} (which leaves the reference to it). May free other vnodes, none of them referenced or
   * held. (getnewvnode)
   */
  getnewvnode(mp: Mount, ino: Ino): Vnode {
    if (this.count >= this.max) this.onFull();
    const vp = new Vnode(ino);
    vp.flag |= VFlag.VXLOCK;
    vp.useCount = 1;
    mp.table.set(ino, vp);
    insmntque(vp, mp);
    this.count++;
    this.active++;
    this.allocations++;
    return vp;
  }

  /**
   * A vnode without an inode, for the system's own use: VNON and VSYSTEM, on the queue of `mp` (or of the dummy mount),
   * in no table. Returned as by {@link getnewvnode}. (getspecialvnode)
   */
  getspecialvnode(mp: Mount | undefined): Vnode {
    const vp = new Vnode(asIno(0));
    vp.flag = VFlag.VXLOCK | VFlag.VSYSTEM;
    vp.useCount = 1;
    insmntque(vp, mp ?? this.dummymount);
    this.count++;
    this.active++;
    this.allocations++;
    return vp;
  }

  /** Ends a mount's syncer vnode: nothing may be left but it. */
  freeSyncvnode(mp: Mount): void {
    const vp = mp.syncer;
    assert(vp !== undefined && mp.queueSize === 0, 'freeSyncvnode: vnodes left');
    mp.queueSize++;
    mp.syncer = undefined;
    this.vgone(vp);
    this.vrele(vp);
  }

  /** Gives `mp` its syncer vnode, which marks the end of the LRU. (vfs_allocate_syncvnode, sys/kern/vfs_sync.c) */
  allocateSyncvnode(mp: Mount): void {
    const vp = this.getspecialvnode(mp);
    mp.syncer = vp;
    mp.queueSize--;
    this.vxUnlock(vp);
  }

  /** Unlocks what {@link getnewvnode} returned; the reference stays. (vx_unlock) */
  vxUnlock(vp: Vnode): void {
    vp.flag &= ~VFlag.VXLOCK;
  }

  /** References and locks exclusively. (vx_get) */
  vxGet(vp: Vnode): void {
    assert((vp.flag & VFlag.VXLOCK) === 0, 'vxGet: locked');
    this.vref(vp);
    vp.flag |= VFlag.VXLOCK;
  }

  /** Undoes {@link vxGet}. (vx_put) */
  vxPut(vp: Vnode): void {
    vp.flag &= ~VFlag.VXLOCK;
    this.vrele(vp);
  }

  /** The resident vnode or undefined; takes no reference. */
  peek(mp: Mount, ino: Ino): Vnode | undefined {
    return mp.table.get(ino);
  }

  /**
   * The vnode of `ino`, resident or loaded from the store, with a reference that the caller must vrele.
   * Throws ESTALE if there is no such inode, EIO if its row names no file type.
   */
  vget(mp: Mount, ino: Ino): Vnode {
    const resident = mp.table.get(ino);
    if (resident !== undefined) {
      if (resident.removed) throw fsError('ESTALE', 'vget');
      this.hits++;
      this.vref(resident);
      return resident;
    }
    this.misses++;
    const record = mp.ops.loadInode(ino);
    if (record === undefined) throw fsError('ESTALE', 'vget');
    const vp = this.getnewvnode(mp, ino);
    vp.load(record);
    vp.lookupCountLost = mp.lookupCountsLost;
    this.vxUnlock(vp);
    if (vp.type === VType.VBAD) {
      this.vrele(vp);
      throw fsError('EIO', 'vget');
    }
    return vp;
  }

  vref(vp: Vnode): void {
    if (vp.useCount++ === 0) this.active++;
  }

  vrele(vp: Vnode): void {
    assert(vp.useCount > 0, 'vrele: negative useCount');
    if (--vp.useCount > 0) return;
    if (vp.flag & VFlag.VRECLAIMED) {
      // The last handle of a force-closed vnode.
      if (vp.mp !== undefined) insmntque(vp, undefined);
      return;
    }
    this.active--;
    if (vp.nlink === 0) this.maybeInactive(vp);
  }

  /**
   * Removes an unlinked vnode that nobody refers to any more. (VOP_INACTIVE) Where a reclaim has lost the kernel's
   * count it waits for the FORGET: whoever unlinks a name has looked it up, and the kernel still has changed times to
   * send (fs/fuse/dir.c, fuse_entry_unlinked), whose refusal a later syncfs(2) would report.
   */
  maybeInactive(vp: Vnode): void {
    if (vp.useCount !== 0 || vp.lookupCount !== 0 || vp.nlink !== 0 || vp.removed) return;
    if (vp.lookupCountLost) return;
    if (vp.flag & VFlag.VRECLAIMED || vp.mp === undefined) return;
    vp.mp.ops.inactive(vp);
  }

  /**
   * FORGET: the kernel gave back `count` lookups. It forgets an inode wholly, with its whole count at once, so after a
   * reclaim lost our count, a FORGET of at least what we counted since says that nothing is remembered any more. (A
   * LOOKUP answered just before and still on its way to the kernel could be forgotten too early by that; then a later
   * use of the removed file gets ESTALE.)
   */
  forget(vp: Vnode, count: number): void {
    if (vp.lookupCountLost && count >= vp.lookupCount) {
      vp.lookupCount = 0;
      vp.lookupCountLost = false;
    } else {
      vp.lookupCount = Math.max(0, vp.lookupCount - count);
    }
    if (vp.nlink === 0) this.maybeInactive(vp);
  }

  vhold(vp: Vnode): void {
    vp.holdCount++;
  }

  vdrop(vp: Vnode): void {
    assert(vp.holdCount > 0, 'vdrop: negative holdCount');
    vp.holdCount--;
  }

  /** An open of `vp`: it has been used more than once after two of them. (vop_open's VAGE handling) */
  age(vp: Vnode): void {
    if (vp.flag & VFlag.VAGE0) vp.flag &= ~VFlag.VAGE0;
    else vp.flag &= ~VFlag.VAGE1;
  }

  /**
   * Dissociates `vp` from its ino: drops its bufs and names, takes it off table and queue. Requires no hold; the store
   * must have all it needs. While references remain (force-close) it stays, VRECLAIMED, on the queue of the dummy
   * mount. (vgone_vxlocked, and what vflush_scan does after it)
   */
  vgone(vp: Vnode): void {
    assert((vp.flag & VFlag.VRECLAIMED) === 0, 'vgone: twice');
    assert(vp.holdCount === 0, 'vgone: held');
    const mp = vp.mp;
    assert(mp !== undefined, 'vgone: no mount');
    vp.flag |= VFlag.VRECLAIMED;
    mp.ops.reclaim?.(vp);
    if (vp.lookupCount > 0 || vp.lookupCountLost) mp.lookupCountsLost = true;
    if (vp.bufs) for (const buf of [...vp.bufs.values()]) this.bufs.destroy(buf);
    vp.bufs = undefined;
    this.names.purge(vp);
    this.values.forget(vp);
    vp.xattrs = undefined;
    vp.linkTarget = undefined;
    if (mp.table.get(vp.ino) === vp) mp.table.delete(vp.ino);
    insmntque(vp, vp.useCount > 0 ? this.dummymount : undefined);
    this.count--;
    if (vp.useCount > 0) this.active--;
    this.reclaims++;
  }
}
