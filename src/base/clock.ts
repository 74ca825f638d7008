/**
 * Time sources, injected so that tests can move them.
 *
 * The daemon stamps files from CLOCK_REALTIME_COARSE, as the kernel itself does (`current_time`,
 * `ktime_get_coarse_real_ts64`): with the write-back cache some times are the kernel's and some ours, and two clocks
 * of different granularity would let mtime run backwards.
 */
export interface Clock {
  /** Reads the wall clock into {@link sec} and {@link nsec}; no allocation. */
  read(): void;
  /** Seconds since the epoch of the last {@link read}; an integer. */
  readonly sec: number;
  /** 0..999,999,999, of the last {@link read}. */
  readonly nsec: number;
  /** Monotonic milliseconds (fractional), for intervals. */
  monotonicMs(): number;
}

/** A clock that moves only when told to, one nanosecond a read so that order stays visible. */
export class ManualClock implements Clock {
  sec: number;
  nsec: number;
  #ms = 0;
  constructor(sec = 1_700_000_000, nsec = 0) {
    this.sec = sec;
    this.nsec = nsec;
  }
  read(): void {
    if (++this.nsec === 1_000_000_000) {
      this.nsec = 0;
      this.sec++;
    }
  }
  monotonicMs(): number {
    return this.#ms;
  }
  advanceMs(ms: number): void {
    this.#ms += ms;
    this.sec += Math.floor(ms / 1000);
  }
}
