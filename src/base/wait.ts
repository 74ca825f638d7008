/**
 * Sleeping in a synchronous core: an operation that must wait throws {@link WouldBlock} *before any side effect*;
 * whoever called it keeps the request, waits on the channel, and calls again from the start.
 */
export interface WaitChannel {
  /** Calls `wake` once, later, outside any call into the core; the function returned cancels. */
  wait(wake: () => void): () => void;
}

/** Thrown before any side effect: see the header. */
export class WouldBlock extends Error {
  override readonly name = 'WouldBlock';
  readonly channel: WaitChannel;
  constructor(channel: WaitChannel) {
    super('would block');
    this.channel = channel;
  }
}

/** A wait channel that wakes all its sleepers, as tsleep/wakeup on one identifier. */
export class Wakeup implements WaitChannel {
  #sleepers = new Set<() => void>();

  wait(wake: () => void): () => void {
    const sleeper = (): void => wake();
    this.#sleepers.add(sleeper);
    return () => {
      this.#sleepers.delete(sleeper);
    };
  }

  /** Wakes all who sleep now; one who sleeps again from inside its wake is not woken a second time. */
  wakeAll(): void {
    if (this.#sleepers.size === 0) return;
    const woken = this.#sleepers;
    this.#sleepers = new Set();
    for (const wake of woken) wake();
  }
}
