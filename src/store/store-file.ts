/**
 * Notices when the files of an open store are taken away: SQLite goes on writing to a file that has been removed,
 * renamed or replaced, and reports success for what nobody will ever find again.
 */
import { type BigIntStats, statSync } from 'node:fs';
import { Errno, FsError } from '../base/errno.js';

interface Identity {
  dev: bigint;
  ino: bigint;
}

const look = (path: string): BigIntStats | undefined =>
  statSync(path, { bigint: true, throwIfNoEntry: false });

export class StoreFile {
  readonly #path: string;
  readonly #main: Identity;
  #wal: Identity | undefined = undefined;
  /** The main file is never shorter than after the last checkpoint. */
  #bytes: bigint;

  /** Requires: SQLite has the file open. */
  constructor(path: string) {
    this.#path = path;
    const stat = this.#stat(path);
    this.#main = stat;
    this.#bytes = stat.size;
  }

  /** To be called after a commit (the log exists by then) and after a checkpoint (which may shorten the main file). */
  settled(): void {
    this.#bytes = this.#stat(this.#path).size;
    this.#wal ??= look(`${this.#path}-wal`);
  }

  /** Errors: FsError(EIO) whose cause says what happened to which file. */
  verify(): void {
    const stat = this.#stat(this.#path);
    this.#same(this.#path, stat, this.#main);
    if (stat.size < this.#bytes) {
      throw this.#gone(`${this.#path} has been cut from ${this.#bytes} to ${stat.size} bytes`);
    }
    if (this.#wal === undefined) return;
    this.#same(`${this.#path}-wal`, this.#stat(`${this.#path}-wal`), this.#wal);
  }

  #same(path: string, stat: BigIntStats, known: Identity): void {
    if (stat.dev !== known.dev || stat.ino !== known.ino) throw this.#gone(`${path} has been replaced`);
  }

  #stat(path: string): BigIntStats {
    let stat: BigIntStats | undefined;
    try {
      stat = look(path);
    } catch (error) {
      throw new FsError(Errno.EIO, 'stat', { cause: error });
    }
    if (stat === undefined) throw this.#gone(`${path} has been removed or renamed`);
    return stat;
  }

  #gone(what: string): FsError {
    return new FsError(Errno.EIO, 'store', { cause: new Error(`${what} while it is mounted: put it back`) });
  }
}
