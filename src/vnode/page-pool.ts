/**
 * The page pool: `pagesMax` frames of 4 KiB in one SharedArrayBuffer, so that the syncer reads what the dispatcher
 * wrote without a copy. The operating system backs a frame with memory only once it has been written.
 *
 * Free frames form a stack. Whoever frees a run frees it from its end, so the next allocation pops ascending numbers
 * and neighbours in a file tend to be neighbours in memory: copies and iovecs then merge.
 *
 * INVARIANT: every frame is either on the free stack or owned by exactly one buf page, one sealed group's record, or a slot of
 * the read-ahead.
 */
import { assert } from '../base/assert.js';
import { PAGE_BYTES } from '../store/types.js';

/** To be copied: in V8 `fill` of shared memory goes byte by byte, five times as slow. */
const ZEROS = new Uint8Array(PAGE_BYTES);

export class PagePool {
  readonly memory: SharedArrayBuffer;
  readonly bytes: Uint8Array;
  /** Number of frames. */
  readonly size: number;
  readonly #free: Int32Array;
  #freeCount: number;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.bytes = new Uint8Array(memory);
    this.size = Math.floor(memory.byteLength / PAGE_BYTES);
    this.#free = new Int32Array(this.size);
    for (let i = 0; i < this.size; i++) this.#free[i] = this.size - 1 - i;
    this.#freeCount = this.size;
  }

  static ofPages(pages: number): PagePool {
    return new PagePool(new SharedArrayBuffer(pages * PAGE_BYTES));
  }

  get freeCount(): number {
    return this.#freeCount;
  }

  get resident(): number {
    return this.size - this.#freeCount;
  }

  /** The free frames, for the invariant checker. */
  freeFrames(): Int32Array {
    return this.#free.subarray(0, this.#freeCount);
  }

  /**
   * Requires freeCount > 0. The frame's bytes are whatever they were. The caller owns the frame until {@link
   * free}.
   */
  alloc(): number {
    assert(this.#freeCount > 0, 'page pool exhausted: reserve first');
    return this.#free[--this.#freeCount];
  }

  free(frame: number): void {
    assert(this.#freeCount < this.size, 'frame freed twice');
    this.#free[this.#freeCount++] = frame;
  }

  zero(frame: number, from = 0, to = PAGE_BYTES): void {
    this.zeroBytes(frame * PAGE_BYTES + from, to - from);
  }

  /** Zeros `length` bytes of the pool from byte `start` on. */
  zeroBytes(start: number, length: number): void {
    for (let done = 0; done < length; done += PAGE_BYTES) {
      const left = length - done;
      this.bytes.set(left < PAGE_BYTES ? ZEROS.subarray(0, left) : ZEROS, start + done);
    }
  }
}
