/**
 * Buf: the resident pages of one chunk of one file, the counterpart of DragonFly's `struct buf`.
 *
 * A page of a buf is in one of these states (bit n of the masks is page n of the chunk):
 *
 *   absent   valid=0                 its bytes are in the store, or zeros beyond `extent`
 *   clean    valid=1 dirty=0 sealed=0  equals the store; may be evicted
 *   dirty    valid=1 dirty=1           changed in the open transaction group
 *   sealed   valid=1 sealed=1          belongs to the group being committed: IMMUTABLE; a write takes a new frame
 *
 * INVARIANT: dirty and sealed are subsets of valid, and disjoint.
 * A chunk that a group clones or preallocates, or whose pages were all cut off after they were sealed, has no row of
 * its own in the store until that group is committed (`rowTxg`): only the buf knows its extent and where its bytes
 * are, so the buf stays resident till then.
 *
 * INVARIANT: a buf is on an LRU list if and only if it is not pinned (no dirty page, no sealed one, no row on its way).
 * INVARIANT: a vnode with a dirty buf is on the open group's list, one with a sealed buf on the sealed group's, one
 * with a row on its way on that group's: those hold it.
 */
import type { LruNode } from './lru.js';
import type { Vnode } from './vnode.js';

export class Buf implements LruNode<Buf> {
  readonly vp: Vnode;
  /** Chunk index in the file. */
  readonly index: number;
  /** frames[n] is the frame of page n, or -1. Grows as pages come: a small file has a short array. */
  readonly frames: number[] = [];
  valid = 0;
  dirty = 0;
  sealed = 0;
  /**
   * Pages that the store will charge for this chunk once everything pending is committed; see TxgOps.writePages.
   * Pages at or past it that are absent are zeros.
   */
  extent: number;
  /**
   * Of that, what the store has or is on its way to it by a log: without the pages dirty in the open group. When those
   * are cut off again before they are sealed, the store never hears of them, and the extent falls back to this.
   */
  rowExtent: number;
  /** The group that brings this chunk's row to the store, while it is not committed; else 0. */
  rowTxg = 0;
  /** Chunk row that holds the bytes of absent pages until group `sourceTxg` is in the store; 0: the chunk's own row. */
  source = 0;
  sourceTxg = 0;
  /** Bytes of the source that count: those past a truncation after the clone don't. */
  sourceLimit = Infinity;
  /** Request in which the buf was last used: the evictor leaves those of the current request alone. */
  stamp = 0;
  /** Load number at the first use; see BufCache.touch. */
  firstUse = 0;
  hot = false;
  /** It isn't likely to be used again: see BufCache.pass. */
  passing = false;
  dead = false;
  lruPrev: Buf | undefined = undefined;
  lruNext: Buf | undefined = undefined;
  onLru = false;

  constructor(vp: Vnode, index: number, extent: number) {
    this.vp = vp;
    this.index = index;
    this.extent = extent;
    this.rowExtent = extent;
  }

  /** Something of it is on its way to the store. */
  get pinned(): boolean {
    return (this.dirty | this.sealed) !== 0 || this.rowTxg !== 0;
  }
}

/** Index of the highest set bit, plus 1; 0 for no bit. */
export const lengthOfMask = (mask: number): number => 32 - Math.clz32(mask);

/** Number of set bits. */
export const popcount = (mask: number): number => {
  let v = mask - ((mask >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
};

/** Bits first..last inclusive, 0 <= first <= last <= 31. */
export const maskOf = (first: number, last: number): number =>
  ((0xffffffff << first) & (0xffffffff >>> (31 - last))) | 0;

/** The lowest `pages` bits; none for 0 or less, all for 32 or more. */
export const maskBelow = (pages: number): number => (pages <= 0 ? 0 : maskOf(0, Math.min(pages, 32) - 1));

/**
 * Index of the lowest set bit; mask is not 0. To walk a mask: `for (let rest = mask; rest !== 0; rest &= rest -
 * 1)`.
 */
export const lowestBit = (mask: number): number => 31 - Math.clz32(mask & -mask);

/** Lists the pages of `mask` and their frames in these arrays, from their start. Returns how many. */
export const listPages = (buf: Buf, mask: number, pages: number[], frames: number[]): number => {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) {
    const page = lowestBit(rest);
    pages[count] = page;
    frames[count++] = buf.frames[page];
  }
  return count;
};
