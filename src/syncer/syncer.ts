/**
 * The syncer: commits sealed groups in order, tries a failed one again, keeps the WAL short. Owns the only writing
 * connection. Synchronous; whoever runs it (a worker thread, a test) calls it with one request after the other.
 */
import { FsError } from '../base/errno.js';
import { StoreWriter } from '../store/writer.js';
import type { CommitReply, CommitRequest } from './messages.js';

/** A WAL longer than this is folded in when there is nothing else to do… */
const WAL_SOFT_BYTES = 64 << 20;
/** …and one longer than this at once. */
const WAL_HARD_BYTES = 1024 << 20;

export class Syncer {
  readonly #writer: StoreWriter;
  readonly #pool: Uint8Array;
  checkpoints = 0;

  /** Requires the store's lock. Errors: StoreError. */
  constructor(store: string, pool: SharedArrayBuffer) {
    this.#writer = new StoreWriter(store);
    this.#pool = new Uint8Array(pool);
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
      if (this.#writer.walBytes() < (idle ? WAL_SOFT_BYTES : WAL_HARD_BYTES)) return '';
      this.#writer.checkpoint('passive');
      this.checkpoints++;
      return '';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** Folds everything in and closes: one file is left. Returns errno (0: done) and the reason. */
  close(): { errno: number; reason: string } {
    try {
      this.#writer.close();
      return { errno: 0, reason: '' };
    } catch (error) {
      return { errno: error instanceof FsError ? error.errno : 5, reason: String(error) };
    }
  }
}
