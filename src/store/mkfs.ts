/**
 * Makes a store: builds it whole under a temporary name beside the target, makes it durable, then gives it its name in
 * one step. A crash leaves either no store or a whole one (and perhaps the temporary file).
 */
import Database from 'better-sqlite3';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, linkSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { ROOT_INO } from '../base/ids.js';
import { syncPath } from '../base/sync-path.js';
import { DEFAULTS } from './defaults.js';
import { lockStore } from './lock.js';
import { openStore } from './open.js';
import { APPLICATION_ID, FORMAT_VERSION, INODE_COLUMNS, SCHEMA_SQL } from './schema.js';
import { openError, StoreError } from './store-error.js';
import { readSuperblock, validChunkBytes, validInlineMax } from './superblock.js';
import type { Superblock } from './types.js';

export interface MkfsOptions {
  label?: string;
  /** Bytes of allocated data; 0 (default) is no limit. */
  sizeLimitBytes?: number;
  /** 0 (default) is no limit. */
  inodeLimit?: number;
  chunkBytes?: number;
  /** SQLite's page size: a power of two, 512 to 65536. */
  pageBytes?: number;
  inlineMax?: number;
  /** Permission bits of the root directory; default 0755. */
  rootMode?: number;
  rootUid?: number;
  rootGid?: number;
  /** Replace an existing store (not in use) or empty file. */
  force?: boolean;
  /** Time stamp of the root; default now. */
  nowSec?: number;
  /** 32 hex digits; default random. */
  uuid?: string;
}

/** Returns the superblock of the new store. The file has mode 0600. Errors: StoreError. */
export function createStore(path: string, options: MkfsOptions = {}): Superblock {
  checkOptions(path, options);
  using lock = existsSync(path) ? lockExisting(path, options.force === true) : undefined;
  removeStaleLogs(path, options.force === true);
  const temporary = `${path}.mkfs-${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    closeSync(openSync(temporary, 'wx', 0o600));
    const superblock = build(temporary, options);
    if (lock === undefined) linkSync(temporary, path);
    else renameSync(temporary, path);
    syncPath(dirname(path));
    return superblock;
  } catch (error) {
    throw createError(path, error);
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(temporary + suffix, { force: true });
  }
}

function checkOptions(path: string, options: MkfsOptions): void {
  const bad = (what: string): StoreError => new StoreError('bad-option', path, what);
  const { chunkBytes, inlineMax, pageBytes, sizeLimitBytes = 0, inodeLimit = 0 } = options;
  if (chunkBytes !== undefined && !validChunkBytes(chunkBytes)) {
    throw bad('The chunk size must be 4096 times a power of two, at most 131072 bytes.');
  }
  if (inlineMax !== undefined && !validInlineMax(inlineMax)) {
    throw bad('The inline limit must be 0 to 4096 bytes.');
  }
  if (pageBytes !== undefined && ![512, 1024, 2048, 4096, 8192, 16384, 32768, 65536].includes(pageBytes)) {
    throw bad('The SQLite page size must be a power of two from 512 to 65536.');
  }
  if (!Number.isSafeInteger(sizeLimitBytes) || sizeLimitBytes < 0)
    throw bad('The size limit must be 0 or more bytes.');
  if (!Number.isSafeInteger(inodeLimit) || inodeLimit < 0) throw bad('The inode limit must be 0 or more.');
}

/** An existing target may only be a store that nobody uses or an empty file, and only with `force`. */
function lockExisting(path: string, force: boolean): Disposable {
  if (!force) {
    const message = `${path} exists already; choose another name, or use --force to replace a vnodefs store.`;
    throw new StoreError('exists', path, message);
  }
  const stat = statSync(path);
  if (!stat.isFile()) {
    throw new StoreError(
      'exists',
      path,
      `${path} is not a regular file, and --force replaces only a vnodefs store.`,
    );
  }
  const lock = lockStore(path);
  try {
    if (stat.size > 0) openStore(path, { mode: 'read', cacheKiB: 1024 }).close();
    return lock;
  } catch (error) {
    // A store too damaged to open, or of another format, is still a store that --force may replace.
    if (error instanceof StoreError && ['newer-format', 'damaged', 'truncated'].includes(error.code))
      return lock;
    lock.release();
    const message = `${path} is not a vnodefs store (nor empty), and --force replaces only those; remove it yourself.`;
    throw new StoreError('exists', path, message, { cause: error });
  }
}

/** SQLite would replay a log left by an earlier file of this name into the new store. */
function removeStaleLogs(path: string, force: boolean): void {
  for (const suffix of ['-wal', '-shm', '-journal', '-intent']) {
    const log = path + suffix;
    if (!existsSync(log)) continue;
    if (!force) {
      const message = `${log} belongs to another database; move it away or use --force, which removes it.`;
      throw new StoreError('exists', path, message);
    }
    rmSync(log, { force: true });
  }
}

/** A file with the tables of a store, empty. Not a store yet: its superblock is missing. The caller closes it. */
export function createTables(file: string, pageBytes: number): Database.Database {
  const db = new Database(file);
  try {
    prepareFile(db, pageBytes);
    db.transaction(() => {
      db.exec(SCHEMA_SQL);
      db.pragma(`user_version = ${FORMAT_VERSION}`);
      db.pragma(`application_id = ${APPLICATION_ID}`);
    }).immediate();
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function prepareFile(db: Database.Database, pageBytes: number): void {
  db.pragma(`page_size = ${pageBytes}`);
  db.pragma('auto_vacuum = INCREMENTAL');
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
}

function build(file: string, options: MkfsOptions): Superblock {
  const db = new Database(file);
  try {
    prepareFile(db, options.pageBytes ?? DEFAULTS.pageBytes);
    db.transaction(() => {
      db.exec(SCHEMA_SQL);
      fill(db, options);
      db.pragma(`user_version = ${FORMAT_VERSION}`);
      db.pragma(`application_id = ${APPLICATION_ID}`);
    }).immediate();
    return readSuperblock(db, file);
  } finally {
    db.close();
  }
}

function fill(db: Database.Database, options: MkfsOptions): void {
  const nowMs = Date.now();
  const sec = options.nowSec ?? Math.floor(nowMs / 1000);
  const nsec = options.nowSec === undefined ? (nowMs % 1000) * 1_000_000 : 0;
  db.prepare('INSERT INTO superblock VALUES (1, ?, ?, ?, ?, ?, ?, ?)').run(
    options.uuid ?? randomBytes(16).toString('hex'),
    options.label ?? '',
    options.chunkBytes ?? DEFAULTS.chunkBytes,
    options.inlineMax ?? DEFAULTS.inlineMax,
    options.sizeLimitBytes ?? 0,
    options.inodeLimit ?? 0,
    sec,
  );
  db.prepare('INSERT INTO counters VALUES (1, 2, 1, 0, 0, 0)').run();
  const mode = 0o040000 | ((options.rootMode ?? 0o755) & 0o7777);
  db.prepare(
    `INSERT INTO inode(ino, ${INODE_COLUMNS.join(', ')}) VALUES (${ROOT_INO}, ?, ?, ?, 2, 0, 0, 0, 0, 0, ${ROOT_INO}, 3, ` +
      '?, ?, ?, ?, ?, ?, ?, ?)',
  ).run(mode, options.rootUid ?? 0, options.rootGid ?? 0, sec, nsec, sec, nsec, sec, nsec, sec, nsec);
}

function createError(path: string, error: unknown): StoreError {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EEXIST')
    return new StoreError('exists', path, `${path} exists already; choose another name.`);
  if (code === 'ENOENT') {
    return new StoreError('not-found', path, `The directory of ${path} does not exist; make it first.`);
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new StoreError('permission', path, `${path} can't be created (${code}); check its directory.`);
  }
  if (code === 'ENOSPC') return new StoreError('no-space', path, `No space is left for ${path}; free some.`);
  return openError(path, error);
}
