/**
 * The one writing connection: commits transaction groups, checkpoints the WAL.
 *
 * Durability. Every commit changes the counters row (`commits` goes up by one), so every commit writes at least one WAL
 * frame; a barrier commits with synchronous=FULL, whose fsync of the WAL covers all frames before it. Other commits
 * write without syncing.
 *
 * INVARIANT: after a failed write or sync the log is suspect: it is neither folded into the main file nor relied upon
 * by a barrier before it has been written anew (wal-renewal.ts).
 */
import type Database from 'better-sqlite3';
import { statSync } from 'node:fs';
import { InvariantError } from '../base/assert.js';
import { Errno, FsError } from '../base/errno.js';
import { openStore } from './open.js';
import { openError, sqliteCode, storeFsError } from './store-error.js';
import { StoreFile } from './store-file.js';
import { readCounters, readSuperblock } from './superblock.js';
import { TxgApplier } from './txg-applier.js';
import { decodeTxg } from './txg-log.js';
import type { StoreCounters, Superblock } from './types.js';
import { renewWalFile } from './wal-renewal.js';

export interface WriterOptions {
  /** SQLite's page cache: above it a group's dirty pages spill to the WAL before the commit. */
  cacheKiB?: number;
}

export type CheckpointMode = 'passive' | 'full' | 'restart' | 'truncate';

export interface CheckpointResult {
  /** True: a reader or another program kept some frames from being folded in. */
  busy: boolean;
  /** Frames in the WAL, and how many of them are in the main file now. */
  walFrames: number;
  doneFrames: number;
}

function prepareAll(db: Database.Database) {
  return {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    rollback: db.prepare('ROLLBACK'),
    txg: db.prepare('SELECT txg FROM counters').pluck(),
    stamp: db.prepare('UPDATE counters SET txg = ?, commits = commits + 1'),
    stampCounters: db.prepare(
      'UPDATE counters SET txg = ?, commits = commits + 1, next_ino = ?, inode_count = ?, alloc_pages = ?',
    ),
    walState: db.prepare('PRAGMA wal_checkpoint(NOOP)').raw(),
  };
}

/** How long a commit waits for another program that writes to the store; and a checkpoint for those that read it. */
const COMMIT_BUSY_MS = 5000;
const CHECKPOINT_BUSY_MS = 50;

/** Requires: the caller holds the store's lock (lock.ts) for as long as this is open. */
export class StoreWriter {
  readonly superblock: Superblock;
  readonly path: string;
  readonly #db: Database.Database;
  readonly #sql: ReturnType<typeof prepareAll>;
  readonly #applier: TxgApplier;
  readonly #frameBytes: number;
  readonly #file: StoreFile;
  /** Whether the connection is at synchronous=FULL now. */
  #full = false;
  /** See the header. */
  #walSuspect = false;

  /** Opens (and if need be migrates) the store. The caller closes it with {@link close}. Errors: StoreError. */
  constructor(path: string, options: WriterOptions = {}) {
    this.path = path;
    this.#db = openStore(path, { mode: 'write', cacheKiB: options.cacheKiB ?? 32 * 1024 });
    try {
      this.superblock = readSuperblock(this.#db, path);
      this.#sql = prepareAll(this.#db);
      this.#applier = new TxgApplier(this.#db, this.superblock);
      this.#frameBytes = Number(this.#db.pragma('page_size', { simple: true })) + 24;
      this.#file = new StoreFile(path);
    } catch (error) {
      this.#db.close();
      throw openError(path, error);
    }
  }

  /** As of the last commit; `txg` is the last group committed. Errors: FsError(EIO). */
  counters(): StoreCounters & { txg: number } {
    try {
      return readCounters(this.#db, this.path);
    } catch (error) {
      throw storeFsError(error, 'counters');
    }
  }

  /**
   * Commits one group; `poolBytes` is the page pool that its frames refer to. With `barrier` it, and everything
   * committed before it, is durable on return. On an error the group was rolled back (or, if only making it durable
   * failed, is in the store but not promised): either way the same log may be committed again. Errors: FsError ENOSPC
   * (disk full) or EIO, with the cause; InvariantError for a log that makes no sense.
   */
  commit(txg: number, log: ArrayBuffer, logBytes: number, poolBytes: Uint8Array, barrier: boolean): void {
    try {
      this.#file.verify();
      this.#setFull(barrier);
      this.#sql.begin.run();
      this.#applier.begin(poolBytes);
      // A group whose commit went through, though not its making durable, comes again. Applied twice, a clone would
      // take what its source became later in the group.
      if ((this.#sql.txg.get() as number) !== txg) decodeTxg(log, logBytes, this.#applier);
      this.#stamp(txg);
      this.#sql.commit.run();
    } catch (error) {
      this.#rollback(error);
      if (error instanceof InvariantError) throw error;
      throw storeFsError(error, 'commit');
    }
    this.#file.settled();
    if (barrier) this.#renewWal();
  }

  /**
   * Folds the WAL into the main file, syncing both. 'passive' takes what it can without waiting; 'restart' waits a
   * moment for readers, so that the next commit begins the WAL anew; 'truncate' also empties its file. Errors: FsError.
   */
  checkpoint(mode: CheckpointMode, busyMs = CHECKPOINT_BUSY_MS): CheckpointResult {
    this.#renewWal();
    try {
      this.#db.exec(`PRAGMA busy_timeout = ${busyMs}`);
      const rows = this.#db.pragma(`wal_checkpoint(${mode.toUpperCase()})`) as {
        busy: number;
        log: number;
        checkpointed: number;
      }[];
      const { busy, log, checkpointed } = rows[0];
      this.#file.settled();
      return { busy: busy !== 0, walFrames: log, doneFrames: checkpointed };
    } catch (error) {
      this.#suspect(error);
      throw storeFsError(error, 'checkpoint');
    } finally {
      this.#db.exec(`PRAGMA busy_timeout = ${COMMIT_BUSY_MS}`);
    }
  }

  /** Bytes of the WAL that a checkpoint would still have to fold in, and of all of it; its file may be longer. */
  walBytes(): { unfolded: number; whole: number } {
    const [frames, done] = this.#walFrames();
    return { unfolded: Math.max(0, frames - done) * this.#frameBytes, whole: frames * this.#frameBytes };
  }

  /** Bytes of the WAL file. */
  walFileBytes(): number {
    return statSync(`${this.path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** SQLite pages of the main file, once the WAL is folded in. Errors: FsError. */
  pages(): number {
    return this.#pageCount('page_count');
  }

  /** Those that hold nothing. Errors: FsError. */
  freePages(): number {
    return this.#pageCount('freelist_count');
  }

  /**
   * Gives up to `maxPages` free SQLite pages back to the host's filesystem: in a transaction that changes no contents;
   * the file gets shorter at the next checkpoint. Errors: FsError.
   */
  releaseFreeSpace(maxPages: number): void {
    try {
      this.#file.verify();
      this.#db.exec(`PRAGMA incremental_vacuum(${Math.floor(maxPages)})`);
    } catch (error) {
      this.#suspect(error);
      throw storeFsError(error, 'releaseFreeSpace');
    }
  }

  /**
   * Caps the main file at `pages` SQLite pages (of this connection only): beyond it commits fail with ENOSPC.
   * Errors: FsError.
   */
  limitPages(pages: number): void {
    try {
      this.#db.pragma(`max_page_count = ${Math.floor(pages)}`);
    } catch (error) {
      throw storeFsError(error, 'limitPages');
    }
  }

  /**
   * Checkpoints and closes; when no reader is open any more only the one file is left. Closes even if it throws.
   * Errors: FsError when the checkpoint failed: the WAL stays, and the next opening replays it.
   */
  close(): void {
    if (!this.#db.open) return;
    try {
      this.#setFull(true);
      this.checkpoint('truncate', COMMIT_BUSY_MS);
    } finally {
      this.#db.close();
    }
  }

  #pageCount(pragma: 'page_count' | 'freelist_count'): number {
    try {
      return Number(this.#db.pragma(pragma, { simple: true }));
    } catch (error) {
      throw storeFsError(error, pragma);
    }
  }

  /** Frames in the log, and how many of them are in the main file. */
  #walFrames(): [number, number] {
    try {
      const [, frames, done] = this.#sql.walState.get() as [number, number, number];
      return [frames, done];
    } catch (error) {
      throw storeFsError(error, 'walFrames');
    }
  }

  #stamp(txg: number): void {
    const counters = this.#applier.counters;
    if (counters === undefined) this.#sql.stamp.run(txg);
    else this.#sql.stampCounters.run(txg, counters.nextIno, counters.inodeCount, counters.allocPages);
  }

  /** `synchronous` can only be changed outside a transaction. */
  #setFull(full: boolean): void {
    if (full === this.#full) return;
    this.#db.exec(full ? 'PRAGMA synchronous = FULL' : 'PRAGMA synchronous = NORMAL');
    this.#full = full;
  }

  #rollback(error: unknown): void {
    this.#suspect(error);
    if (!this.#db.inTransaction) return;
    try {
      this.#sql.rollback.run();
    } catch (second) {
      throw new FsError(Errno.EIO, 'rollback', { cause: new AggregateError([error, second]) });
    }
  }

  #suspect(error: unknown): void {
    const code = sqliteCode(error);
    if (code.startsWith('SQLITE_IOERR') || code.startsWith('SQLITE_FULL')) this.#walSuspect = true;
  }

  /** If the log is suspect. Errors: FsError(EIO): it stays so. */
  #renewWal(): void {
    if (!this.#walSuspect) return;
    renewWalFile(`${this.path}-wal`, this.#walFrames()[0]);
    this.#walSuspect = false;
  }
}
