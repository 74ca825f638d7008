/**
 * The syncer: commits sealed groups in order, tries a failed one again, keeps the WAL short and gives freed space back.
 * Owns the only writing connection. Synchronous; whoever runs it (a worker thread, a test) calls it with one request
 * after the other.
 *
 * What bounds the WAL. Beyond `walHardBytes` (`walSoftBytes` when that costs nobody anything) it is folded in after a
 * commit; then SQLite begins it anew with the next commit, if no reader is in it. Readers that come and go are waited
 * for a moment. One outside that holds a read transaction keeps all that is committed meanwhile in the WAL, and SQLite
 * knows no way round it: at `walMaxBytes` the dispatcher is told to take nothing new ({@link LogState.held}) until that
 * reader has gone. What it has taken before is committed all the same, so that barriers and an unmount end.
 */
import { FsError } from '../base/errno.js';
import { endianness } from 'node:os';
import { onMacos } from '../base/macos/system.js';
import { prepareIntentLog, removeIntentLog } from '../store/intent-log.js';
import { StoreWriter } from '../store/writer.js';
import { walReaders } from '../store/wal-readers.js';
import { WalWriteback } from '../store/wal-writeback.js';
import type { CommitReply, CommitRequest } from './messages.js';

export interface SyncerLimits {
  /**
   * A WAL longer than this is folded in when there is nothing else to do, or while small barriers follow one another:
   * then it is written over in place again and again, which costs the host far less for each fsync than a file that
   * grows.
   */
  walSoftBytes: number;
  /** One longer than this is folded in at once. In between, bulk data is written once only while it streams in. */
  walHardBytes: number;
  /** See the header. */
  walMaxBytes: number;
  /** SQLite pages that stay free for what comes next, when the others are given back. */
  keepFreePages: number;
  /** Nothing asked for this long counts as idle. */
  idleMs: number;
  /** So many small barriers are worth an intent log; and how long that is. */
  intentAfter: number;
  intentBytes: number;
}
const LIMITS: SyncerLimits = {
  walSoftBytes: 16 << 20,
  walHardBytes: 1024 << 20,
  walMaxBytes: 4096 * 2 ** 20,
  keepFreePages: 128,
  idleMs: 250,
  intentAfter: 8,
  intentBytes: 8 << 20,
};
/** A group whose WAL frames are fewer than this is a small one. */
const SMALL_GROUP_BYTES = 256 << 10;
/** Between two attempts to begin a WAL anew that readers keep. */
const RESTART_EVERY_MS = 1000;
/** SQLite pages given back at a time: a few milliseconds. */
const RELEASE_PAGES = 256;
/** While others wait, so much of the file must be free before any of it is given back: what is freed is soon used again. */
const RELEASE_BUSY_SHARE = 4;
const RELEASE_BUSY_PAGES = 32;
const LOOK_EVERY = 50;

/** Its records are in the order of bytes that nearly every machine has; what fdatasync does on macOS we couldn't try. */
const canLogIntents = endianness() === 'LE' && !onMacos;

/** What {@link Syncer.settle} and {@link Syncer.idle} tell. */
export interface LogState {
  walBytes: number;
  held: string;
}

export class Syncer {
  readonly limits: SyncerLimits;
  readonly #store: string;
  readonly #writer: StoreWriter;
  readonly #pool: Uint8Array;
  readonly #wal: WalWriteback;
  /** Of the WAL: what is not folded in yet, and all. */
  #unfolded = 0;
  #whole = 0;
  #smallBarrier = false;
  #smallBarriers = 0;
  #intents: 'none' | 'made' | 'impossible' = canLogIntents ? 'none' : 'impossible';
  /** The last group was not committed. */
  #failed = false;
  /** Small barriers since the free pages were counted. */
  #unlooked = 0;
  #restartAtMs = 0;
  /** Given back, not folded in: the file is not shorter yet. */
  #released = 0;
  checkpoints = 0;

  /** Requires the store's lock. Errors: StoreError. */
  constructor(store: string, pool: SharedArrayBuffer, limits: Partial<SyncerLimits> = {}) {
    this.limits = { ...LIMITS, ...limits };
    this.#store = store;
    this.#writer = new StoreWriter(store);
    this.#pool = new Uint8Array(pool);
    this.#wal = new WalWriteback(store);
  }

  /** Commits; never throws for a failing store. A failed group may be given again. */
  commit(request: CommitRequest): CommitReply {
    const started = performance.now();
    let errno = 0;
    let reason = '';
    try {
      this.#writer.commit(request.txg, request.log, request.logBytes, this.#pool, request.barrier);
      const grown = this.#measure();
      this.#smallBarrier = request.barrier && grown < SMALL_GROUP_BYTES;
      if (this.#smallBarrier) this.#smallBarriers++;
      if (!request.barrier && grown >= SMALL_GROUP_BYTES) this.#wal.start();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      errno = error.errno;
      reason = error.cause instanceof Error ? error.cause.message : error.message;
    }
    this.#failed = errno !== 0;
    return {
      kind: 'committed',
      txg: request.txg,
      errno,
      reason,
      commitMs: performance.now() - started,
      walBytes: this.#unfolded,
    };
  }

  /** To be called after each commit that went through, once it has been answered. */
  settle(): LogState {
    this.#attempt(() => {
      this.#fold(this.#smallBarrier ? this.limits.walSoftBytes : this.limits.walHardBytes);
      // Looking costs some microseconds, which a program that syncs again and again would feel.
      if (this.#smallBarrier && ++this.#unlooked < LOOK_EVERY) return;
      this.#unlooked = 0;
      const free = this.#writer.freePages();
      if (free * RELEASE_BUSY_SHARE > this.#writer.pages()) this.#release(free, RELEASE_BUSY_PAGES);
    });
    return this.#state();
  }

  /** As {@link settle}, after it. True: the intent log has been made, and the dispatcher may use it. */
  prepareIntents(): boolean {
    if (this.#intents !== 'none' || this.#smallBarriers < this.limits.intentAfter) return false;
    try {
      prepareIntentLog(this.#store, this.limits.intentBytes);
      this.#intents = 'made';
      return true;
    } catch {
      // No room, or no right to make a file there, or one is there that could not be brought in: barriers do without.
      this.#intents = 'impossible';
      return false;
    }
  }

  /** To be called while nobody wants anything; `more`: call it again soon. */
  idle(): LogState & { more: boolean } {
    let more = false;
    this.#attempt(() => {
      this.#fold(this.limits.walSoftBytes);
      more = this.#release(this.#writer.freePages(), RELEASE_PAGES);
      if (more) return;
      if (this.#released === 0 && this.#writer.walFileBytes() <= 4 * this.limits.walSoftBytes) return;
      this.#fold(1);
      if (this.#unfolded === 0) this.#truncate();
    });
    return { ...this.#state(), more };
  }

  /**
   * Folds everything in and closes: one file is left. Returns errno (0: done) and the reason. Where the store has not
   * everything (`whole`, and no group failed), the intent log stays for the next mount.
   */
  close(whole: boolean): { errno: number; reason: string } {
    try {
      this.#wal.close();
      this.#writer.close();
      if (whole && !this.#failed && this.#intents === 'made') removeIntentLog(this.#store);
      return { errno: 0, reason: '' };
    } catch (error) {
      return { errno: error instanceof FsError ? error.errno : 5, reason: String(error) };
    }
  }

  /** How much longer the WAL has become. */
  #measure(): number {
    const before = this.#unfolded;
    const { unfolded, whole } = this.#writer.walBytes();
    this.#unfolded = unfolded;
    this.#whole = whole;
    return unfolded - before;
  }

  #state(): LogState {
    const walBytes = this.#unfolded;
    if (this.#whole < this.limits.walMaxBytes) return { walBytes, held: '' };
    const readers = walReaders(this.#store);
    const who = readers.length === 0 ? 'another program' : readers.join(', ');
    return {
      walBytes,
      held: `${who} reads the store, in one transaction, and its log has become as long as it may: end that`,
    };
  }

  /** A disk that fails keeps its log: the next commit says so, and whatever is left undone here is tried again after it. */
  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
    }
  }

  #fold(aboveBytes: number): void {
    const now = performance.now();
    const restart = this.#whole >= this.limits.walHardBytes && now >= this.#restartAtMs;
    if (this.#unfolded < aboveBytes && !restart) return;
    if (restart) this.#restartAtMs = now + RESTART_EVERY_MS;
    this.#writer.checkpoint(restart ? 'restart' : 'passive');
    this.checkpoints++;
    this.#measure();
  }

  /** Empties the file of the WAL, and shortens the main one. If a reader keeps them, the next commit brings us back here. */
  #truncate(): void {
    if (!this.#writer.checkpoint('truncate').busy) this.#released = 0;
    this.#measure();
  }

  /** Gives some of `free` pages back, unless the WAL is long already. Returns whether more could be. */
  #release(free: number, pagesMax: number): boolean {
    const pages = Math.min(pagesMax, free - this.limits.keepFreePages);
    if (pages <= 0 || this.#whole >= this.limits.walHardBytes) return false;
    this.#writer.releaseFreeSpace(pages);
    this.#released += pages;
    this.#measure();
    return free - pages > this.limits.keepFreePages;
  }
}
