/**
 * The room for changes that are not written back yet, shared by the transaction groups of all mounts of a daemon.
 *
 * A mount that takes no more than its share of it is never held back by the others: a store that fails, or a slow one,
 * may keep its own share for as long as it likes.
 */
import { Wakeup } from '../base/wait.js';

/** One mount's transaction groups: {@link WriteRoom.press} asks them to write back. */
export interface RoomTaker {
  sealSoon(): void;
}

export class WriteRoom {
  /** Slept on by operations that wait for room; woken at each commit of any mount. */
  readonly made = new Wakeup();
  readonly #takers = new Set<RoomTaker>();
  /** Since when somebody has been waiting, on the clock's scale; and how long anybody had waited before. */
  #waitingSinceMs: number | undefined = undefined;
  #waitedMs = 0;

  add(taker: RoomTaker): void {
    this.#takers.add(taker);
  }

  /** What the mount still has there will never be written: whoever waits for room looks again. */
  remove(taker: RoomTaker, nowMs: number): void {
    this.#takers.delete(taker);
    this.wake(nowMs);
  }

  /** Somebody starts to wait for room. */
  throttle(nowMs: number): void {
    this.#waitingSinceMs ??= nowMs;
  }

  /** There may be room: whoever waits looks again. */
  wake(nowMs: number): void {
    this.#waitedMs = this.throttledMs(nowMs);
    this.#waitingSinceMs = undefined;
    this.made.wakeAll();
  }

  /** For how long, in all, at least one operation has been waiting. */
  throttledMs(nowMs: number): number {
    return this.#waitedMs + (this.#waitingSinceMs === undefined ? 0 : nowMs - this.#waitingSinceMs);
  }

  /** Mounts that the room is divided among, at least 1. */
  get shares(): number {
    return Math.max(1, this.#takers.size);
  }

  /** Somebody waits for room: every mount writes back what it has. */
  press(): void {
    for (const taker of this.#takers) taker.sealSoon();
  }
}
