/**
 * The recycler, after sys/kern/vfs_mount.c (the form before DragonFly 4: vmightfree, visleaf, vtrytomakegoneable,
 * vlrureclaim, vnlru_proc, vnlru_proc_wait).
 *
 * The kernel's runs as a thread. Ours runs in slices between requests, each at most {@link SLICE_VNODES} vnodes or
 * {@link SLICE_MS} long, so that no request waits long behind it; an allocation that finds the budget used up waits for
 * slices right away.
 *
 *   trigger  more than nine tenths of vnodesMax are resident; a slice takes at most down to eight tenths
 *   pass 0   only what was used once (a walk: stat, readdir)
 *   pass 1   and what was opened once (a scan of files)
 *   pass 2   and what was opened more often, if it has few resident pages; DragonFly's ages, see vmightfree
 *   pass 3   and what has many
 * Each time that the trigger fires a round begins, with pass 0. A pass that has gone round all queues without freeing anything
 * gives way to the next; a round of four passes without a free raises `nowhere`, and with it the number of pages that a vnode may
 * have and be freed early. The first free lowers it again.
 *
 * INVARIANT: the hand (the syncer vnode) is on the queue of its mount; where it moves, no scan loses its place.
 */
import { assert } from '../base/assert.js';
import type { Mount } from './mount.js';
import { MNTSCAN_FORWARD } from './mount-list.js';
import { insertAfter, unlinkFromQueue } from './mount-queue.js';
import type { VnodeCache } from './vnode-cache.js';
import { VFlag, VType, type Vnode } from './vnode.js';

/**
 * A slice ends after this many vnodes of each mount have been looked at, or when this much time has passed. To pass a
 * vnode over takes some 20 ns, so the clock is asked only after each that is freed: what that takes depends on its
 * pages and names.
 */
const SLICE_VNODES = 1000;
const SLICE_MS = 1;
/** A vnode with more names and pages than this is made smaller by so many when the hand comes by, and goes when it is small enough. */
const CLEAN_STEP = 4096;
/** After a round that freed nothing. (the tsleep of vnlru_proc) */
const NOWHERE_REST_MS = 100;
/** Slices that one allocation waits for at most: what has no end must not hold up a request for ever. */
const WAIT_SLICES_MAX = 16;

/**
 * A directory is a leaf unless names under it are pinned by a transaction group; other types always are.
 * (visleaf)
 */
export const visleaf = (vp: Vnode): boolean => vp.dirtyNames === 0;

/**
 * Whether `vp` might be freed on this pass. Passes 0..3 make ever more eligible: used once, then opened once,
 * then more often;
 * and before the last pass vnodes with more than `pagesTrigger` resident pages are spared. (vmightfree)
 */
export const vmightfree = (vp: Vnode, pagesTrigger: number, pass: number): boolean => {
  if (vp.flag & (VFlag.VRECLAIMED | VFlag.VXLOCK | VFlag.VSYSTEM)) return false;
  if (vp.useCount !== 0 || vp.holdCount !== 0 || vp.nlink === 0) return false;
  if (pass < 3 && vp.residentPages > pagesTrigger) return false;
  switch (vp.flag & (VFlag.VAGE0 | VFlag.VAGE1)) {
    case 0:
      return pass >= 3;
    case VFlag.VAGE0:
      return pass >= 2;
    case VFlag.VAGE1:
      return pass >= 1;
    default:
      return true;
  }
};

/** The check under the exclusive lock, just before vgone. (vtrytomakegoneable) */
export const vtrytomakegoneable = (vp: Vnode): boolean =>
  visleaf(vp) &&
  vp.useCount === 0 &&
  vp.holdCount === 0 &&
  vp.nlink > 0 &&
  (vp.flag & VFlag.VRECLAIMED) === 0;

export class Vnlru {
  /** Rounds of four passes, one after the other, that freed nothing: raises the trigger of the next. (vnlru_nowhere) */
  nowhere = 0;
  /** All such rounds. */
  nowhereTotal = 0;
  readonly reclaimsByPass = [0, 0, 0, 0];
  slices = 0;
  examined = 0;
  /** The longest time that requests had to wait for one slice. */
  longestSliceMs = 0;
  /** Allocations that found the budget used up, and how long they waited for the recycler. */
  waits = 0;
  waitMs = 0;
  readonly #vnodes: VnodeCache;
  readonly #monotonicMs: () => number;
  #pass = 0;
  #doneInRound = 0;
  /** Vnodes looked at in this pass since it last freed one, or made one smaller. */
  #fruitless = 0;
  #cleaned = false;
  #restUntilMs = 0;

  constructor(vnodes: VnodeCache, monotonicMs: () => number) {
    this.#vnodes = vnodes;
    this.#monotonicMs = monotonicMs;
    vnodes.onFull = () => this.vnlruProcWait();
  }

  /** Too many vnodes: more than nine tenths of the budget. (the trigger in vnlru_proc) */
  get wanted(): boolean {
    return this.#vnodes.count > (this.#vnodes.max * 9) / 10;
  }

  /** When the next slice is due, in the clock's milliseconds; Infinity: not wanted. */
  get deadlineMs(): number {
    return this.wanted ? this.#restUntilMs : Infinity;
  }

  /** One slice, if due. Returns the number of vnodes freed. (a step of the loop of vnlru_proc) */
  vnlruProc(): number {
    const started = this.#monotonicMs();
    if (started < this.deadlineMs) return 0;
    this.slices++;
    const { mountlist } = this.#vnodes;
    // Each mount has its share of the time, or those at the end of the list would never be recycled.
    const shareMs = SLICE_MS / Math.max(1, mountlist.size);
    let untilMs = started;
    const before = this.examined;
    const done = mountlist.mountlistScan(
      (mp) => this.#vlrureclaim(mp, (untilMs += shareMs)),
      MNTSCAN_FORWARD,
    );
    this.#advance(done, this.examined - before);
    const took = this.#monotonicMs() - started;
    if (took > this.longestSliceMs) this.longestSliceMs = took;
    return done;
  }

  /**
   * An allocation has outrun the recycler: slices run until there is room, or a round has shown that there is nothing
   * to free (all are open, or on their way to the store: then transaction groups hold back whoever makes more). The
   * kernel sleeps here, a second at most, and then allocates too. (vnlru_proc_wait)
   */
  vnlruProcWait(): void {
    this.waits++;
    const started = this.#monotonicMs();
    const target = this.#vnodes.max;
    const { nowhereTotal } = this;
    for (let i = 0; i < WAIT_SLICES_MAX && this.#vnodes.count >= target; i++) {
      if (started < this.#restUntilMs || this.nowhereTotal !== nowhereTotal) break;
      this.vnlruProc();
    }
    this.waitMs += this.#monotonicMs() - started;
  }

  #advance(done: number, examined: number): void {
    this.#doneInRound += done;
    this.reclaimsByPass[this.#pass] += done;
    if (done > 0) this.nowhere = 0;
    // Not to go on later where this round has stopped: in a late pass it would take what is used often, over again.
    if (!this.wanted) return this.#newRound();
    const progress = done > 0 || this.#cleaned;
    this.#cleaned = false;
    this.#fruitless = progress ? 0 : this.#fruitless + examined;
    // Not yet round all queues: vlrureclaim takes a tenth of one at a time.
    if (progress || this.#fruitless <= this.#vnodes.count) return;
    this.#fruitless = 0;
    if (this.#pass < 3) {
      this.#pass++;
      return;
    }
    if (this.#doneInRound === 0) {
      this.nowhere++;
      this.nowhereTotal++;
      this.#restUntilMs = this.#monotonicMs() + NOWHERE_REST_MS;
    }
    this.#newRound();
  }

  #newRound(): void {
    this.#pass = 0;
    this.#doneInRound = 0;
    this.#fruitless = 0;
  }

  /** Vnodes over eight tenths of the budget. */
  #surplus(): number {
    return this.#vnodes.count - Math.floor((this.#vnodes.max * 8) / 10);
  }

  /** Resident pages that a vnode may have and still be freed before the last pass: twice its share of all, and more
   * after each round that got nowhere. (trigger, in vlrureclaim) */
  get trigger(): number {
    return Math.max(1, Math.floor((this.#vnodes.bufs.pool.size * (this.nowhere + 2)) / this.#vnodes.max));
  }

  /**
   * Looks at a tenth of the mount's vnodes at most (and a slice), the syncer vnode moving on as the LRU's hand.
   * (vlrureclaim)
   */
  #vlrureclaim(mp: Mount, untilMs: number): number {
    let count = Math.min(Math.floor(mp.queueSize / 10) + 1, SLICE_VNODES);
    const { trigger } = this;
    const surplus = this.#surplus();
    let done = 0;
    while (count-- > 0 && done < surplus) {
      const vp = this.#stepHand(mp);
      if (vp === undefined) break;
      this.examined++;
      if (vp.type === VType.VNON || !vmightfree(vp, trigger, this.#pass)) continue;
      vp.flag |= VFlag.VXLOCK;
      if (vtrytomakegoneable(vp) && this.#cleanStep(vp)) {
        this.#vnodes.vgone(vp);
        done++;
      }
      vp.flag &= ~VFlag.VXLOCK;
      if (this.#monotonicMs() >= untilMs) break;
    }
    return done;
  }

  /**
   * Whether `vp` is small enough to be freed at once. A large one is cleaned by a step instead, since to free it would
   * take a slice and more: 400,000 names or 65,000 pages 90 ms.
   */
  #cleanStep(vp: Vnode): boolean {
    const names = vp.names?.size ?? 0;
    if (names + vp.residentPages <= CLEAN_STEP) return true;
    const { bufs, names: cache } = this.#vnodes;
    bufs.shed(vp, CLEAN_STEP - cache.shed(vp, CLEAN_STEP));
    this.#cleaned = true;
    return false;
  }

  /** Moves the syncer vnode behind the next vnode of the queue, wrapping, and returns that vnode. */
  #stepHand(mp: Mount): Vnode | undefined {
    const hand = mp.syncer;
    assert(hand !== undefined, 'vnlru: no syncer vnode');
    let vp = hand.mqNext;
    unlinkFromQueue(mp, hand);
    if (vp === undefined) vp = mp.queueHead;
    // A scan standing on the hand would otherwise follow it across the queue: move it along.
    for (const scan of mp.scans) if (scan.vp === hand) scan.vp = vp;
    insertAfter(mp, hand, vp);
    return vp;
  }
}
