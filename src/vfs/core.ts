/**
 * Puts a core together: caches, transaction groups and filesystem over one store. Knows no thread and no
 * transport: whoever
 * runs it provides the syncer's port and calls {@link Core.poll} when {@link Core.deadlineMs} has come.
 */
import type { Clock } from '../base/clock.js';
import { TxgEncoder } from '../store/txg-log.js';
import { openReader, type SqliteStoreReader } from '../store/reader.js';
import { Txgs, type SyncerPort } from '../syncer/txgs.js';
import { BufCache } from '../vnode/buf-cache.js';
import { NameCache } from '../vnode/name-cache.js';
import { PagePool } from '../vnode/page-pool.js';
import { VnodeCache } from '../vnode/vnode-cache.js';
import { Vnlru } from '../vnode/vnlru.js';
import { FileSystem } from './filesystem.js';
import type { FsOptions } from './state.js';

export interface CoreOptions extends FsOptions {
  store: string;
  pool: SharedArrayBuffer;
  vnodesMax: number;
  syncIntervalMs: number;
  clock: Clock;
  syncer: SyncerPort;
}

/** Clean name entries a vnode of the budget, at most: names are small, and a negative one has no vnode. */
const NAMES_PER_VNODE = 4;
const NAMES_MIN = 64;

export class Core {
  readonly pool: PagePool;
  readonly vnodes: VnodeCache;
  readonly vnlru: Vnlru;
  readonly txgs: Txgs;
  readonly fs: FileSystem;
  readonly orphansReaped: number;
  readonly #reader: SqliteStoreReader;

  /** Opens the store for reading and loads the root. Errors: StoreError, FsError. */
  constructor(options: CoreOptions) {
    this.#reader = openReader(options.store);
    this.pool = new PagePool(options.pool);
    const names = new NameCache(Math.max(NAMES_MIN, options.vnodesMax * NAMES_PER_VNODE));
    this.vnodes = new VnodeCache(new BufCache(this.pool), names, options.vnodesMax);
    this.vnlru = new Vnlru(this.vnodes, () => options.clock.monotonicMs());
    const { txg, ...counters } = this.#reader.counters();
    this.txgs = new Txgs({
      vnodes: this.vnodes,
      log: new TxgEncoder(),
      port: options.syncer,
      clock: options.clock,
      counters,
      committed: txg,
      syncIntervalMs: options.syncIntervalMs,
    });
    this.fs = new FileSystem(this.vnodes, this.txgs, this.#reader, options.clock, options);
    this.orphansReaped = this.fs.start().orphans;
  }

  /** Seals if it is time to, and recycles a slice if there are too many vnodes. */
  poll(): void {
    this.txgs.poll();
    this.vnlru.runSlice();
  }

  get deadlineMs(): number {
    return Math.min(this.txgs.deadlineMs, this.vnlru.deadlineMs);
  }

  /** Closes the reader. Nothing may be dirty any more. */
  close(): void {
    this.#reader.close();
  }
}
