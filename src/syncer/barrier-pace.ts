/**
 * Keeps transaction groups short while programs wait for barriers again and again.
 *
 * A barrier waits for the group that is being committed and for its own, whoever filled them: somebody who copies or
 * writes at random next to a database would have it wait for a hundred megabytes at each commit. Large groups are
 * worth having all the same (a chunk that is written several times in one is stored once), so they are bounded only
 * once two barriers have waited long, and for a while after each further one.
 */
import type { Clock } from '../base/clock.js';
import type { BarrierDone } from './barrier-waiters.js';

/** A barrier that takes longer has waited long; and what the commit of a group is to take then. */
export const LONG_MS = 100;
/** Barriers with less than this between them follow each other. */
export const APART_MS = 10_000;
/** Weight of the newest commit in the average. */
const NEWEST = 1 / 4;

export class BarrierPace {
  readonly #clock: Clock;
  readonly #leastPages: number;
  #longAtMs = -Infinity;
  #untilMs = -Infinity;
  #pagesPerMs = 0;

  /** A group of `leastPages` is never too large. */
  constructor(clock: Clock, leastPages: number) {
    this.#clock = clock;
    this.#leastPages = leastPages;
  }

  /** `done`, which is to be called when a barrier that begins now is over, also notes how long it took. */
  timed(done: BarrierDone): BarrierDone {
    const sinceMs = this.#clock.monotonicMs();
    return (error) => {
      const nowMs = this.#clock.monotonicMs();
      const long = nowMs - sinceMs > LONG_MS;
      if (nowMs < this.#untilMs || (long && nowMs - this.#longAtMs < APART_MS))
        this.#untilMs = nowMs + APART_MS;
      if (long) this.#longAtMs = nowMs;
      done(error);
    };
  }

  /** A group of so many pages has been committed. */
  committed(pages: number, ms: number): void {
    if (pages === 0) return;
    const rate = pages / Math.max(1, ms);
    this.#pagesPerMs += (rate - this.#pagesPerMs) * (this.#pagesPerMs === 0 ? 1 : NEWEST);
  }

  /** Dirty pages at which writers wait: of a group that is being committed, and of the next one. */
  get pagesMax(): number {
    if (this.#clock.monotonicMs() >= this.#untilMs) return Infinity;
    return 2 * Math.max(this.#leastPages, Math.floor(this.#pagesPerMs * LONG_MS));
  }
}
