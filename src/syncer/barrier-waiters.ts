/** Who waits for a group to become durable. */
import type { FsError } from '../base/errno.js';

export type BarrierDone = (error: FsError | undefined) => void;

/** How far things are: the newest group that is durable in any way, and the newest that is so in the store itself. */
export interface DurableGroups {
  readonly durable: number;
  readonly stored: number;
}

export class BarrierWaiters {
  #waiters: { txg: number; inStore: boolean; done: BarrierDone }[] = [];

  add(txg: number, inStore: boolean, done: BarrierDone): void {
    this.#waiters.push({ txg, inStore, done });
  }

  /** Tells those whose groups are durable. */
  reached({ durable, stored }: DurableGroups): void {
    if (this.#waiters.length === 0) return;
    const isReached = ({ txg, inStore }: { txg: number; inStore: boolean }): boolean =>
      txg <= (inStore ? stored : durable);
    const ready = this.#waiters.filter(isReached);
    this.#waiters = this.#waiters.filter((waiter) => !isReached(waiter));
    for (const { done } of ready) done(undefined);
  }

  /** Tells all. */
  failed(error: FsError): void {
    const all = this.#waiters;
    this.#waiters = [];
    for (const { done } of all) done(error);
  }
}
