/**
 * What of a file's stored data still counts. A truncate or a punched hole is applied to the store only when its group
 * commits; until the dispatcher has heard of the commit, what the store shows must be cut by hand.
 *
 * Kept for the open and the sealed group apart: once the sealed group has committed, data beyond *its* cut may have
 * been written by that same group, and must not be hidden by a cut that no longer is pending.
 */
import type { Vnode } from './vnode.js';

/** Stored bytes at and past this offset are void. */
export const storedLimit = (vp: Vnode): number => Math.min(vp.cutOpen, vp.cutSealed);

const within = (ranges: readonly number[] | undefined, index: number): boolean => {
  if (ranges === undefined) return false;
  for (let i = 0; i < ranges.length; i += 2) if (index >= ranges[i] && index < ranges[i + 1]) return true;
  return false;
};

/** Stored chunk `index` is to be dropped by a pending group. */
export const isDropped = (vp: Vnode, index: number): boolean =>
  within(vp.dropsOpen, index) || within(vp.dropsSealed, index);

/**
 * Calls `visit(from, to)` for the maximal ranges of chunk indices within [from, to) that neither `resident` names
 * (ascending) nor a pending drop covers.
 */
export const storedGaps = (
  vp: Vnode,
  from: number,
  to: number,
  resident: readonly number[],
  visit: (from: number, to: number) => void,
): void => {
  const cuts: number[][] = resident.map((index) => [index, index + 1]);
  for (const ranges of [vp.dropsOpen, vp.dropsSealed]) {
    if (ranges) for (let i = 0; i < ranges.length; i += 2) cuts.push([ranges[i], ranges[i + 1]]);
  }
  cuts.sort((a, b) => a[0] - b[0]);
  let at = from;
  for (const [start, end] of cuts) {
    if (start >= to) break;
    if (start > at) visit(at, start);
    if (end > at) at = end;
  }
  if (at < to) visit(at, to);
};
