/**
 * Puts one mount together: transaction groups and filesystem over one store, on the caches that all mounts share. Knows
 * no thread and no transport: whoever runs it provides the syncer's port and calls {@link Core.poll} when
 * {@link Core.deadlineMs} has come.
 */
import { TxgEncoder } from '../store/txg-log.js';
import { DamagedStoreReader } from '../store/damaged-reader.js';
import { openReader, type SqliteStoreReader } from '../store/reader.js';
import type { CommitReply } from '../syncer/messages.js';
import { Intents } from '../syncer/intents.js';
import { ReadAhead } from '../syncer/read-ahead.js';
import type { SyncerPort } from '../syncer/txg-options.js';
import { Txgs } from '../syncer/txgs.js';
import type { PagePool } from '../vnode/page-pool.js';
import type { VnodeCache } from '../vnode/vnode-cache.js';
import type { Vnlru } from '../vnode/vnlru.js';
import { FileSystem } from './filesystem.js';
import type { Shared } from './shared.js';
import type { FsOptions } from './state.js';

export interface CoreOptions extends FsOptions {
  syncIntervalMs: number;
  syncer: SyncerPort;
  /** See {@link ReaderOptions.snapshotMs}; with it {@link Core.idle} must be called. */
  snapshotMs?: number;
  /** Barriers may go by the intent log: only where {@link Core.poll} is called as soon as no request is waiting. */
  intentLog?: boolean;
}

export class Core {
  readonly shared: Shared;
  readonly txgs: Txgs;
  readonly fs: FileSystem;
  readonly orphansReaped: number;
  readonly #reader: SqliteStoreReader;
  readonly #readAhead: ReadAhead;
  readonly #intents: Intents | undefined;

  /** Opens the store for reading and loads the root. Errors: StoreError, FsError; then nothing is left in `shared`. */
  constructor(shared: Shared, options: CoreOptions) {
    const { vnodes, clock, room } = shared;
    this.shared = shared;
    const { store, snapshotMs } = options;
    this.#reader = options.readOnly
      ? new DamagedStoreReader(store, { snapshotMs })
      : openReader(store, { snapshotMs });
    const { txg, ...counters } = this.#reader.counters();
    const { chunkBytes, uuid } = this.#reader.superblock;
    this.#intents = options.intentLog === true ? new Intents(store, uuid, shared.pool, clock) : undefined;
    this.txgs = new Txgs({
      vnodes,
      log: new TxgEncoder(),
      port: options.syncer,
      intents: this.#intents,
      room,
      clock,
      counters,
      committed: txg,
      syncIntervalMs: options.syncIntervalMs,
    });
    const readAhead = new ReadAhead(vnodes.bufs, chunkBytes, (request) => options.syncer.send(request));
    this.#readAhead = readAhead;
    this.fs = new FileSystem({ vnodes, txgs: this.txgs, reader: this.#reader, readAhead, clock, options });
    try {
      this.orphansReaped = this.fs.start().orphans;
    } catch (error) {
      this.drop();
      this.#reader.close();
      throw error;
    }
  }

  get pool(): PagePool {
    return this.shared.pool;
  }

  get vnodes(): VnodeCache {
    return this.shared.vnodes;
  }

  get vnlru(): Vnlru {
    return this.shared.vnlru;
  }

  /** Seals if it is time to, recycles a slice if there are too many vnodes, and goes on with an unmount. */
  poll(): void {
    this.txgs.poll();
    this.vnlru.vnlruProc();
    this.fs.flushSlice();
  }

  /** The syncer has answered. */
  onReply(reply: CommitReply): void {
    this.#reader.onCommit();
    this.#readAhead.forget();
    this.txgs.onReply(reply);
  }

  /** No request is waiting: reads what will be asked for next. False: nothing is to be expected. */
  lookAhead(): boolean {
    return this.#reader.lookAhead();
  }

  /** There is nothing to do for now. */
  idle(): void {
    this.#reader.endSnapshot();
  }

  get deadlineMs(): number {
    return this.fs.flushing ? 0 : Math.min(this.txgs.deadlineMs, this.vnlru.deadlineMs);
  }

  /** Closes the reader and the intent log. Nothing may be dirty any more. */
  close(): void {
    this.#intents?.close();
    this.#reader.close();
  }

  /**
   * Takes the mount out of the shared caches: what is dirty is given up, every vnode goes, every page frame is free
   * again. Requires that the syncer has ended (it reads the frames of a sealed group), and that no request is in
   * progress.
   */
  drop(): void {
    this.#readAhead.drop();
    this.fs.discard(() => this.txgs.abandon());
  }
}
