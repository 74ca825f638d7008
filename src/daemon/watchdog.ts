/**
 * Watches from the main thread whether the dispatcher still answers. Silent for `warnMs`, its stack is logged; silent
 * for `cutMs`, it is given up: {@link WatchdogEvents.cut} then cuts the connection, so that nobody who uses the mount
 * stays blocked.
 *
 *   quiet → (no answer for warnMs) warned → (an answer) quiet, or (no answer for cutMs) cut, which is the end
 *
 * Time is counted in ticks of our own timer, not by the clock: a machine that was suspended, or a daemon that was
 * stopped as a whole, has ticked no more than it has had the chance to answer.
 */
export interface WatchdogLimits {
  tickMs: number;
  warnMs: number;
  /** Infinity: never cut. */
  cutMs: number;
}

export const watchdogLimits = (cutMs: number): WatchdogLimits => ({
  tickMs: Math.max(50, Math.min(1_000, cutMs / 10)),
  warnMs: Math.min(10_000, cutMs / 3),
  cutMs,
});

export interface WatchdogEvents {
  /** Asks the dispatcher for a sign of life: resolves when it comes. Rejects when the mount has ended. */
  ping(): Promise<unknown>;
  warn(silentMs: number): void;
  recovered(silentMs: number): void;
  cut(silentMs: number): void;
}

export class Watchdog {
  readonly #limits: WatchdogLimits;
  readonly #events: WatchdogEvents;
  #timer: NodeJS.Timeout | undefined;
  #silentMs = 0;
  #waiting = false;
  #warned = false;

  constructor(limits: WatchdogLimits, events: WatchdogEvents) {
    this.#limits = limits;
    this.#events = events;
  }

  /** Idempotent. */
  start(): void {
    this.#timer ??= setInterval(() => this.#tick(), this.#limits.tickMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    if (!this.#waiting) {
      this.#ask();
      return;
    }
    this.#silentMs += this.#limits.tickMs;
    if (!this.#warned && this.#silentMs >= this.#limits.warnMs) {
      this.#warned = true;
      this.#events.warn(this.#silentMs);
    }
    if (this.#silentMs < this.#limits.cutMs) return;
    this.stop();
    this.#events.cut(this.#silentMs);
  }

  #ask(): void {
    this.#waiting = true;
    this.#events.ping().then(
      () => {
        if (this.#warned && this.#timer !== undefined) this.#events.recovered(this.#silentMs);
        this.#waiting = false;
        this.#warned = false;
        this.#silentMs = 0;
      },
      () => this.stop(), // the mount has ended by another way
    );
  }
}
