/**
 * The dispatcher's view of the store: point queries for cache misses, each its own read transaction on the
 * newest commit.
 *
 * The rows are read raw (arrays, not objects) through statements prepared once. A connection's page cache is dropped by
 * SQLite whenever another connection commits, so it stays small.
 */
import type Database from 'better-sqlite3';
import { asIno, byteNameOf, bytesOfName, type ByteName, type Ino } from '../base/ids.js';
import { openStore } from './open.js';
import { INODE_COLUMNS } from './schema.js';
import { openError, storeFsError } from './store-error.js';
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

const SUM_PAGES = 'SELECT coalesce(sum(pages), 0) FROM chunk_map WHERE ino = ? AND idx >= ? AND idx < ?';

function prepareAll(db: Database.Database) {
  return {
    inode: db.prepare(`SELECT ${INODE_COLUMNS.join(', ')} FROM inode WHERE ino = ?`).raw(),
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

export interface ReaderOptions {
  /** SQLite's page cache of this connection. */
  cacheKiB?: number;
  /** Reads the superblock; default {@link readSuperblock}. */
  superblock?: (db: Database.Database) => Superblock;
}

export class SqliteStoreReader implements StoreReader {
  readonly superblock: Superblock;
  readonly path: string;
  readonly #db: Database.Database;
  readonly #sql: ReturnType<typeof prepareAll>;

  /** Opens a connection: the caller closes it with {@link close}. Errors: StoreError. */
  constructor(path: string, options: ReaderOptions = {}) {
    this.path = path;
    this.#db = openStore(path, { mode: 'read', cacheKiB: options.cacheKiB ?? 8192 });
    try {
      this.superblock = options.superblock?.(this.#db) ?? readSuperblock(this.#db, path);
      this.#sql = prepareAll(this.#db);
    } catch (error) {
      this.#db.close();
      throw openError(path, error);
    }
  }

  counters(): StoreCounters & { txg: number } {
    try {
      return readCounters(this.#db, this.path);
    } catch (error) {
      throw storeFsError(error, 'counters');
    }
  }

  loadInode(ino: Ino): InodeRecord | undefined {
    let row: number[] | undefined;
    try {
      row = this.#sql.inode.get(ino) as number[] | undefined;
    } catch (error) {
      throw storeFsError(error, 'loadInode');
    }
    if (row === undefined) return undefined;
    return {
      ino,
      mode: row[0],
      uid: row[1],
      gid: row[2],
      nlink: row[3],
      size: row[4],
      rdev: row[5],
      allocPages: row[6],
      flags: row[7],
      xattrCount: row[8],
      parent: row[9],
      nextCookie: row[10],
      atimeSec: row[11],
      atimeNsec: row[12],
      mtimeSec: row[13],
      mtimeNsec: row[14],
      ctimeSec: row[15],
      ctimeNsec: row[16],
      btimeSec: row[17],
      btimeNsec: row[18],
    };
  }

  lookupDirent(parent: Ino, name: ByteName): DirentRecord | undefined {
    try {
      const row = this.#sql.dirent.get(parent, bytesOfName(name)) as [number, number, number] | undefined;
      return row === undefined ? undefined : { name, ino: asIno(row[0]), type: row[1], cookie: row[2] };
    } catch (error) {
      throw storeFsError(error, 'lookupDirent');
    }
  }

  scanDirents(parent: Ino, afterCookie: number, limit: number): DirentRecord[] {
    try {
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
      const rows = this.#sql.xattrs.all(ino) as [Buffer, Buffer][];
      return rows.map((row) => ({ name: byteNameOf(row[0]), value: row[1] }));
    } catch (error) {
      throw storeFsError(error, 'listXattrs');
    }
  }

  listOrphans(): Ino[] {
    try {
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
      return statement.get(...bound) as T | undefined;
    } catch (error) {
      throw storeFsError(error, op);
    }
  }
}

/** Opens a reader. Errors: StoreError. */
export const openReader = (path: string, options: ReaderOptions = {}): SqliteStoreReader =>
  new SqliteStoreReader(path, options);
