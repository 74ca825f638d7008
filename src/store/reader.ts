/**
 * The dispatcher's view of the store: point queries for cache misses, each its own read transaction on the
 * newest commit.
 *
 * The rows are read raw (arrays, not objects) through statements prepared once. A connection's page cache is dropped by
 * SQLite whenever another connection commits, so it stays small.
 */
import type Database from 'better-sqlite3';
import { asIno, byteNameOf, bytesOfName, type ByteName, type Ino } from '../base/ids.js';
import { LookAhead } from './look-ahead.js';
import { openStore } from './open.js';
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
  'SELECT name, ino, type, cookie FROM dirent INDEXED BY dirent_cookie ' +
  'WHERE parent = ? AND cookie > ? ORDER BY cookie LIMIT ?';
/**
 * The same rows as one text: ino/type/cookie/name/ino/… No name contains a slash. A row a call costs some 2.5 µs in
 * better-sqlite3, most of it for the Buffer of the name; this a fraction of it.
 */
const SCAN_TEXT = `SELECT group_concat(ino || '/' || type || '/' || cookie || '/' || name, '/') FROM (${SCAN_ROWS})`;
/** Anything else might have been bytes that are not UTF-8: those rows are read one by one. */
const ASCII = /^[\x01-\x7f]*$/;

/** Fewer inodes than this are not worth a statement of their own. */
const AHEAD_MIN = 4;

const SUM_PAGES = 'SELECT coalesce(sum(pages), 0) FROM chunk_map WHERE ino = ? AND idx >= ? AND idx < ?';

const INODE_LIST = INODE_COLUMNS.join(', ');
const ALIASED = INODE_COLUMNS.map((column) => `i.${column}`).join(', ');

function prepareAll(db: Database.Database) {
  return {
    begin: db.prepare('BEGIN'),
    end: db.prepare('COMMIT'),
    names: db
      .prepare(
        `SELECT d.name, d.type, d.cookie, d.ino, i.ino, ${ALIASED} FROM dirent d LEFT JOIN inode i ON i.ino = d.ino ` +
          'WHERE d.parent = ? AND d.name >= ? ORDER BY d.name LIMIT ?',
      )
      .raw(),
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

/** Rows of {@link SCAN_TEXT}. Names are ASCII here, and so their own byte form. */
function parseScan(text: string): DirentRecord[] {
  const parts = text.split('/');
  const rows: DirentRecord[] = [];
  for (let i = 0; i + 3 < parts.length; i += 4) {
    rows.push({
      name: parts[i + 3] as ByteName,
      ino: asIno(Number(parts[i])),
      type: Number(parts[i + 1]),
      cookie: Number(parts[i + 2]),
    });
  }
  return rows;
}

/** A row of `ino` and {@link INODE_COLUMNS}, from column `at` on. */
const inodeOf = (row: readonly number[], at = 0): InodeRecord => ({
  ino: asIno(row[at]),
  mode: row[at + 1],
  uid: row[at + 2],
  gid: row[at + 3],
  nlink: row[at + 4],
  size: row[at + 5],
  rdev: row[at + 6],
  allocPages: row[at + 7],
  flags: row[at + 8],
  xattrCount: row[at + 9],
  parent: row[at + 10],
  nextCookie: row[at + 11],
  atimeSec: row[at + 12],
  atimeNsec: row[at + 13],
  mtimeSec: row[at + 14],
  mtimeNsec: row[at + 15],
  ctimeSec: row[at + 16],
  ctimeNsec: row[at + 17],
  btimeSec: row[at + 18],
  btimeNsec: row[at + 19],
});

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
    // An error may have ended it.
    if (this.#db.inTransaction) this.#sql.end.run();
  }

  onCommit(): void {
    this.endSnapshot();
    this.#ahead.forget();
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
    const row = this.#get<number[]>(this.#sql.inode, 'loadInode', ino);
    return row === undefined ? undefined : inodeOf(row);
  }

  readInodesAhead(inos: readonly Ino[]): void {
    const missing = inos.filter((ino) => !this.#ahead.hasInode(ino));
    const [from, to] = [Math.min(...missing), Math.max(...missing)];
    // Those of a directory mostly were made one after another; otherwise each is read when it is asked for.
    if (this.#ahead.off || missing.length < AHEAD_MIN || to - from > 2 * missing.length) return;
    try {
      this.#takeSnapshot();
      const rows = this.#sql.inodes.all(from, to) as number[][];
      for (const row of rows) this.#ahead.keepInode(inodeOf(row));
    } catch (error) {
      this.#notAhead(error);
    }
  }

  lookupDirent(parent: Ino, name: ByteName): DirentRecord | undefined {
    const ahead = this.#ahead;
    if (ahead.knows(parent, name)) return ahead.dirent(name);
    const wanted = ahead.wanted(parent, name);
    if (wanted > 0 && this.#readNamesAhead(parent, name, wanted)) return ahead.dirent(name);
    const row = this.#get<number[]>(this.#sql.dirent, 'lookupDirent', parent, bytesOfName(name));
    return row === undefined ? undefined : { name, ino: asIno(row[0]), type: row[1], cookie: row[2] };
  }

  /** The names of a directory from `from` on, with their inodes. False: they can't be read together. */
  #readNamesAhead(parent: Ino, from: ByteName, limit: number): boolean {
    try {
      this.#takeSnapshot();
      const rows = this.#sql.names.all(parent, bytesOfName(from), limit) as [Buffer, ...number[]][];
      const dirents = rows.map((row) => {
        const [name, type, cookie, ino] = row;
        if (row[4] !== null) this.#ahead.keepInode(inodeOf(row as unknown as number[], 4));
        return { name: byteNameOf(name), ino: asIno(ino), type, cookie };
      });
      this.#ahead.keepNames(from, dirents, rows.length < limit);
      return true;
    } catch (error) {
      this.#notAhead(error);
      return false;
    }
  }

  #notAhead(error: unknown): void {
    if (sqliteCode(error) === '') throw error;
    this.#ahead.turnOff();
  }

  scanDirents(parent: Ino, afterCookie: number, limit: number): DirentRecord[] {
    try {
      this.#takeSnapshot();
      const text = this.#sql.scanText.get(parent, afterCookie, limit) as string | null;
      if (text === null) return [];
      if (ASCII.test(text)) return parseScan(text);
      const rows = this.#sql.scan.all(parent, afterCookie, limit) as [Buffer, number, number, number][];
      return rows.map((row) => ({
        name: byteNameOf(row[0]),
        ino: asIno(row[1]),
        type: row[2],
        cookie: row[3],
      }));
    } catch (error) {
      throw storeFsError(error, 'scanDirents');
    }
  }

  readSymlink(ino: Ino): Uint8Array | undefined {
    return this.#get<Uint8Array>(this.#sql.symlink, 'readSymlink', ino);
  }

  readChunk(ino: Ino, index: number): Uint8Array | undefined {
    if (index === 0) {
      const inline = this.#get<Uint8Array>(this.#sql.inline, 'readChunk', ino);
      if (inline !== undefined) return inline;
    }
    return this.#get<Uint8Array>(this.#sql.chunk, 'readChunk', ino, index);
  }

  chunkPages(ino: Ino, index: number): number {
    if (index === 0 && this.#hasInline(ino)) return 1;
    return this.#get<number>(this.#sql.pages, 'chunkPages', ino, index) ?? 0;
  }

  sumChunkPages(ino: Ino, fromIndex: number, toIndex: number): number {
    const stored = this.#get<number>(this.#sql.sumPages, 'sumChunkPages', ino, fromIndex, toIndex) ?? 0;
    return fromIndex <= 0 && toIndex > 0 && this.#hasInline(ino) ? stored + 1 : stored;
  }

  chunkRows(ino: Ino, fromIndex: number, toIndex: number): ChunkRow[] {
    try {
      this.#takeSnapshot();
      const rows = this.#sql.chunkRows.all(ino, fromIndex, toIndex) as [number, number, number][];
      return rows.map(([index, chunk, pages]) => ({ index, chunk, pages }));
    } catch (error) {
      throw storeFsError(error, 'chunkRows');
    }
  }

  readCloned(ino: Ino, index: number, chunk: number, txg: number): Uint8Array | undefined {
    return this.#get<Uint8Array>(this.#sql.cloned, 'readCloned', txg, ino, index, chunk);
  }

  nextChunk(ino: Ino, fromIndex: number): number {
    if (fromIndex <= 0 && this.#hasInline(ino)) return 0;
    return this.#get<number>(this.#sql.next, 'nextChunk', ino, fromIndex) ?? -1;
  }

  getXattr(ino: Ino, name: ByteName): Uint8Array | undefined {
    return this.#get<Uint8Array>(this.#sql.xattr, 'getXattr', ino, bytesOfName(name));
  }

  listXattrs(ino: Ino): XattrRecord[] {
    try {
      this.#takeSnapshot();
      const rows = this.#sql.xattrs.all(ino) as [Buffer, Buffer][];
      return rows.map((row) => ({ name: byteNameOf(row[0]), value: row[1] }));
    } catch (error) {
      throw storeFsError(error, 'listXattrs');
    }
  }

  listOrphans(): Ino[] {
    try {
      this.#takeSnapshot();
      return (this.#sql.orphans.all() as number[]).map(asIno);
    } catch (error) {
      throw storeFsError(error, 'listOrphans');
    }
  }

  /** Idempotent. The last connection of a store to close folds the WAL in and removes it. */
  close(): void {
    this.#db.close();
  }

  #hasInline(ino: Ino): boolean {
    return this.#get<number>(this.#sql.hasInline, 'hasInline', ino) !== undefined;
  }

  #get<T>(statement: Database.Statement, op: string, ...bound: (number | Buffer)[]): T | undefined {
    try {
      this.#takeSnapshot();
      return statement.get(...bound) as T | undefined;
    } catch (error) {
      throw storeFsError(error, op);
    }
  }
}

/** Opens a reader. Errors: StoreError. */
export const openReader = (path: string, options: ReaderOptions = {}): SqliteStoreReader =>
  new SqliteStoreReader(path, options);
