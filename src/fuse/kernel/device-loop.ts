/**
 * The dispatcher's main loop: serves the devices of all sessions of this thread and one eventfd, and sleeps in poll(2)
 * when there is nothing to do. Synchronous: run() returns only after stop(); no promise or timer of this thread makes
 * progress meanwhile.
 *
 * Waking a sleeping thread costs far more than handling a request (DESIGN section 3), so after a request the loop keeps
 * looking for the next one for a while, *if that has been paying off*: see {@link SpinPolicy}.
 */
import { addressOf, POLLIN, syscalls, type Syscalls } from '../../base/syscalls.js';
import type { KernelSession } from './session.js';
import { SpinPolicy } from './spin-policy.js';

export interface DeviceLoopOptions {
  /** eventfd(2), non-blocking: other threads write to it to be heard. */
  wakeFd: number;
  /** Look for the next request this long before sleeping, at most; 0 sleeps at once. Microseconds. */
  pollUs: number;
  /**
   * When {@link onDeadline} wants to be called next, on performance.now()'s scale; Infinity: never. Asked
   * before each sleep.
   */
  nextDeadlineMs?: () => number;
  onDeadline?: () => void;
  /**
   * True while another thread is about to ring the eventfd with an answer that a client waits for: then the loop looks
   * out for it for up to EXPECTED_LOOK_MS, since meanwhile nobody else wants this core.
   */
  expectsWake?: () => boolean;
  /** Called while no request is waiting: does something short that the next one will need; false: there is nothing. */
  lookAhead?: () => boolean;
  /**
   * Called again and again while there are sessions and nothing has come for LULL_MS, for some milliseconds at most;
   * false: it is done.
   */
  spareWork?: () => boolean;
}

const EXPECTED_LOOK_MS = 0.5;
/** Programs that are at work send requests more often than that. */
const LULL_MS = 20;
/** Requests of one session in a row before others, wakes and deadlines are looked at. */
const BATCH = 32;
/** struct pollfd: int fd; short events; short revents: two words. */
const POLLFD_WORDS = 2;
const SLEEP_MAX_MS = 0x7fffffff;

export class DeviceLoop {
  readonly #sys: Syscalls = syscalls();
  readonly #wakeFd: number;
  readonly #spin: SpinPolicy;
  readonly #nextDeadlineMs: () => number;
  readonly #onDeadline: () => void;
  readonly #expectsWake: () => boolean;
  readonly #lookAhead: () => boolean;
  #spareWork: (() => boolean) | undefined;
  #onWake: () => void = () => undefined;
  readonly #counter = new Uint32Array(2);
  readonly #counterAddress = addressOf(this.#counter);
  readonly #sessions: KernelSession[] = [];
  #pollfds = new Int32Array(POLLFD_WORDS);
  #pollfdsAddress = 0;
  #stopped = false;
  /** Times that the loop went to sleep. */
  sleeps = 0;

  constructor(options: DeviceLoopOptions) {
    const { wakeFd, pollUs, nextDeadlineMs, onDeadline, expectsWake, lookAhead, spareWork } = options;
    this.#wakeFd = wakeFd;
    this.#spareWork = spareWork;
    this.#spin = new SpinPolicy(pollUs / 1000);
    this.#nextDeadlineMs = nextDeadlineMs ?? (() => Infinity);
    this.#expectsWake = pollUs > 0 && expectsWake !== undefined ? expectsWake : () => false;
    this.#onDeadline = onDeadline ?? (() => undefined);
    this.#lookAhead = lookAhead ?? (() => false);
    this.#rebuildPollfds();
  }

  add(session: KernelSession): void {
    this.#sessions.push(session);
    this.#rebuildPollfds();
  }

  /**
   * Ends {@link run} after the request being handled. From this thread only; from another, wake it and have
   * onWake call this.
   */
  stop(): void {
    this.#stopped = true;
  }

  /** `onWake`: the eventfd was written to. `onIdle`: there is nothing to do; called before each sleep. */
  run(onWake: () => void, onIdle?: () => void): void {
    this.#onWake = onWake;
    while (!this.#stopped) {
      if (this.#takeWake()) onWake();
      if (performance.now() >= this.#nextDeadlineMs()) this.#onDeadline();
      if (this.#stopped) return;
      if (this.#serveBatch() || this.#lookAhead() || this.#lookBusily()) continue;
      if (this.#stopped) return;
      for (const session of this.#sessions) session.flushTrace();
      onIdle?.();
      this.#sleep();
    }
  }

  /** Handles what is waiting, at most a batch of each session. True if anything was. */
  #serveBatch(): boolean {
    let served = false;
    for (let i = this.#sessions.length - 1; i >= 0; i--) {
      const session = this.#sessions[i];
      for (let n = 0; n < BATCH && !this.#stopped; n++) {
        const outcome = session.handleOne();
        if (outcome === 'empty') break;
        served = true;
        if (outcome === 'ended') {
          this.#sessions.splice(i, 1);
          this.#rebuildPollfds();
          break;
        }
      }
    }
    return served;
  }

  /** Looks for a request or a wake without sleeping, for as long as the policy allows. True if there was one. */
  #lookBusily(): boolean {
    const expected = this.#expectsWake();
    const budgetMs = expected ? EXPECTED_LOOK_MS : this.#spin.budgetMs();
    if (budgetMs <= 0) return false;
    const startMs = performance.now();
    const endMs = startMs + budgetMs;
    for (;;) {
      if (this.#serveBatch()) {
        this.#spin.found();
        return true;
      }
      if (expected && this.#takeWake()) {
        this.#onWake();
        return true;
      }
      if (this.#stopped || performance.now() >= endMs) break;
    }
    if (!expected) this.#spin.missed();
    return false;
  }

  #sleep(): void {
    const startMs = performance.now();
    const untilMs = this.#nextDeadlineMs() - startMs;
    const timeout = untilMs >= SLEEP_MAX_MS ? -1 : Math.max(0, Math.ceil(untilMs));
    this.sleeps++;
    const mayWork = this.#spareWork !== undefined && this.#sessions.length > 0;
    const ready = mayWork ? this.#workOrPoll(timeout, startMs) : this.#poll(timeout);
    this.#spin.slept(performance.now() - startMs, ready > 0 && this.#pollfds[1] >>> 16 === 0);
  }

  #poll(timeoutMs: number): number {
    return this.#sys.poll(this.#pollfdsAddress, this.#sessions.length + 1, timeoutMs);
  }

  /** As {@link DeviceLoop.#poll}; in a lull the spare work is done meanwhile. */
  #workOrPoll(timeoutMs: number, startMs: number): number {
    if (timeoutMs >= 0 && timeoutMs <= LULL_MS) return this.#poll(timeoutMs);
    let ready = this.#poll(LULL_MS);
    while (ready === 0 && this.#spareWork !== undefined) {
      if (!this.#spareWork()) this.#spareWork = undefined;
      if (timeoutMs >= 0 && performance.now() - startMs >= timeoutMs) break;
      ready = this.#poll(0);
    }
    return ready;
  }

  /** Reads the eventfd's counter, which resets it. True if it was not 0. */
  #takeWake(): boolean {
    return this.#sys.read(this.#wakeFd, this.#counterAddress, 8) === 8;
  }

  /** Entry 0 is the eventfd. */
  #rebuildPollfds(): void {
    const fds = [this.#wakeFd, ...this.#sessions.map((session) => session.fd)];
    this.#pollfds = new Int32Array(fds.length * POLLFD_WORDS);
    fds.forEach((fd, i) => {
      this.#pollfds[i * POLLFD_WORDS] = fd;
      this.#pollfds[i * POLLFD_WORDS + 1] = POLLIN;
    });
    this.#pollfdsAddress = addressOf(this.#pollfds);
  }
}
