/**
 * The buffer cache: which chunk pages of which files are resident, within the page pool's budget.
 *
 * Clean bufs wait for eviction on two LRU lists. A buf enters the *cold* one; used again after {@link REUSE_DISTANCE}
 * other bufs have come in (so not merely the next request of the same sequential read), it moves to the *hot* one.
 * Eviction takes cold bufs first while they hold more than a quarter of the clean bufs: a file read once passes through
 * without pushing out what is read often (the idea of 2Q, Johnson and Shasha 1994).
 *
 * Chunks that only pass through (read ahead of a sequential reader, or written whole, as bulk data is: the kernel's cache
 * has them besides) have a short list of their own, so that they take the same few frames again and again. Memory that
 * was never touched before costs up to 16 µs a page in a virtual machine, as long as all the rest of a sequential read.
 *
 * INVARIANT: dirtyPages = number of frames that can't be evicted: dirty, sealed, or superseded and still in a
 * sealed group.
 */
import { assert } from '../base/assert.js';
import { PAGE_BYTES } from '../store/types.js';
import { Buf, popcount } from './buf.js';
import { LruList } from './lru.js';
import type { PagePool } from './page-pool.js';
import type { Vnode } from './vnode.js';

const REUSE_DISTANCE = 64;
/** Clean bufs that pass through. */
const PASSING_MAX = 64;

export class BufCache {
  readonly pool: PagePool;
  /** Frames pinned by write-back; see the header. Maintained by the txg pipeline as well. */
  dirtyPages = 0;
  hits = 0;
  misses = 0;
  evictions = 0;
  /** Of these, bufs that had been used again. */
  hotEvictions = 0;
  #cold = new LruList<Buf>();
  #hot = new LruList<Buf>();
  #passing = new LruList<Buf>();
  #stamp = 1;
  #loads = 0;

  constructor(pool: PagePool) {
    this.pool = pool;
  }

  /** Called by each request that uses bufs: those used from now on are safe from eviction until the next call. */
  newRequest(): void {
    this.#stamp++;
  }

  get cleanBufs(): number {
    return this.#cold.size + this.#hot.size + this.#passing.size;
  }

  /** The resident buf, marked as used, or undefined. */
  lookup(vp: Vnode, index: number): Buf | undefined {
    const buf = vp.bufs?.get(index);
    if (buf === undefined) return undefined;
    this.touch(buf);
    return buf;
  }

  touch(buf: Buf): void {
    if (buf.stamp === this.#stamp) return;
    buf.stamp = this.#stamp;
    if (buf.hot) {
      if (buf.onLru) {
        this.#hot.remove(buf);
        this.#hot.push(buf);
      }
    } else if (this.#loads - buf.firstUse > REUSE_DISTANCE) {
      const wasOnLru = buf.onLru;
      if (wasOnLru) this.#listOf(buf).remove(buf);
      buf.hot = true;
      buf.passing = false;
      if (wasOnLru) this.#hot.push(buf);
    }
  }

  /** A new buf without pages, clean, on the cold list. `extent`: see Buf. */
  create(vp: Vnode, index: number, extent: number): Buf {
    const buf = new Buf(vp, index, extent);
    buf.stamp = this.#stamp;
    buf.firstUse = ++this.#loads;
    (vp.bufs ??= new Map<number, Buf>()).set(index, buf);
    this.#cold.push(buf);
    return buf;
  }

  /**
   * Makes at least `pages` frames free, evicting clean bufs that this request does not use. Returns false, having
   * evicted what could be, when dirty pages stand in the way.
   */
  reserve(pages: number): boolean {
    while (this.pool.freeCount < pages) {
      const victim = this.#victim();
      if (victim === undefined) return false;
      this.evictions++;
      if (victim.hot) this.hotEvictions++;
      this.destroy(victim);
    }
    return true;
  }

  #victim(): Buf | undefined {
    const passing = this.#oldest(this.#passing);
    if (passing !== undefined) return passing;
    const preferCold = this.#cold.size * 4 >= this.#hot.size;
    return preferCold
      ? (this.#oldest(this.#cold) ?? this.#oldest(this.#hot))
      : (this.#oldest(this.#hot) ?? this.#oldest(this.#cold));
  }

  #oldest(list: LruList<Buf>): Buf | undefined {
    let buf = list.head;
    while (buf !== undefined && buf.stamp === this.#stamp) buf = buf.lruNext;
    return buf;
  }

  /** Gives page `page` of `buf` a frame; requires a reserved frame and the page absent. Its bytes are undefined. */
  addPage(buf: Buf, page: number): number {
    const frame = this.pool.alloc();
    this.#setFrame(buf, page, frame);
    return frame;
  }

  /** The same with a frame that somebody else owned, who gets the returned one instead. */
  addFrame(buf: Buf, page: number, frame: number): number {
    const other = this.pool.alloc();
    this.#setFrame(buf, page, frame);
    return other;
  }

  #setFrame(buf: Buf, page: number, frame: number): void {
    while (buf.frames.length <= page) buf.frames.push(-1);
    buf.frames[page] = frame;
    buf.valid |= 1 << page;
    buf.vp.residentPages++;
  }

  /** Forgets the pages in `mask`. Frames of sealed pages stay with the sealed group, which frees them. */
  dropPages(buf: Buf, mask: number): void {
    const doomed = buf.valid & mask;
    if (doomed === 0) return;
    for (let page = 31 - Math.clz32(doomed); page >= 0; page--) {
      const bit = 1 << page;
      if ((doomed & bit) === 0) continue;
      if ((buf.sealed & bit) === 0) this.pool.free(buf.frames[page]);
      buf.frames[page] = -1;
    }
    buf.vp.residentPages -= popcount(doomed);
    this.dirtyPages -= popcount(buf.dirty & doomed);
    buf.valid &= ~doomed;
    buf.sealed &= ~doomed;
    buf.dirty &= ~doomed;
  }

  /** Removes the buf wholly, whatever its state; the caller settles the vnode's hold if it was dirty or sealed. */
  destroy(buf: Buf): void {
    assert(!buf.dead, 'buf destroyed twice');
    this.dropPages(buf, -1);
    if (buf.onLru) this.#listOf(buf).remove(buf);
    buf.dead = true;
    buf.vp.bufs?.delete(buf.index);
  }

  /** Destroys clean bufs of `vp` until they had `most` pages. */
  shed(vp: Vnode, most: number): void {
    let shed = 0;
    for (const buf of vp.bufs?.values() ?? []) {
      if (shed >= most) break;
      if (buf.pinned) continue;
      shed += popcount(buf.valid);
      this.destroy(buf);
    }
  }

  #listOf(buf: Buf): LruList<Buf> {
    if (buf.hot) return this.#hot;
    return buf.passing ? this.#passing : this.#cold;
  }

  /** The buf isn't likely to be used again. */
  pass(buf: Buf): void {
    if (buf.passing || buf.hot) return;
    const wasOnLru = buf.onLru;
    if (wasOnLru) this.#listOf(buf).remove(buf);
    buf.passing = true;
    if (wasOnLru) this.#push(buf);
  }

  #push(buf: Buf): void {
    this.#listOf(buf).push(buf);
    while (this.#passing.size > PASSING_MAX) {
      const victim = this.#oldest(this.#passing);
      if (victim === undefined) return;
      this.evictions++;
      this.destroy(victim);
    }
  }

  /** The buf becomes pinned: off the LRU. */
  markBusy(buf: Buf): void {
    if (buf.onLru) this.#listOf(buf).remove(buf);
  }

  /** Nothing pins the buf any more: back on its LRU. */
  markClean(buf: Buf): void {
    assert(!buf.pinned, 'clean buf with pending pages');
    if (!buf.dead && !buf.onLru) this.#push(buf);
  }

  /**
   * Copies `length` bytes of `data` at `from` into the pages of `buf` at byte `to` of the chunk. All must be
   * valid.
   */
  copyIn(buf: Buf, to: number, data: Uint8Array, from: number, length: number): void {
    const bytes = this.pool.bytes;
    let done = 0;
    while (done < length) {
      const run = this.#run(buf, to + done, length - done);
      const at = this.#byteOf(buf, to + done);
      bytes.set(data.subarray(from + done, from + done + run), at);
      done += run;
    }
  }

  /** Byte offset in the pool of byte `offset` of the chunk. */
  #byteOf(buf: Buf, offset: number): number {
    return buf.frames[Math.floor(offset / PAGE_BYTES)] * PAGE_BYTES + (offset % PAGE_BYTES);
  }

  /** How many bytes from `offset` on, at most `limit`, lie in consecutive frames. */
  #run(buf: Buf, offset: number, limit: number): number {
    let page = Math.floor(offset / PAGE_BYTES);
    let length = PAGE_BYTES - (offset % PAGE_BYTES);
    while (length < limit && buf.frames[page + 1] === buf.frames[page] + 1) {
      page++;
      length += PAGE_BYTES;
    }
    return Math.min(length, limit);
  }

  /** Calls `emit(poolOffset, length)` for each contiguous piece of bytes [offset, offset + length) of the chunk. */
  pieces(buf: Buf, offset: number, length: number, emit: (at: number, length: number) => void): void {
    let done = 0;
    while (done < length) {
      const run = this.#run(buf, offset + done, length - done);
      emit(this.#byteOf(buf, offset + done), run);
      done += run;
    }
  }
}
