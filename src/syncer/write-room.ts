/**
 * The room for changes that are not written back yet, shared by the transaction groups of all mounts of a daemon.
 *
 * A mount that takes no more than its share of it is never held back by the others: a store that fails, or a slow one, may
 * keep its own share for as long as it likes.
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

  add(taker: RoomTaker): void {
    this.#takers.add(taker);
  }

  /** What the mount still has there will never be written: whoever waits for room looks again. */
  remove(taker: RoomTaker): void {
    this.#takers.delete(taker);
    this.made.wakeAll();
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
