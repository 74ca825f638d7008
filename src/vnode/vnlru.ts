/**
 * The recycler, after sys/kern/vfs_mount.c (the form before DragonFly 4: vmightfree, visleaf,
 * vtrytomakegoneable, vlrureclaim,
 * vnlru_proc).
 *
 * The kernel's runs as a thread; ours runs in slices between requests, at most {@link SLICE} vnodes examined at
 * a time,
 * so that no request waits long behind it.
 */
import { assert } from '../base/assert.js';
import type { Mount } from './mount.js';
import { MNTSCAN_FORWARD } from './mount-list.js';
import { insertAfter, unlinkFromQueue } from './mount-queue.js';
import type { VnodeCache } from './vnode-cache.js';
import { VFlag, VType, type Vnode } from './vnode.js';

/** Vnodes examined per slice and mount. */
const SLICE = 1000;

/** After a round that freed nothing. (the tsleep of vnlru_proc) */
const NOWHERE_REST_MS = 100;

/**
 * A directory is a leaf unless names under it are pinned by a transaction group; other types always are.
 * (visleaf)
 */
export const visleaf = (vp: Vnode): boolean => vp.dirtyNames === 0;

/**
 * Whether `vp` might be freed on this pass. Passes 0..3 make ever more eligible: used once, then opened once,
 * then more often;
 * and before the last pass vnodes with more than `pagesTrigger` resident bufs are spared. (vmightfree)
 */
export const vmightfree = (vp: Vnode, pagesTrigger: number, pass: number): boolean => {
  if (vp.flag & (VFlag.VRECLAIMED | VFlag.VXLOCK | VFlag.VSYSTEM)) return false;
  if (vp.useCount !== 0 || vp.holdCount !== 0 || vp.nlink === 0) return false;
  if (pass < 3 && (vp.bufs?.size ?? 0) > pagesTrigger) return false;
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
  /** Rounds of four passes that freed nothing: raises the trigger of the next. (vnlru_nowhere) */
  nowhere = 0;
  readonly reclaimsByPass = [0, 0, 0, 0];
  longestSliceMs = 0;
  readonly #vnodes: VnodeCache;
  readonly #monotonicMs: () => number;
  #pass = 0;
  #doneInRound = 0;
  #left = 0;
  #restUntilMs = 0;

  constructor(vnodes: VnodeCache, monotonicMs: () => number) {
    this.#vnodes = vnodes;
    this.#monotonicMs = monotonicMs;
  }

  /** Too many vnodes: more than nine tenths of the budget. (the trigger in vnlru_proc) */
  get wanted(): boolean {
    return this.#vnodes.count > (this.#vnodes.max * 9) / 10;
  }

  /** When the next slice is due, in the clock's milliseconds; Infinity: not wanted. */
  get deadlineMs(): number {
    return this.wanted ? this.#restUntilMs : Infinity;
  }

  /** One slice, if due. Returns the number of vnodes freed. (a step of vnlru_proc's loop) */
  runSlice(): number {
    const started = this.#monotonicMs();
    if (started < this.deadlineMs) return 0;
    const done = this.#vnodes.mountlist.mountlistScan((mp) => this.#vlrureclaim(mp), MNTSCAN_FORWARD);
    this.#advance(done);
    const took = this.#monotonicMs() - started;
    if (took > this.longestSliceMs) this.longestSliceMs = took;
    return done;
  }

  #advance(done: number): void {
    this.#doneInRound += done;
    this.reclaimsByPass[this.#pass] += done;
    if (done > 0) return;
    // This pass found nothing in its share of the queue: the next one makes more eligible.
    if (--this.#left > 0) return;
    this.#left = 10;
    if (this.#pass < 3) {
      this.#pass++;
    } else {
      if (this.#doneInRound === 0) {
        this.nowhere++;
        this.#restUntilMs = this.#monotonicMs() + NOWHERE_REST_MS;
      } else {
        this.nowhere = 0;
      }
      this.#pass = 0;
      this.#doneInRound = 0;
    }
  }

  /** Resident bufs a vnode may have and still be freed early: twice the average, more when nothing else gave way. */
  #trigger(): number {
    const average = this.#vnodes.bufs.cleanBufs / (this.#vnodes.count + 1);
    return Math.max(1, average * 2) * (1 + this.nowhere);
  }

  /**
   * Examines at most a tenth of the mount's vnodes (and a slice), the syncer vnode moving on as the LRU's hand.
   * (vlrureclaim)
   */
  #vlrureclaim(mp: Mount): number {
    let count = Math.min(Math.floor(mp.queueSize / 10) + 1, SLICE);
    const trigger = this.#trigger();
    const surplus = this.#vnodes.count - Math.floor((this.#vnodes.max * 8) / 10);
    let done = 0;
    while (count-- > 0 && done < surplus) {
      const vp = this.#stepHand(mp);
      if (vp === undefined) break;
      if (vp.type === VType.VNON) continue;
      if (!vmightfree(vp, trigger, this.#pass)) continue;
      vp.flag |= VFlag.VXLOCK;
      if (vtrytomakegoneable(vp)) {
        this.#vnodes.vgone(vp);
        done++;
      }
      vp.flag &= ~VFlag.VXLOCK;
    }
    return done;
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
