/**
 * The dispatcher's view of the store: point queries for cache misses, each its own read transaction on the
 * newest commit.
 *
 * The rows are read raw (arrays, not objects) through statements prepared once. A connection's page cache is dropped by
 * SQLite whenever another connection commits, so it stays small.
 */
import type Database from 'better-sqlite3';
import { asIno, bytesOfName, type ByteName, type Ino } from '../base/ids.js';
import { LookAhead } from './look-ahead.js';
import { openStore } from './open.js';
import { blobOf, inodeOf, intOf, nameOf, WrongType } from './rows.js';
import { ScanAhead } from './scan-ahead.js';
import { INODE_COLUMNS } from './schema.js';
import { openError, sqliteCode, storeFsError } from './store-error.js';
import { readCounters, readSuperblock } from './superblock.js';
import type {
  ChunkRow,
  DirentRecord,
  InodeRecord,
  StoreCounters,
  StoreReader,
  Superblock,
  XattrRecord,
} from './types.js';

const SCAN_ROWS =
  'SELECT ino, type, cookie, name FROM dirent INDEXED BY dirent_cookie ' +
  'WHERE parent = ? AND cookie > ? ORDER BY cookie LIMIT ?';
/**
 * The same rows as one text: ino/type/cookie/name/ino/… No name contains a slash. A row a call costs some 2.5 µs in
 * better-sqlite3, most of it for the Buffer of the name; this a fraction of it.
 */
const SCAN_TEXT = `SELECT group_concat(ino || '/' || type || '/' || cookie || '/' || name, '/') FROM (${SCAN_ROWS})`;
/** Anything else might have been bytes that are not UTF-8: those rows are read one by one. */
const ASCII = /^[\x01-\x7f]*$/;

const ZERO = 48; // '0'

/** Fewer inodes than this are not worth a statement of their own. */
const AHEAD_MIN = 4;
/** Rows read ahead of a listing: what an answer has room for, or more. */
const SCAN_AHEAD = 1024;

const SUM_PAGES = 'SELECT coalesce(sum(pages), 0) FROM chunk_map WHERE ino = ? AND idx >= ? AND idx < ?';

const INODE_LIST = INODE_COLUMNS.join(', ');
const ALIASED = INODE_COLUMNS.map((column) => `i.${column}`).join(', ');

const namesAhead = (name: string): string =>
  `SELECT d.ino, d.type, d.cookie, ${name}, i.ino, ${ALIASED} FROM dirent d LEFT JOIN inode i ON i.ino = d.ino ` +
  'WHERE d.parent = ? AND d.name >= ? ORDER BY d.name LIMIT ?';

/** Column of {@link prepareAll}'s `names` from which on the inode comes. */
const INODE_AT = 4;

function prepareAll(db: Database.Database) {
  return {
    begin: db.prepare('BEGIN'),
    end: db.prepare('COMMIT'),
    giveUp: db.prepare('ROLLBACK'),
    // A Buffer for each name would take as long as all the rest of the row.
    names: db.prepare(namesAhead('CAST(d.name AS TEXT)')).raw(),
    anyNames: db.prepare(namesAhead('d.name')).raw(),
    inodes: db.prepare(`SELECT ino, ${INODE_LIST} FROM inode WHERE ino BETWEEN ? AND ?`).raw(),
    inode: db.prepare(`SELECT ino, ${INODE_LIST} FROM inode WHERE ino = ?`).raw(),
    dirent: db.prepare('SELECT ino, type, cookie FROM dirent WHERE parent = ? AND name = ?').raw(),
    scan: db.prepare(SCAN_ROWS).raw(),
    scanText: db.prepare(SCAN_TEXT).pluck(),
    symlink: db.prepare('SELECT target FROM symlink WHERE ino = ?').pluck(),
    inline: db.prepare('SELECT data FROM inline_data WHERE ino = ?').pluck(),
    hasInline: db.prepare('SELECT 1 FROM inline_data WHERE ino = ?').pluck(),
    chunk: db
      .prepare('SELECT c.data FROM chunk_map m JOIN chunk c ON c.id = m.chunk WHERE m.ino = ? AND m.idx = ?')
      .pluck(),
    pages: db.prepare('SELECT pages FROM chunk_map WHERE ino = ? AND idx = ?').pluck(),
    sumPages: db.prepare(SUM_PAGES).pluck(),
    chunkRows: db
      .prepare(
        'SELECT m.idx, m.chunk, m.pages FROM chunk_map m JOIN chunk c ON c.id = m.chunk ' +
          'WHERE m.ino = ? AND m.idx >= ? AND m.idx < ? ORDER BY m.idx',
      )
      .raw(),
    cloned: db
      .prepare(
        'SELECT data FROM chunk WHERE id = CASE WHEN (SELECT txg FROM counters) >= ? ' +
          'THEN (SELECT chunk FROM chunk_map WHERE ino = ? AND idx = ?) ELSE ? END',
      )
      .pluck(),
    next: db.prepare('SELECT idx FROM chunk_map WHERE ino = ? AND idx >= ? ORDER BY idx LIMIT 1').pluck(),
    xattr: db.prepare('SELECT value FROM xattr WHERE ino = ? AND name = ?').pluck(),
    xattrs: db.prepare('SELECT name, value FROM xattr WHERE ino = ? ORDER BY name').raw(),
    orphans: db.prepare('SELECT ino FROM orphan ORDER BY ino').pluck(),
  };
}

/** A row of ino, type and cookie. */
const direntOf = (name: ByteName, row: readonly unknown[]): DirentRecord => ({
  name,
  ino: asIno(intOf(row[0])),
  type: intOf(row[1]),
  cookie: intOf(row[2]),
});

/** Rows of {@link SCAN_TEXT}. Names are ASCII here, and so their own byte form. */
function parseScan(text: string): DirentRecord[] {
  const rows: DirentRecord[] = [];
  let at = 0;
  // A listing makes so much garbage that splitting the text into strings shows.
  const number = (): number => {
    let value = 0;
    for (; at < text.length; at++) {
      const digit = text.charCodeAt(at) - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (text[at++] !== '/') throw new WrongType();
    return intOf(value);
  };
  while (at < text.length) {
    const [ino, type, cookie] = [number(), number(), number()];
    const end = text.indexOf('/', at);
    const name = text.slice(at, end < 0 ? undefined : end);
    rows.push({ name: name as ByteName, ino: asIno(ino), type, cookie });
    at += name.length + 1;
  }
  return rows;
}

export interface ReaderOptions {
  /** SQLite's page cache of this connection. */
  cacheKiB?: number;
  /** Reads the superblock; default {@link readSuperblock}. */
  superblock?: (db: Database.Database) => Superblock;
  /**
   * One read transaction serves all reads for so long, or until {@link SqliteStoreReader.endSnapshot}: beginning and
   * ending one costs three system calls. 0, the default: each read has its own.
   */
  snapshotMs?: number;
}

export class SqliteStoreReader implements StoreReader {
  readonly superblock: Superblock;
  readonly path: string;
  readonly #db: Database.Database;
  readonly #sql: ReturnType<typeof prepareAll>;
  readonly #ahead = new LookAhead();
  readonly #scan = new ScanAhead();
  readonly #snapshotMs: number;
  /** When the snapshot was taken, on performance.now()'s scale; -1: there is none. */
  #snapshotSinceMs = -1;

  /** Opens a connection: the caller closes it with {@link close}. Errors: StoreError. */
  constructor(path: string, options: ReaderOptions = {}) {
    this.path = path;
    this.#snapshotMs = options.snapshotMs ?? 0;
    this.#db = openStore(path, { mode: 'read', cacheKiB: options.cacheKiB ?? 8192 });
    try {
      this.superblock = options.superblock?.(this.#db) ?? readSuperblock(this.#db, path);
      this.#sql = prepareAll(this.#db);
    } catch (error) {
      this.#db.close();
      throw openError(path, error);
    }
  }

  endSnapshot(): void {
    if (this.#snapshotSinceMs < 0) return;
    this.#snapshotSinceMs = -1;
    // An error may have ended it; and one of a damaged store makes COMMIT fail.
    try {
      if (this.#db.inTransaction) this.#sql.end.run();
    } catch (error) {
      if (sqliteCode(error) === '') throw error;
      if (this.#db.inTransaction) this.#sql.giveUp.run();
    }
  }

  onCommit(): void {
    this.endSnapshot();
    this.#ahead.forget();
    this.#scan.forget();
  }

  #takeSnapshot(): void {
    if (this.#snapshotMs === 0) return;
    const nowMs = performance.now();
    if (this.#snapshotSinceMs >= 0) {
      if (nowMs - this.#snapshotSinceMs < this.#snapshotMs && this.#db.inTransaction) return;
      this.endSnapshot();
    }
    this.#sql.begin.run();
    this.#snapshotSinceMs = nowMs;
  }

  counters(): StoreCounters & { txg: number } {
    try {
      return readCounters(this.#db, this.path);
    } catch (error) {
      throw storeFsError(error, 'counters');
    }
  }

  loadInode(ino: Ino): InodeRecord | undefined {
    const ahead = this.#ahead.takeInode(ino);
    if (ahead !== undefined) return ahead;
    return this.#read('loadInode', () => {
      const row = this.#sql.inode.get(ino) as unknown[] | undefined;
      return row === undefined ? undefined : inodeOf(row);
    });
  }

  readInodesAhead(inos: readonly Ino[]): void {
    const missing = inos.filter((ino) => !this.#ahead.hasInode(ino));
    const [from, to] = [Math.min(...missing), Math.max(...missing)];
    // Those of a directory mostly were made one after another; otherwise each is read when it is asked for.
    if (this.#ahead.off || missing.length < AHEAD_MIN || to - from > 2 * missing.length) return;
    this.#tryAhead(() => {
      for (const row of this.#sql.inodes.all(from, to)) this.#ahead.keepInode(inodeOf(row as unknown[]));
    });
  }

  lookupDirent(parent: Ino, name: ByteName): DirentRecord | undefined {
    const ahead = this.#ahead;
    if (ahead.knows(parent, name)) return ahead.dirent(parent, name);
    const wanted = ahead.wanted(parent, name);
    if (wanted > 0 && this.#readNamesAhead(parent, name, wanted)) return ahead.dirent(parent, name);
    return this.#read('lookupDirent', () => {
      const row = this.#sql.dirent.get(parent, bytesOfName(name)) as unknown[] | undefined;
      return row === undefined ? undefined : direntOf(name, row);
    });
  }

  /** The names of a directory from `from` on, with their inodes. False: they can't be read together. */
  #readNamesAhead(parent: Ino, from: ByteName, limit: number): boolean {
    return this.#tryAhead(() => {
      const dirents = this.#namesWithInodes(parent, from, limit);
      this.#ahead.keepNames(parent, from, dirents, dirents.length < limit);
    });
  }

  readDirectory(parent: Ino, limit: number): DirentRecord[] | undefined {
    if (this.#ahead.off) return undefined;
    let dirents: DirentRecord[] = [];
    const read = this.#tryAhead(() => (dirents = this.#namesWithInodes(parent, '' as ByteName, limit + 1)));
    return read && dirents.length <= limit ? dirents : undefined;
  }

  /** Up to `limit` entries, by name, from `from` on; keeps their inodes. Throws as SQLite does, and WrongType. */
  #namesWithInodes(parent: Ino, from: ByteName, limit: number): DirentRecord[] {
    const start = bytesOfName(from);
    let rows = this.#sql.names.all(parent, start, limit) as unknown[][];
    const ascii = rows.every(([, , , name]) => ASCII.test(String(name)));
    if (!ascii) rows = this.#sql.anyNames.all(parent, start, limit) as unknown[][];
    return rows.map((row) => {
      if (row[INODE_AT] !== null) this.#ahead.keepInode(inodeOf(row, INODE_AT));
      return direntOf(ascii ? (row[3] as ByteName) : nameOf(row[3]), row);
    });
  }

  /** False: something in the way is damaged, so from now on each row is read by itself. */
  #tryAhead(work: () => void): boolean {
    try {
      this.#takeSnapshot();
      work();
      return true;
    } catch (error) {
      if (sqliteCode(error) === '' && !(error instanceof WrongType)) throw error;
      this.#ahead.turnOff();
      return false;
    }
  }

  scanDirents(parent: Ino, afterCookie: number, limit: number): readonly DirentRecord[] {
    const known = this.#scan.take(parent, afterCookie, limit);
    if (known !== undefined) return known;
    const rows = this.#read('scanDirents', () => this.#rowsAfter(parent, afterCookie, limit));
    this.#scan.keep({ parent, after: afterCookie }, rows, rows.length < limit);
    return rows;
  }

  lookAhead(): boolean {
    const wanted = this.#scan.wanted(SCAN_AHEAD);
    if (wanted === undefined || this.#ahead.off) return false;
    return this.#tryAhead(() => {
      const rows = this.#rowsAfter(wanted.parent, wanted.after, SCAN_AHEAD);
      this.#scan.add(rows, rows.length < SCAN_AHEAD);
    });
  }

  #rowsAfter(parent: Ino, afterCookie: number, limit: number): DirentRecord[] {
    const text = this.#sql.scanText.get(parent, afterCookie, limit);
    if (text === null) return [];
    if (typeof text === 'string' && ASCII.test(text)) return parseScan(text);
    const rows = this.#sql.scan.all(parent, afterCookie, limit) as unknown[][];
    return rows.map((row) => direntOf(nameOf(row[3]), row));
  }

  readSymlink(ino: Ino): Uint8Array | undefined {
    return this.#blob(this.#sql.symlink, 'readSymlink', ino);
  }

  readChunk(ino: Ino, index: number): Uint8Array | undefined {
    if (index === 0) {
      const inline = this.#blob(this.#sql.inline, 'readChunk', ino);
      if (inline !== undefined) return inline;
    }
    return this.#blob(this.#sql.chunk, 'readChunk', ino, index);
  }

  chunkPages(ino: Ino, index: number): number {
    if (index === 0 && this.#hasInline(ino)) return 1;
    return this.#int(this.#sql.pages, 'chunkPages', ino, index) ?? 0;
  }

  sumChunkPages(ino: Ino, fromIndex: number, toIndex: number): number {
    const stored = this.#int(this.#sql.sumPages, 'sumChunkPages', ino, fromIndex, toIndex) ?? 0;
    return fromIndex <= 0 && toIndex > 0 && this.#hasInline(ino) ? stored + 1 : stored;
  }

  chunkRows(ino: Ino, fromIndex: number, toIndex: number): ChunkRow[] {
    return this.#read('chunkRows', () =>
      (this.#sql.chunkRows.all(ino, fromIndex, toIndex) as unknown[][]).map((row) => ({
        index: intOf(row[0]),
        chunk: intOf(row[1]),
        pages: intOf(row[2]),
      })),
    );
  }

  readCloned(ino: Ino, index: number, chunk: number, txg: number): Uint8Array | undefined {
    return this.#blob(this.#sql.cloned, 'readCloned', txg, ino, index, chunk);
  }

  nextChunk(ino: Ino, fromIndex: number): number {
    if (fromIndex <= 0 && this.#hasInline(ino)) return 0;
    return this.#int(this.#sql.next, 'nextChunk', ino, fromIndex) ?? -1;
  }

  getXattr(ino: Ino, name: ByteName): Uint8Array | undefined {
    return this.#blob(this.#sql.xattr, 'getXattr', ino, bytesOfName(name));
  }

  listXattrs(ino: Ino): XattrRecord[] {
    return this.#read('listXattrs', () =>
      (this.#sql.xattrs.all(ino) as unknown[][]).map((row) => ({
        name: nameOf(row[0]),
        value: blobOf(row[1]),
      })),
    );
  }

  listOrphans(): Ino[] {
    return this.#read('listOrphans', () => this.#sql.orphans.all().map((ino) => asIno(intOf(ino))));
  }

  /** Idempotent. The last connection of a store to close folds the WAL in and removes it. */
  close(): void {
    this.#db.close();
  }

  #hasInline(ino: Ino): boolean {
    return this.#int(this.#sql.hasInline, 'hasInline', ino) !== undefined;
  }

  #blob(statement: Database.Statement, op: string, ...bound: (number | Buffer)[]): Uint8Array | undefined {
    return this.#read(op, () => {
      const value = statement.get(...bound);
      return value === undefined ? undefined : blobOf(value);
    });
  }

  #int(statement: Database.Statement, op: string, ...bound: number[]): number | undefined {
    return this.#read(op, () => {
      const value = statement.get(...bound);
      return value === undefined ? undefined : intOf(value);
    });
  }

  /** Any error is the store's: FsError. */
  #read<T>(op: string, work: () => T): T {
    try {
      this.#takeSnapshot();
      return work();
    } catch (error) {
      throw storeFsError(error, op);
    }
  }
}

/** Opens a reader. Errors: StoreError. */
export const openReader = (path: string, options: ReaderOptions = {}): SqliteStoreReader =>
  new SqliteStoreReader(path, options);
