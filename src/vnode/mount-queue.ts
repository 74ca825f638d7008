/**
 * The mount queue: all vnodes of a mount, and the scans over it. After sys/kern/vfs_mount.c: insmntque,
 * vremovevnodemnt,
 * vmntvnodescan.
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
  insertBefore(mp, vp, mp.syncer);
  mp.queueSize++;
};

export const VMSC_GETVP = 1;
export const VMSC_GETVX = 2;
export const VMSC_NOWAIT = 4;
export const VMSC_ONEPASS = 8;

export type VnodeScanFn = (mp: Mount, vp: Vnode) => number;

/**
 * Scans the vnodes of a mount (vmntvnodescan). Tolerates that any vnode, the current one too, is removed or
 * moved meanwhile.
 *
 * fastFn is called without a lock: < 0 skips to the next vnode, > 0 ends the scan with that value.
 * slowFn is called with the vnode locked as `flags` say (GETVP a reference, GETVX the exclusive lock), if after
 * getting it the
 * vnode still is where the scan stands and is not VNON; non-zero ends the scan with that value.
 * ONEPASS stops after as many vnodes as there were at the start.
 *
 * In a synchronous core nothing runs between two steps, so the kernel's yield every 10,000 vnodes has no
 * counterpart in here: whoever
 * must not stall requests scans in slices (see vnlru.ts).
 */
export const vmntvnodescan = (
  mp: Mount,
  flags: number,
  fastFn: VnodeScanFn | undefined,
  slowFn: VnodeScanFn | undefined,
): number => {
  const scan: VnodeScan = { vp: mp.queueHead };
  let stopCount = flags & VMSC_ONEPASS ? mp.queueSize + 1 : 0;
  let result = 0;
  mp.scans.add(scan);
  try {
    for (let vp = scan.vp; vp !== undefined; vp = scan.vp) {
      if (vp.type !== VType.VNON) {
        assert(vp.mp === mp, 'vmntvnodescan: vnode of another mount');
        const quick = fastFn ? fastFn(mp, vp) : 0;
        if (quick > 0) {
          result = quick;
          break;
        }
        if (quick === 0 && slowFn && scan.vp === vp) {
          result = slowStep(mp, vp, flags, scan, slowFn);
          if (result !== 0) break;
        }
      }
      if (--stopCount === 0) break;
      if (scan.vp === vp) scan.vp = vp.mqNext;
    }
  } finally {
    mp.scans.delete(scan);
  }
  return result;
};

const slowStep = (mp: Mount, vp: Vnode, flags: number, scan: VnodeScan, slowFn: VnodeScanFn): number => {
  const locked = (vp.flag & VFlag.VXLOCK) !== 0;
  if (locked) {
    // Only a caller further down this same stack can hold it: waiting would be for ever.
    assert(
      (flags & (VMSC_NOWAIT | VMSC_GETVP)) !== 0 || (flags & VMSC_GETVX) === 0,
      'vmntvnodescan: VX recursion',
    );
    return 0;
  }
  const exclusive = (flags & VMSC_GETVX) !== 0;
  if (exclusive) vp.flag |= VFlag.VXLOCK;
  if (flags & (VMSC_GETVP | VMSC_GETVX)) vp.useCount++;
  try {
    return scan.vp === vp ? slowFn(mp, vp) : 0;
  } finally {
    if (flags & (VMSC_GETVP | VMSC_GETVX)) vp.useCount--;
    if (exclusive) vp.flag &= ~VFlag.VXLOCK;
  }
};
