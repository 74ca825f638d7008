/**
 * Barriers by the intent log (store/intent-log.ts), the dispatcher's part. A barrier that goes there writes what has
 * changed since the last one, as a *part* of the open group, and the group stays open: it is committed later, as any
 * other, and without a sync.
 *
 * The log may hear of group n only if all of group n-1 is durable: in the store, or in the log as well, whose last part
 * of it is written when it is sealed. When it has missed something, the next barrier is one of the store. When a half of
 * it is nearly full, the open group is committed, with a sync, and the next one goes to the other half meanwhile.
 *
 * The dispatcher itself writes and syncs: handing that to another thread and hearing of it takes as long as the disk
 * does. A disk that is slow would make all others wait, so it is spared: see {@link SLOW_MS}.
 */
import type { Clock } from '../base/clock.js';
import { IntentLog, RECORD_PAGES_MAX } from '../store/intent-log.js';
import { TxgEncoder } from '../store/txg-log.js';
import type { StoreCounters } from '../store/types.js';
import type { PagePool } from '../vnode/page-pool.js';
import type { Delta } from './delta.js';
import type { TxgLog } from './txg-options.js';

/** A disk that takes longer, on an average, is left to the syncer for so many barriers. */
const SLOW_MS = 2;
const SPARED_BARRIERS = 100;
/** A group with more vnodes and names can't fit into a record: that much is known before it is made. */
const OBJECTS_MAX = 1000;
/** Weight of the newest time in the average: one write that something else holds up means nothing. */
const NEWEST = 1 / 32;

export class Intents {
  /** The file is this daemon's. */
  made = false;
  /** Parts that were written. */
  parts = 0;
  readonly #store: string;
  readonly #uuid: string;
  readonly #pool: PagePool;
  readonly #clock: Clock;
  readonly #scratch = new TxgEncoder();
  #log: IntentLog | undefined = undefined;
  /** The newest group that the log has heard of, how many parts of it, and how many bytes of its log went with them. */
  #txg = 0;
  #part = 0;
  #logBytes = 0;
  /** All of that group is in the log. */
  #whole = false;
  /** Of the group before it, if that is in the log as well: how many parts. */
  #before = 0;
  /** The half in use, and the newest group in each. */
  #half: 0 | 1 = 0;
  readonly #newest: [number, number] = [0, 0];
  #averageMs = 0;
  #spared = 0;

  /** `uuid`: the store's. */
  constructor(store: string, uuid: string, pool: PagePool, clock: Clock) {
    this.#store = store;
    this.#uuid = uuid;
    this.#pool = pool;
    this.#clock = clock;
  }

  /** The syncer has made the file. */
  ready(): void {
    if (this.made) return;
    this.made = true;
    try {
      this.#log = new IntentLog(this.#store, this.#uuid);
    } catch {
      // Gone again, or no descriptor left: barriers do without.
    }
  }

  /**
   * Whether a part of the open group `txg` may be written, which has so many pages, vnodes and names; `stored`: the newest
   * group that is durable in the store.
   */
  mayTake(txg: number, stored: number, pages: number, objects: number): boolean {
    if (this.#log === undefined) return false;
    if (txg !== this.#txg && (pages > RECORD_PAGES_MAX || objects > OBJECTS_MAX)) return false;
    if (this.#spared > 0) {
      this.#spared--;
      return false;
    }
    return stored >= txg - 1 || txg === this.#txg || (txg - 1 === this.#txg && this.#whole);
  }

  /** It has heard of everything in `log`. Requires that the last part was of the open group. */
  hasAll(log: TxgLog): boolean {
    return log.logBytes === this.#logBytes;
  }

  /**
   * Requires {@link mayTake}. Makes `delta`, and what `log` has got since, durable as the next part of group `txg`, and
   * with it all that was written before. False: that can't be, and the next barrier must be the store's.
   */
  take(txg: number, stored: number, delta: Delta, log: TxgLog, counters: StoreCounters): boolean {
    if (txg !== this.#txg) this.#beginGroup(txg, stored);
    const startedMs = this.#clock.monotonicMs();
    if (!this.#append(txg, delta, log, counters, true)) return false;
    this.#averageMs += (this.#clock.monotonicMs() - startedMs - this.#averageMs) * NEWEST;
    if (this.#averageMs > SLOW_MS) {
      this.#averageMs = 0;
      this.#spared = SPARED_BARRIERS;
    }
    return true;
  }

  /**
   * The open group `txg` is sealed: if there are parts of it, its last one is written, though not synced. Without `delta` it
   * misses something. True: all of it is durable.
   */
  seal(txg: number, delta: Delta | undefined, log: TxgLog, counters: StoreCounters): boolean {
    if (this.#txg !== txg || delta === undefined) return false;
    const durable = delta.isEmpty && this.hasAll(log);
    this.#whole = durable || this.#append(txg, delta, log, counters, false);
    return durable;
  }

  /** The group that is open should be committed durably, though nobody waits for it: then the other half can be used. */
  get wantsCommit(): boolean {
    return this.#log?.nearlyFull === true;
  }

  close(): void {
    this.#log?.close();
    this.#log = undefined;
  }

  /** The first part of `txg` comes: in this half, anew if the store has all of it, or in the other one. */
  #beginGroup(txg: number, stored: number): void {
    const other = this.#half === 0 ? 1 : 0;
    if (this.#newest[this.#half] <= stored) this.#log?.begin(this.#half);
    else if (this.wantsCommit && this.#newest[other] <= stored) {
      this.#half = other;
      this.#log?.begin(other);
    }
    this.#before = stored >= txg - 1 ? 0 : this.#part;
    this.#txg = txg;
    this.#part = 0;
    this.#logBytes = 0;
    this.#whole = false;
  }

  #append(txg: number, delta: Delta, log: TxgLog, counters: StoreCounters, sync: boolean): boolean {
    const scratch = this.#scratch;
    scratch.clear();
    scratch.copyFrom(log, this.#logBytes);
    delta.encode(scratch);
    scratch.setCounters(counters);
    try {
      const part = { txg, part: this.#part + 1, before: this.#before, ...scratch.peek() };
      if (this.#log?.append(part, delta.frames, this.#pool.bytes) !== true) return false;
      if (sync) this.#log.sync();
    } catch {
      // What the log holds stays valid until the store has it; nothing is added any more.
      this.close();
      return false;
    }
    this.#newest[this.#half] = txg;
    this.#part++;
    this.#logBytes = log.logBytes;
    this.parts++;
    return true;
  }
}
