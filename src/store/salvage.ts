/**
 * When SQLite's own structure is damaged: every row that can still be read goes into a new file, which then takes the
 * old one's place. Rows beyond an unreadable page are reached from the other end, and by searching between.
 */
import Database from 'better-sqlite3';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, closeSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncPath } from '../base/sync-path.js';
import { lockStore, type StoreLock } from './lock.js';
import { createTables } from './mkfs.js';
import { openStore } from './open.js';
import { StoreError } from './store-error.js';

/**
 * Searches for readable rows between unreadable ones, at most, for each table. Halving finds each leaf page of a gap in
 * two or three searches a page; what goes on below that looks between the rows of pages that can't be read.
 */
const PROBES_MAX = 20_000;
const PROBES_BASE = 1000;
const PROBES_PER_PAGE = 16;
const CACHE_KIB = 64 * 1024;

/** Tables in the order of their copying, with the columns of their keys. The first is a number. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  superblock: ['id'],
  counters: ['id'],
  inode: ['ino'],
  dirent: ['parent', 'name'],
  inline_data: ['ino'],
  chunk_map: ['ino', 'idx'],
  chunk: ['id'],
  chunk_share: ['chunk'],
  symlink: ['ino'],
  xattr: ['ino', 'name'],
  orphan: ['ino'],
};

export interface Salvaged {
  /** Of tables that could not be read wholly: how many rows were saved. */
  partly: { table: string; rows: number }[];
  /** Held on the new file, instead of the old one's. */
  lock: StoreLock;
}

/**
 * Replaces the store by a copy of what is readable. Requires the writer lock, that no connection is open, and that the
 * tables are there. Errors: StoreError; the store is then as it was.
 */
export function salvage(path: string, onTable: (table: string) => void): Salvaged {
  const temporary = `${path}.repair-${process.pid}-${randomBytes(4).toString('hex')}`;
  const before = statSync(path);
  try {
    closeSync(openSync(temporary, 'wx', 0o600));
    const partly = copyAll(path, temporary, onTable);
    chmodSync(temporary, before.mode & 0o7777);
    if (process.getuid?.() === 0) chownSync(temporary, before.uid, before.gid);
    syncPath(temporary);
    const lock = lockStore(temporary);
    // The old file's log must not be replayed into the new one.
    for (const suffix of ['-wal', '-shm']) rmSync(path + suffix, { force: true });
    renameSync(temporary, path);
    syncPath(dirname(path));
    return { partly, lock };
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(temporary + suffix, { force: true });
  }
}

function copyAll(path: string, temporary: string, onTable: (table: string) => void): Salvaged['partly'] {
  const source = openStore(path, { mode: 'read', cacheKiB: CACHE_KIB });
  try {
    const pageBytes = Number(source.pragma('page_size', { simple: true }));
    const target = createTables(temporary, pageBytes);
    try {
      target.pragma('synchronous = OFF');
      return target.transaction(() => copyTables(source, target, path, onTable))();
    } finally {
      target.pragma('wal_checkpoint(TRUNCATE)');
      target.close();
    }
  } finally {
    source.close();
  }
}

function copyTables(
  source: Database.Database,
  target: Database.Database,
  path: string,
  onTable: (table: string) => void,
): Salvaged['partly'] {
  const partly: Salvaged['partly'] = [];
  const tables = target
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    .pluck()
    .all() as string[];
  for (const table of tables) {
    onTable(table);
    const columns = target.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table) as string[];
    try {
      const copy = new TableCopy(source, target, table, columns, KEYS[table] ?? columns.slice(0, 1));
      if (!copy.run()) partly.push({ table, rows: copy.rows });
    } catch (error) {
      const message = `The table ${table} of ${path} can't be read at all; restore a backup.`;
      throw new StoreError('damaged', path, message, { cause: error });
    }
  }
  if (partly.some(({ table }) => table === 'dirent')) copyNamelessEntries(source, target);
  return partly;
}

class TableCopy {
  rows = 0;
  readonly #forward;
  readonly #backward;
  readonly #insert;
  readonly #probesMax: number;

  /** Throws SqliteError if there is no such table. */
  constructor(
    source: Database.Database,
    target: Database.Database,
    table: string,
    columns: readonly string[],
    keys: readonly string[],
  ) {
    const pages = Number(source.pragma('page_count', { simple: true }));
    this.#probesMax = Math.min(PROBES_MAX, PROBES_BASE + PROBES_PER_PAGE * pages);
    const list = [keys[0], ...columns].join(', ');
    const range = `SELECT ${list} FROM ${table} WHERE ${keys[0]} BETWEEN ? AND ? ORDER BY`;
    this.#forward = source
      .prepare(`${range} ${keys.join(', ')}`)
      .raw()
      .safeIntegers();
    this.#backward = source
      .prepare(`${range} ${keys.map((key) => `${key} DESC`).join(', ')}`)
      .raw()
      .safeIntegers();
    this.#insert = target.prepare(
      `INSERT OR IGNORE INTO ${table}(${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
    );
  }

  /** True: all rows could be read and stored. */
  run(): boolean {
    const all = this.#read(this.#forward, -(2n ** 63n), 2n ** 63n - 1n);
    if (all.whole) return true;
    const back = this.#read(this.#backward, -(2n ** 63n), 2n ** 63n - 1n);
    const from = all.last ?? 0n;
    const to = back.last ?? 2n ** 53n;
    const gaps: [bigint, bigint][] = [];
    // Numbers start low, so near the start of a wide gap there is more to find.
    let start = from;
    for (let width = 16n; start < to; width *= 2n) {
      const end = start + width < to ? start + width : to;
      gaps.push([start, end]);
      start = end;
    }
    for (let probes = 0; gaps.length > 0 && probes < this.#probesMax; probes++) {
      const [low, high] = gaps.shift()!;
      const up = this.#read(this.#forward, low, high);
      if (up.whole) continue;
      const down = this.#read(this.#backward, low, high);
      const left = up.last ?? low;
      const right = down.last ?? high;
      if (right - left < 2n) continue;
      const mid = (left + right) / 2n;
      gaps.push([left + 1n, mid], [mid + 1n, right]);
    }
    return false;
  }

  /** Copies rows until one can't be read. `last` is the key of the last one. */
  #read(
    statement: Database.Statement,
    low: bigint,
    high: bigint,
  ): { whole: boolean; last: bigint | undefined } {
    let last: bigint | undefined;
    let whole = true;
    try {
      for (const row of statement.iterate(low, high) as IterableIterator<unknown[]>) {
        const [key, ...values] = row;
        if (typeof key === 'bigint') last = key;
        try {
          this.rows += this.#insert.run(...values).changes;
        } catch (error) {
          // A value of a type that the column can't hold.
          if (!(error instanceof Database.SqliteError) || !error.code.startsWith('SQLITE_CONSTRAINT'))
            throw error;
          whole = false;
        }
      }
      return { whole, last };
    } catch (error) {
      if (!(error instanceof Database.SqliteError)) throw error;
      return { whole: false, last };
    }
  }
}

/** The index by cookie holds all of an entry but its name: entries lost from the table stay where they were, as `#number`. */
function copyNamelessEntries(source: Database.Database, target: Database.Database): void {
  const insert = target.prepare(
    "INSERT OR IGNORE INTO dirent(parent, name, ino, type, cookie) VALUES (?, CAST('#' || ? AS BLOB), ?, ?, ?)",
  );
  try {
    const rows = source
      .prepare('SELECT parent, ino, type, cookie FROM dirent INDEXED BY dirent_cookie')
      .raw()
      .iterate();
    for (const [parent, ino, type, cookie] of rows as IterableIterator<number[]>) {
      if ([parent, ino, type, cookie].every(Number.isSafeInteger))
        insert.run(parent, String(ino), ino, type, cookie);
    }
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
  }
}
