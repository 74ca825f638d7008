/**
 * One writer per store, across processes and threads: flock(2) on the store file itself, through a descriptor of our
 * own. No side file (but on macOS: see there), so nothing to leave behind or to race for; the lock follows the file
 * when it is renamed.
 *
 * INVARIANT: a descriptor opened here is not closed while SQLite may have the file open anywhere in the process.
 * Closing any descriptor of a file drops every POSIX lock the process holds on it (fcntl(2), "Record locking and file
 * descriptors"), and SQLite's locks are such. Descriptors are therefore kept per file (device, inode) and used again,
 * unless the holder knows that all connections are closed ({@link StoreLock.close}): the map below is state of the
 * process, not of a mount. A second thread keeps its own.
 */
import { closeSync, openSync, statSync } from 'node:fs';
import { tryLockExclusive, unlock } from '../base/flock.js';
import { macosLockFile, onMacos } from '../base/macos/system.js';
import { StoreError } from './store-error.js';

interface Kept {
  key: string;
  fd: number;
  held: boolean;
}

const keptByFile = new Map<string, Kept>();

/** Holds the lock until {@link release} (or until the process ends). */
export class StoreLock implements Disposable {
  readonly #kept: Kept;
  #released = false;
  constructor(kept: Kept) {
    this.#kept = kept;
  }
  /** Idempotent. Requires: the writing connection is closed. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#kept.held = false;
    unlock(this.#kept.fd);
  }
  /** As {@link release}, and lets go of the file. Requires: no connection of this process, in any thread, has it open. */
  close(): void {
    if (this.#released) return;
    this.release();
    keptByFile.delete(this.#kept.key);
    closeSync(this.#kept.fd);
  }
  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * Takes the writer lock of an existing store file, before SQLite opens it. Returns the lock: the caller releases it.
 * Errors: StoreError 'locked', 'not-found', 'permission'.
 */
export function lockStore(path: string): StoreLock {
  const kept = descriptorOf(path);
  if (kept.held || !tryLockExclusive(kept.fd)) {
    const message = `${path} is in use by another vnodefs (a mount or a command); unmount it first.`;
    throw new StoreError('locked', path, message);
  }
  kept.held = true;
  return new StoreLock(kept);
}

function descriptorOf(path: string): Kept {
  try {
    const stat = statSync(path, { bigint: true });
    const key = `${stat.dev}:${stat.ino}`;
    let kept = keptByFile.get(key);
    if (kept === undefined) {
      const fd = onMacos ? openSync(macosLockFile(path), 'a') : openSync(path, 'r');
      kept = { key, fd, held: false };
      keptByFile.set(key, kept);
    }
    return kept;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      const message = `There is no file ${path}; make a store with "vnodefs mkfs" or check the name.`;
      throw new StoreError('not-found', path, message, { cause: error });
    }
    const message = `${path} can't be opened (${code}); check its permissions.`;
    throw new StoreError('permission', path, message, { cause: error });
  }
}
