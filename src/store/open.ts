/**
 * Opens a store with its checks. Every connection of the project comes from here (mkfs builds its own file first).
 *
 * INVARIANT: nothing here opens the store through another descriptor than SQLite's: closing any descriptor of a file
 * drops all POSIX locks that this process holds on it, SQLite's included. stat(2) alone is harmless.
 */
import Database from 'better-sqlite3';
import { statSync } from 'node:fs';
import { migrate } from './migrate.js';
import { missingPages } from './missing-pages.js';
import { APPLICATION_ID, FORMAT_VERSION } from './schema.js';
import { openError, sqliteCode, StoreError } from './store-error.js';

export interface OpenOptions {
  /** 'write': the one writer (hold the lock of lock.ts); 'read': never changes the store. */
  mode: 'read' | 'write';
  /** SQLite's page cache, in KiB. */
  cacheKiB: number;
  /** How long to wait for another SQLite program's lock. */
  busyTimeoutMs?: number;
}

/**
 * Requires, for 'write', the writer lock; an older format is then migrated. Returns an open connection in WAL mode: the
 * caller closes it. A file that has lost its end is opened for reading all the same: what is left can be read. Errors:
 * StoreError.
 */
export function openStore(path: string, options: OpenOptions): Database.Database {
  const fileBytes = fileSize(path);
  if (fileBytes === 0) {
    throw new StoreError('not-a-store', path, `${path} is empty; make a store with "vnodefs mkfs".`);
  }
  try {
    return connect(path, options, false);
  } catch (error) {
    const truncated = truncatedError(path, fileBytes, error);
    if (truncated === undefined) throw openError(path, error);
    if (options.mode === 'write') throw truncated;
    try {
      return connect(path, options, true);
    } catch {
      throw truncated;
    }
  }
}

/** `cut`: SQLite isn't to compare the file's length with what its header says. Errors: as SQLite's, and StoreError. */
function connect(path: string, options: OpenOptions, cut: boolean): Database.Database {
  let db = openFile(path, options, false);
  try {
    if (cut) {
      // lockBtree (btree.c) trusts the length of the file if the schema may be written, which query_only below forbids again.
      db.unsafeMode(true);
      db.pragma('writable_schema = ON');
    }
    checkIdentity(db, path);
    if (!cut && hasLostEnd(db, path)) {
      db = withoutFolding(db, path, options);
      if (options.mode === 'write') throw truncatedStore(path, fileSize(path));
    }
    db.pragma(`cache_size = -${options.cacheKiB}`);
    db.pragma('temp_store = MEMORY');
    db.pragma('synchronous = NORMAL');
    db.pragma('wal_autocheckpoint = 0');
    if (options.mode === 'write') {
      db.pragma('journal_mode = WAL');
      migrate(db, path);
    } else {
      db.pragma('query_only = 1');
      requireCurrent(db, path);
    }
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

const openFile = (path: string, options: OpenOptions, readonly: boolean): Database.Database =>
  new Database(path, { fileMustExist: true, timeout: options.busyTimeoutMs ?? 5000, readonly });

/** In one read transaction: meanwhile no checkpoint makes the file shorter. */
function hasLostEnd(db: Database.Database, path: string): boolean {
  db.exec('BEGIN');
  try {
    return missingPages(db, path) > 0;
  } finally {
    db.exec('COMMIT');
  }
}

/**
 * Another connection instead of `db`, one that doesn't fold the log in when it is closed: that would fill up what the
 * file has lost with zeros, and then nobody could see the loss.
 */
function withoutFolding(db: Database.Database, path: string, options: OpenOptions): Database.Database {
  const other = openFile(path, options, true);
  try {
    // While this one has the file's lock, `db` isn't the last.
    other.pragma('user_version');
    return other;
  } catch (error) {
    other.close();
    throw error;
  } finally {
    db.close();
  }
}

function fileSize(path: string): number {
  let stat;
  try {
    stat = statSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      const message = `There is no file ${path}; make a store with "vnodefs mkfs" or check the name.`;
      throw new StoreError('not-found', path, message, { cause: error });
    }
    throw new StoreError('permission', path, `${path} can't be examined (${code}).`, { cause: error });
  }
  if (!stat.isFile()) {
    throw new StoreError('not-a-store', path, `${path} is not a regular file; a vnodefs store is one.`);
  }
  return stat.size;
}

/** The first statement on the connection: SQLite reads the header here, so a foreign file fails here. */
function checkIdentity(db: Database.Database, path: string): void {
  const applicationId = db.pragma('application_id', { simple: true });
  if (applicationId !== APPLICATION_ID) {
    const message = `${path} is a SQLite file but not a vnodefs store; choose another file.`;
    throw new StoreError('not-a-store', path, message);
  }
  const version = formatVersion(db);
  if (version > FORMAT_VERSION) {
    const message =
      `${path} has format ${version}, newer than the ${FORMAT_VERSION} this vnodefs knows; ` +
      'use a newer vnodefs.';
    throw new StoreError('newer-format', path, message);
  }
  if (version < 1) {
    throw new StoreError('damaged', path, `${path} has no valid format version; restore it from a backup.`);
  }
}

export const formatVersion = (db: Database.Database): number =>
  Number(db.pragma('user_version', { simple: true }));

function requireCurrent(db: Database.Database, path: string): void {
  const version = formatVersion(db);
  if (version === FORMAT_VERSION) return;
  const message = `${path} has the older format ${version}; mount it once for writing, which brings it up to date.`;
  throw new StoreError('damaged', path, message);
}

/** SQLite reports a file that lost its end as corrupt when it reads the header: its size is worth saying. */
function truncatedError(path: string, fileBytes: number, error: unknown): StoreError | undefined {
  return sqliteCode(error).startsWith('SQLITE_CORRUPT') ? truncatedStore(path, fileBytes) : undefined;
}

function truncatedStore(path: string, fileBytes: number): StoreError {
  const message =
    `${path} is damaged or shorter than its header says (${fileBytes} bytes); ` +
    'if it was copied, copy it again while it is not mounted; otherwise "vnodefs mount -o ro" shows what is left of it, and ' +
    '"vnodefs fsck --repair" makes a sound store of that.';
  return new StoreError('truncated', path, message);
}
