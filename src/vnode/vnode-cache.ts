/**
 * The vnode cache of a daemon: one table a mount, one budget (`vnodesMax`, desiredvnodes) over all of them.
 * After sys/kern/vfs_lock.c (vref, vrele, vget, vhold, vdrop), vfs_subr.c (vgone) and vfs_mount.c (getnewvnode).
 *
 * Synchronous, on one thread: a vnode can't change under a caller except across deferred work, which must hold
 * a reference.
 */
import { assert } from '../base/assert.js';
import type { Ino } from '../base/ids.js';
import { fsError } from '../base/errno.js';
import type { BufCache } from './buf-cache.js';
import type { Mount } from './mount.js';
import { insmntque } from './mount-queue.js';
import type { NameCache } from './name-cache.js';
import { VFlag, VType, Vnode } from './vnode.js';

export class VnodeCache {
  readonly bufs: BufCache;
  readonly names: NameCache;
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
  readonly #tables = new Map<Mount, Map<number, Vnode>>();

  constructor(bufs: BufCache, names: NameCache, max: number) {
    this.bufs = bufs;
    this.names = names;
    this.max = max;
  }

  addMount(mp: Mount): void {
    this.#tables.set(mp, new Map());
  }

  /** Requires that no vnode of the mount is left. */
  removeMount(mp: Mount): void {
    assert(mp.queueSize === 0, 'removeMount: vnodes left');
    this.#tables.delete(mp);
  }

  mounts(): Iterable<Mount> {
    return this.#tables.keys();
  }

  table(mp: Mount): ReadonlyMap<number, Vnode> {
    return this.#tableOf(mp);
  }

  #tableOf(mp: Mount): Map<number, Vnode> {
    const table = this.#tables.get(mp);
    assert(table !== undefined, 'unknown mount');
    return table;
  }

  /**
   * Allocates a vnode: referenced, exclusively locked (VX), on the mount's queue but invisible (VNON).
   * The caller fills it and calls {@link vxUnlock} (which leaves the reference to it). (getnewvnode)
   */
  getnewvnode(mp: Mount, ino: Ino): Vnode {
    const vp = new Vnode(ino);
    vp.flag |= VFlag.VXLOCK;
    vp.useCount = 1;
    this.#tableOf(mp).set(ino, vp);
    insmntque(vp, mp);
    this.count++;
    this.active++;
    this.allocations++;
    return vp;
  }

  vxUnlock(vp: Vnode): void {
    vp.flag &= ~VFlag.VXLOCK;
  }

  /** The resident vnode or undefined; takes no reference. */
  peek(mp: Mount, ino: Ino): Vnode | undefined {
    return this.#tableOf(mp).get(ino);
  }

  /**
   * The vnode of `ino`, resident or loaded from the store, with a reference that the caller must vrele.
   * Throws ESTALE if there is no such inode, EIO if its row names no file type.
   */
  vget(mp: Mount, ino: Ino): Vnode {
    const resident = this.#tableOf(mp).get(ino);
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
    if (--vp.useCount === 0) {
      this.active--;
      if (vp.nlink === 0) this.maybeInactive(vp);
    }
  }

  /** Removes an unlinked vnode that nobody refers to any more. (VOP_INACTIVE) */
  maybeInactive(vp: Vnode): void {
    if (vp.useCount !== 0 || vp.lookupCount !== 0 || vp.nlink !== 0 || vp.removed) return;
    if (vp.flag & VFlag.VRECLAIMED || vp.mp === undefined) return;
    vp.mp.ops.inactive(vp);
  }

  /**
   * FORGET: the kernel gave back `count` lookups. It forgets an inode wholly, with its whole count at once, so
   * after a
   * reclaim lost our count, a FORGET of at least what we counted since says that nothing is remembered any
   * more. (A LOOKUP answered just
   * before and still on its way to the kernel could be forgotten too early by that; then a later use of the
   * removed file gets ESTALE.)
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
   * Dissociates `vp` from its ino: drops its bufs and names, takes it off table and queue. Requires no hold;
   * the store
   * must have all it needs. References that remain (force-close) see VRECLAIMED. (vgone_vxlocked)
   */
  vgone(vp: Vnode): void {
    assert((vp.flag & VFlag.VRECLAIMED) === 0, 'vgone: twice');
    assert(vp.holdCount === 0, 'vgone: held');
    const mp = vp.mp;
    assert(mp !== undefined, 'vgone: no mount');
    vp.flag |= VFlag.VRECLAIMED;
    if (vp.lookupCount > 0 || vp.lookupCountLost) mp.lookupCountsLost = true;
    if (vp.bufs) for (const buf of [...vp.bufs.values()]) this.bufs.destroy(buf);
    vp.bufs = undefined;
    this.names.purge(vp);
    this.#tableOf(mp).delete(vp.ino);
    insmntque(vp, undefined);
    this.count--;
    if (vp.useCount > 0) this.active--;
    this.reclaims++;
  }
}
