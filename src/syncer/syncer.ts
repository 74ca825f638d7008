/**
 * The syncer: commits sealed groups in order, tries a failed one again, keeps the WAL short. Owns the only writing
 * connection. Synchronous; whoever runs it (a worker thread, a test) calls it with one request after the other.
 */
import { FsError } from '../base/errno.js';
import { StoreWriter } from '../store/writer.js';
import { WalWriteback } from '../store/wal-writeback.js';
import type { CommitReply, CommitRequest } from './messages.js';

export interface SyncerLimits {
  /**
   * A WAL longer than this is folded in when there is nothing else to do, or while small barriers follow one another: then it is
   * written over in place again and again, which costs the host far less for each fsync than a file that grows.
   */
  walSoftBytes: number;
  /** One longer than this is folded in at once. In between, bulk data is written once only while it streams in. */
  walHardBytes: number;
}
const LIMITS: SyncerLimits = { walSoftBytes: 16 << 20, walHardBytes: 1024 << 20 };
/** A group whose WAL frames are fewer than this is a small one. */
const SMALL_GROUP_BYTES = 256 << 10;

export class Syncer {
  readonly #writer: StoreWriter;
  readonly #pool: Uint8Array;
  readonly #wal: WalWriteback;
  readonly #limits: SyncerLimits;
  #walBytes = 0;
  #smallBarrier = false;
  checkpoints = 0;

  /** Requires the store's lock. Errors: StoreError. */
  constructor(store: string, pool: SharedArrayBuffer, limits = LIMITS) {
    this.#limits = limits;
    this.#writer = new StoreWriter(store);
    this.#pool = new Uint8Array(pool);
    this.#wal = new WalWriteback(store);
  }

  /** Commits; never throws for a failing store. A failed group may be given again. */
  commit(request: CommitRequest): CommitReply {
    const started = performance.now();
    let errno = 0;
    let reason = '';
    let walBytes = 0;
    try {
      this.#writer.commit(request.txg, request.log, request.logBytes, this.#pool, request.barrier);
      walBytes = this.#writer.walBytes();
      const grown = walBytes - this.#walBytes;
      this.#walBytes = walBytes;
      this.#smallBarrier = request.barrier && grown < SMALL_GROUP_BYTES;
      if (!request.barrier && grown >= SMALL_GROUP_BYTES) this.#wal.start();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      errno = error.errno;
      reason = error.cause instanceof Error ? error.cause.message : error.message;
    }
    return {
      kind: 'committed',
      txg: request.txg,
      errno,
      reason,
      commitMs: performance.now() - started,
      walBytes,
    };
  }

  /** Folds the WAL in if it is long: `idle` says that nobody waits. Returns what went wrong, or ''. */
  checkpoint(idle: boolean): string {
    try {
      const { walSoftBytes, walHardBytes } = this.#limits;
      if (this.#walBytes < (idle || this.#smallBarrier ? walSoftBytes : walHardBytes)) return '';
      this.#writer.checkpoint('passive');
      this.#walBytes = this.#writer.walBytes();
      this.checkpoints++;
      return '';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** Folds everything in and closes: one file is left. Returns errno (0: done) and the reason. */
  close(): { errno: number; reason: string } {
    try {
      this.#wal.close();
      this.#writer.close();
      return { errno: 0, reason: '' };
    } catch (error) {
      return { errno: error instanceof FsError ? error.errno : 5, reason: String(error) };
    }
  }
}
