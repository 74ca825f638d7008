/**
 * The mount queue: all vnodes of a mount, and the scans over it. After sys/kern/vfs_mount.c: insmntque,
 * vremovevnodemnt, vmntvnodescan.
 *
 * The queue is also the recycler's clock: the syncer vnode is its hand, new vnodes go in just before it.
 */
import { assert } from '../base/assert.js';
import type { Mount, VnodeScan } from './mount.js';
import { VFlag, VType, type Vnode } from './vnode.js';

const insertBefore = (mp: Mount, vp: Vnode, at: Vnode): void => {
  vp.mqPrev = at.mqPrev;
  vp.mqNext = at;
  if (at.mqPrev) at.mqPrev.mqNext = vp;
  else mp.queueHead = vp;
  at.mqPrev = vp;
};

export const unlinkFromQueue = (mp: Mount, vp: Vnode): void => {
  if (vp.mqPrev) vp.mqPrev.mqNext = vp.mqNext;
  else mp.queueHead = vp.mqNext;
  if (vp.mqNext) vp.mqNext.mqPrev = vp.mqPrev;
  else mp.queueTail = vp.mqPrev;
  vp.mqPrev = undefined;
  vp.mqNext = undefined;
};

export const insertAfter = (mp: Mount, vp: Vnode, at: Vnode | undefined): void => {
  vp.mqPrev = at;
  vp.mqNext = at ? at.mqNext : mp.queueHead;
  if (vp.mqNext) vp.mqNext.mqPrev = vp;
  else mp.queueTail = vp;
  if (at) at.mqNext = vp;
  else mp.queueHead = vp;
};

/** Takes `vp` off its mount's queue; a scan standing on it steps to its successor. (vremovevnodemnt) */
export const vremovevnodemnt = (vp: Vnode): void => {
  const mp = vp.mp;
  assert(mp !== undefined, 'vremovevnodemnt: no mount');
  for (const scan of mp.scans) {
    if (scan.vp === vp) scan.vp = vp.mqNext;
  }
  unlinkFromQueue(mp, vp);
};

/**
 * Moves `vp` to the queue of `mp`, or off any queue. Its place is the LRU's end: just before the syncer vnode.
 * (insmntque)
 */
export const insmntque = (vp: Vnode, mp: Mount | undefined): void => {
  const old = vp.mp;
  if (old !== undefined) {
    assert(old.queueSize > 0, 'insmntque: bad mount queue size');
    vremovevnodemnt(vp);
    old.queueSize--;
  }
  vp.mp = mp;
  if (mp === undefined) return;
  if (mp.syncer !== undefined) insertBefore(mp, vp, mp.syncer);
  else insertAfter(mp, vp, mp.queueTail);
  mp.queueSize++;
};

/** The slow function gets the vnode referenced; exclusively locked and referenced. */
export const VMSC_GETVP = 1;
export const VMSC_GETVX = 2;
/** Skip a vnode that is locked. */
export const VMSC_NOWAIT = 4;
/** End after twice as many vnodes as there were at the start, so that the scan ends while others insert. */
export const VMSC_ONEPASS = 8;

/** A scan pauses after this many vnodes, where its caller can. */
export const SCAN_YIELD_VNODES = 10_000;

export type VnodeScanFn = (mp: Mount, vp: Vnode) => number;

/**
 * Scans the vnodes of a mount. Tolerates that any vnode, the current one too, is removed or moved meanwhile, by the
 * functions or between two slices.
 *
 * fastFn is called without a lock: < 0 skips to the next vnode, > 0 ends the scan with that value. slowFn is called
 * with the vnode locked as `flags` say (VMSC_*), if the vnode still is where the scan stands and is not VNON; non-zero
 * ends the scan with that value. Returns the value that ended it, or 0.
 *
 * The kernel sleeps a tick every 10,000 vnodes. This form yields there: the caller goes on (next) when it likes, or
 * gives up (return). The place is kept in the mount's list of scans. (vmntvnodescan)
 */
export function* vmntvnodescanSlices(
  mp: Mount,
  flags: number,
  fastFn: VnodeScanFn | undefined,
  slowFn: VnodeScanFn | undefined,
): Generator<undefined, number> {
  const scan: VnodeScan = { vp: mp.queueHead };
  let stopCount = flags & VMSC_ONEPASS ? 2 * (mp.queueSize + 1) : 0;
  let count = 0;
  mp.scans.add(scan);
  try {
    for (let vp = scan.vp; vp !== undefined; vp = scan.vp) {
      const result = vp.type === VType.VNON ? 0 : visit(mp, vp, flags, scan, fastFn, slowFn);
      if (result !== 0) return result;
      if (++count === SCAN_YIELD_VNODES) {
        count = 0;
        yield undefined;
      }
      if (--stopCount === 0) break;
      if (scan.vp === vp) scan.vp = vp.mqNext;
    }
  } finally {
    mp.scans.delete(scan);
  }
  return 0;
}

/** Runs what pauses between slices without a pause. */
export const atOneGo = <T>(slices: Generator<undefined, T>): T => {
  for (;;) {
    const slice = slices.next();
    if (slice.done === true) return slice.value;
  }
};

/** As {@link vmntvnodescanSlices}, at one go. */
export const vmntvnodescan = (
  mp: Mount,
  flags: number,
  fastFn: VnodeScanFn | undefined,
  slowFn: VnodeScanFn | undefined,
): number => atOneGo(vmntvnodescanSlices(mp, flags, fastFn, slowFn));

const visit = (
  mp: Mount,
  vp: Vnode,
  flags: number,
  scan: VnodeScan,
  fastFn: VnodeScanFn | undefined,
  slowFn: VnodeScanFn | undefined,
): number => {
  assert(vp.mp === mp, 'vmntvnodescan: vnode of another mount');
  const quick = fastFn ? fastFn(mp, vp) : 0;
  if (quick > 0) return quick;
  return quick === 0 && slowFn && scan.vp === vp ? slowStep(mp, vp, flags, scan, slowFn) : 0;
};

const slowStep = (mp: Mount, vp: Vnode, flags: number, scan: VnodeScan, slowFn: VnodeScanFn): number => {
  if ((vp.flag & VFlag.VXLOCK) !== 0) {
    // Only a caller further down this same stack can hold it: waiting would be for ever.
    assert((flags & VMSC_GETVX) === 0 || (flags & VMSC_NOWAIT) !== 0, 'vmntvnodescan: VX recursion');
    return 0;
  }
  const exclusive = (flags & VMSC_GETVX) !== 0;
  const referenced = exclusive || (flags & VMSC_GETVP) !== 0;
  if (exclusive) mp.vnodes.vxGet(vp);
  else if (referenced) mp.vnodes.vref(vp);
  try {
    return scan.vp === vp ? slowFn(mp, vp) : 0;
  } finally {
    if (exclusive) mp.vnodes.vxPut(vp);
    else if (referenced) mp.vnodes.vrele(vp);
  }
};
