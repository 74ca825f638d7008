/**
 * Errors of the store. {@link StoreError}: the file can't be used at all, in one sentence for a person; raised while
 * creating, opening, locking. {@link storeFsError}: an operation on an open store failed; what the layers above see.
 */
import Database from 'better-sqlite3';
import { Errno, FsError } from '../base/errno.js';

export type StoreErrorCode =
  | 'not-found'
  | 'exists'
  | 'permission'
  | 'not-sqlite'
  | 'not-a-store'
  | 'newer-format'
  | 'truncated'
  | 'damaged'
  | 'locked'
  | 'busy'
  | 'no-space'
  | 'bad-option'
  | 'io';

/** `message` is one sentence (or two) that says what is wrong and what to do. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;
  readonly path: string;
  constructor(code: StoreErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.path = path;
  }
}

/** SQLite's extended code, such as SQLITE_IOERR_FSYNC, or '' for another error. */
export const sqliteCode = (error: unknown): string =>
  error instanceof Database.SqliteError ? error.code : '';

/** ENOSPC for a full disk (or page limit), EIO for all else; an FsError passes unchanged. */
export function storeFsError(error: unknown, op: string): FsError {
  if (error instanceof FsError) return error;
  const full = sqliteCode(error).startsWith('SQLITE_FULL');
  return new FsError(full ? Errno.ENOSPC : Errno.EIO, op, { cause: error });
}

/** Translates what SQLite says while a store is opened. */
export function openError(path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const code = sqliteCode(error);
  const why = error instanceof Error ? error.message : String(error);
  const cause = { cause: error };
  if (code === 'SQLITE_NOTADB') {
    return new StoreError('not-sqlite', path, `${path} is not a SQLite file, so not a vnodefs store.`, cause);
  }
  if (code.startsWith('SQLITE_CORRUPT')) {
    return new StoreError(
      'damaged',
      path,
      `${path} is damaged (${why}); keep a copy, then run "vnodefs fsck" on it or restore a backup.`,
      cause,
    );
  }
  if (code.startsWith('SQLITE_BUSY')) {
    return new StoreError(
      'busy',
      path,
      `${path} is held by another SQLite program; close it and try again.`,
      cause,
    );
  }
  if (code.startsWith('SQLITE_FULL')) {
    return new StoreError('no-space', path, `No space is left for ${path}; free some and try again.`, cause);
  }
  if (code.startsWith('SQLITE_CANTOPEN') || code.startsWith('SQLITE_READONLY') || code === 'SQLITE_PERM') {
    return new StoreError(
      'permission',
      path,
      `${path} can't be opened for writing (${why}); check its permissions and those of its directory.`,
      cause,
    );
  }
  return new StoreError('io', path, `${path} can't be opened: ${why}.`, cause);
}
