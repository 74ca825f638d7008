/**
 * Decides whether to look for the next request without sleeping, and for how long.
 *
 * It pays off when requests come one soon after the other and their senders run on another core. It doesn't when the
 * daemon is idle, nor when the sender waits for the very core that we would burn. So:  - a look that finds something
 * keeps looking on, at the full length;  - each look that finds nothing halves the length, down to not looking at all;
 * - not looking, a sleep that turns out short is a reason to look again, but after repeated disappointment only one in
 * 2, 4, 8 … 1024.
 */
const BACKOFF_MAX = 10;
/** A sleep is "short" up to so many times the longest look: waking up alone takes about that long. */
const SHORT_SLEEP_FACTOR = 4;
const MIN_FRACTION = 1 / 8;

export class SpinPolicy {
  readonly #maxMs: number;
  #lengthMs: number;
  /** log2 of the short sleeps to let pass before looking again. */
  #backoff = 0;
  #letPass = 0;

  /** `maxMs` 0: never look. */
  constructor(maxMs: number) {
    this.#maxMs = maxMs;
    this.#lengthMs = maxMs;
  }

  /** How long to look now; 0: sleep at once. */
  budgetMs(): number {
    return this.#lengthMs;
  }

  found(): void {
    this.#lengthMs = this.#maxMs;
    this.#backoff = 0;
  }

  missed(): void {
    this.#lengthMs /= 2;
    if (this.#lengthMs >= this.#maxMs * MIN_FRACTION) return;
    this.#lengthMs = 0;
    this.#letPass = 2 ** this.#backoff;
    this.#backoff = Math.min(this.#backoff + 1, BACKOFF_MAX);
  }

  /** A sleep of `ms` ended; `byRequest`: because a request came. */
  slept(ms: number, byRequest: boolean): void {
    if (this.#maxMs === 0 || !byRequest || this.#lengthMs > 0 || ms > this.#maxMs * SHORT_SLEEP_FACTOR)
      return;
    if (--this.#letPass > 0) return;
    this.#lengthMs = this.#maxMs;
  }
}
