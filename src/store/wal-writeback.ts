/**
 * Starts the writing of the WAL to the host's disk while more is still coming in, so that the next barrier does not
 * find all of it undone. Only a hint: what is durable is decided by the barrier's fsync alone.
 *
 * Uses a descriptor of its own on the -wal file. That is safe where one on the main file would not be: SQLite keeps its
 * locks on the main file and on -shm, none on -wal.
 */
import { closeSync, openSync } from 'node:fs';
import { onMacos } from '../base/macos/system.js';
import { SYNC_FILE_RANGE_WRITE, syscalls } from '../base/syscalls.js';

export class WalWriteback {
  readonly #path: string;
  #fd: number | undefined = undefined;

  constructor(store: string) {
    this.#path = `${store}-wal`;
  }

  /** Does not wait for the disk. Failures are for the barrier to report. */
  start(): void {
    if (onMacos) return; // has no such call
    try {
      this.#fd ??= openSync(this.#path, 'r+');
    } catch {
      return; // Not there yet, or no descriptor left: the barrier does without.
    }
    syscalls().syncFileRange(this.#fd, 0, 0, SYNC_FILE_RANGE_WRITE);
  }

  /** Before SQLite closes, and with that removes, the WAL. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
