/** The wall clock that the kernel itself stamps files from: CLOCK_REALTIME_COARSE, read without allocating. */
import type { Clock } from './clock.js';
import { addressOf, CLOCK_REALTIME_COARSE, syscalls, type Syscalls } from './syscalls.js';

/** One per thread. Resolution is the kernel's tick (1 to 4 ms), so that our times and the kernel's never cross. */
export class SystemClock implements Clock {
  sec = 0;
  nsec = 0;
  /** struct timespec as four words: seconds (low, high), nanoseconds (low, high). */
  readonly #timespec = new Uint32Array(4);
  readonly #address: number;
  readonly #sys: Syscalls = syscalls();

  constructor() {
    this.#address = addressOf(this.#timespec);
    this.read();
  }

  read(): void {
    this.#sys.clockGettime(CLOCK_REALTIME_COARSE, this.#address);
    const words = this.#timespec;
    this.sec = (words[1] | 0) * 4294967296 + words[0];
    this.nsec = words[2];
  }

  monotonicMs(): number {
    return performance.now();
  }
}
