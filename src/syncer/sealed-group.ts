/**
 * A sealed transaction group, while the syncer commits it: what the dispatcher must settle when it hears of the
 * commit.
 * The group owns the frames it lists; see Buf for what a write to a sealed page does.
 */
import type { BufCache } from '../vnode/buf-cache.js';
import { listPages, lowestBit, popcount, type Buf } from '../vnode/buf.js';
import type { NameCache, NameEntry } from '../vnode/name-cache.js';
import type { VnodeCache } from '../vnode/vnode-cache.js';
import type { Vnode } from '../vnode/vnode.js';

export class SealedGroup {
  readonly txg: number;
  /** Its commit is synced. */
  readonly barrier: boolean;
  readonly vnodes: Vnode[];
  readonly names: NameEntry[];
  /** Bufs whose rows the group brings, without a page of them: cloned, preallocated, or cut off since. */
  readonly rows: Buf[];
  readonly bufs: Buf[] = [];
  readonly masks: number[] = [];
  /** Frames of all bufs, in order of buf and page. */
  readonly frames: number[] = [];

  constructor(txg: number, barrier: boolean, vnodes: Vnode[], names: NameEntry[], rows: Buf[]) {
    this.txg = txg;
    this.barrier = barrier;
    this.vnodes = vnodes;
    this.names = names;
    this.rows = rows;
  }

  /**
   * Takes over the dirty pages of `buf`; returns their number, their page numbers and frames in the scratch
   * arrays.
   */
  takeBuf(buf: Buf, pages: number[], frames: number[]): number {
    const mask = buf.dirty;
    const count = listPages(buf, mask, pages, frames);
    for (let i = 0; i < count; i++) this.frames.push(frames[i]);
    this.bufs.push(buf);
    this.masks.push(mask);
    buf.sealed = mask;
    buf.dirty = 0;
    return count;
  }

  /** The row that this group brings for `buf` isn't told by any sealed page any more: keeps the buf until it is stored. */
  keepRow(buf: Buf): void {
    buf.rowTxg = this.txg;
    this.rows.push(buf);
  }

  /** Frames that were replaced or dropped since: only this group knows them. */
  orphanedFrames(): number[] {
    const orphaned: number[] = [];
    let next = 0;
    for (let i = 0; i < this.bufs.length; i++) {
      const { sealed, frames } = this.bufs[i];
      for (let rest = this.masks[i]; rest !== 0; rest &= rest - 1) {
        const page = lowestBit(rest);
        const frame = this.frames[next++];
        if (((sealed >>> page) & 1) === 0 || frames[page] !== frame) orphaned.push(frame);
      }
    }
    return orphaned;
  }

  /** The group is in the store: its pages are clean or free, its names and vnodes too. */
  settle(vnodes: VnodeCache): void {
    this.#settleRows(vnodes.bufs);
    this.#settleBufs(vnodes.bufs);
    this.#settleNames(vnodes.names);
    for (const vp of this.vnodes) {
      vp.cutSealed = Infinity;
      vp.dropsSealed = undefined;
      if (vp.valuesTxg === this.txg) vp.valuesTxg = 0;
      vnodes.vdrop(vp);
      if (vp.removed && vp.holdCount === 0) vnodes.vgone(vp);
    }
  }

  /** Cloned and preallocated chunks have rows of their own now. */
  #settleRows(cache: BufCache): void {
    for (const buf of this.rows) {
      if (buf.rowTxg !== this.txg) continue;
      buf.rowTxg = 0;
      buf.source = 0;
      if (!buf.dead && !buf.pinned) cache.markClean(buf);
    }
  }

  #settleBufs(cache: BufCache): void {
    let next = 0;
    for (let i = 0; i < this.bufs.length; i++) {
      const buf = this.bufs[i];
      const mask = this.masks[i];
      cache.dirtyPages -= popcount(mask);
      for (let rest = mask; rest !== 0; rest &= rest - 1) {
        const page = lowestBit(rest);
        const bit = 1 << page;
        const frame = this.frames[next++];
        if (!buf.dead && (buf.sealed & bit) !== 0 && buf.frames[page] === frame) buf.sealed &= ~bit;
        else cache.pool.free(frame);
      }
      if (!buf.dead && !buf.pinned) cache.markClean(buf);
    }
  }

  #settleNames(cache: NameCache): void {
    for (const entry of this.names) {
      if (entry.dirtyTxg !== this.txg) continue;
      entry.dirtyTxg = 0;
      const dvp = entry.dvp;
      dvp.dirtyNames--;
      dropStored(dvp);
      if (dvp.names?.get(entry.name) === entry) cache.unpin(entry);
    }
  }
}

/** Slots of {@link Vnode.added} worth going through again. */
const ADDED_SLACK = 64;

/**
 * Takes entries that the store has by now off the list of additions: all at once when nothing is dirty, else each time
 * that they are the larger part. A directory in which names are made all the time is never clean, and its list would
 * grow for ever.
 */
const dropStored = (dvp: Vnode): void => {
  const { added, addedCookies } = dvp;
  if (added === undefined || addedCookies === undefined) return;
  if (dvp.dirtyNames === 0) {
    dvp.added = undefined;
    dvp.addedCookies = undefined;
    return;
  }
  if (added.length < 2 * dvp.dirtyNames + ADDED_SLACK) return;
  let kept = 0;
  for (let i = 0; i < added.length; i++) {
    if (added[i].dirtyTxg === 0 || added[i].cookie !== addedCookies[i]) continue;
    added[kept] = added[i];
    addedCookies[kept++] = addedCookies[i];
  }
  added.length = kept;
  addedCookies.length = kept;
};
