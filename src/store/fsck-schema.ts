/** Section 1 and 2 of native-notes/disk-format.md: the file's settings, and whether its tables are the ones specified. */
import Database from 'better-sqlite3';
import type { FindingSink } from './fsck-findings.js';
import type { Mender } from './mender.js';
import { missingPages } from './missing-pages.js';
import { SCHEMA_SQL } from './schema.js';

/** SQLite's integrity_check, a finding a line, and the length of the file. `false`: something was found. */
export function checkSqlite(db: Database.Database, path: string, sink: FindingSink, lines: number): boolean {
  let sound = true;
  const bad = (message: string): void => {
    sound = false;
    sink.structure('sqlite', 0, message);
  };
  try {
    const missing = missingPages(db, path);
    if (missing > 0) bad(`the file has lost its end: ${missing} pages are neither there nor in its log`);
    for (const { integrity_check: line } of db.pragma(`integrity_check(${lines})`) as {
      integrity_check: string;
    }[]) {
      if (line !== 'ok') bad(line);
    }
  } catch (error) {
    bad(`the structure can't be examined: ${error instanceof Error ? error.message : String(error)}`);
  }
  return sound;
}

interface TableShape {
  /** Columns with type, NOT NULL and place in the primary key. */
  columns: string;
  strict: number;
  withoutRowid: number;
  indices: string;
}

const shapesOf = (db: Database.Database): Map<string, TableShape> => {
  const shapes = new Map<string, TableShape>();
  const tables = db.pragma('table_list') as { schema: string; name: string; wr: number; strict: number }[];
  for (const { schema, name, wr, strict } of tables) {
    if (schema !== 'main' || name.startsWith('sqlite_')) continue;
    const columns = (
      db
        .prepare('SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?) ORDER BY cid')
        .raw()
        .all(name) as unknown[][]
    ).map((column) => column.join(' '));
    const indices = db
      .prepare(
        `SELECT l.name, l."unique", l.origin, group_concat(x.name) FROM pragma_index_list(?) l, pragma_index_info(l.name) x
         GROUP BY l.name ORDER BY l.name`,
      )
      .raw()
      .all(name) as unknown[][];
    const list = indices.map((index) => index.join(' ')).join('; ');
    shapes.set(name, { columns: columns.join(', '), strict, withoutRowid: wr, indices: list });
  }
  return shapes;
};

/** True: every table is there as specified. Requires the newest format. */
export function checkSchema(db: Database.Database, sink: FindingSink): boolean {
  const model = new Database(':memory:');
  try {
    model.exec(SCHEMA_SQL);
    let sound = true;
    const actual = shapesOf(db);
    for (const [name, shape] of shapesOf(model)) {
      const found = actual.get(name);
      if (found !== undefined && JSON.stringify(found) === JSON.stringify(shape)) continue;
      sound = false;
      sink.structure(
        'schema',
        0,
        `the table ${name} ${found === undefined ? 'is missing' : 'is not as it should be'}`,
      );
    }
    return sound;
  } catch (error) {
    sink.structure(
      'schema',
      0,
      `the tables can't be listed: ${error instanceof Error ? error.message : String(error)}`,
    );
    return false;
  } finally {
    model.close();
  }
}

/** PRAGMA auto_vacuum. */
const FULL = 1;
const INCREMENTAL = 2;

/**
 * What the file's header says beyond its identity, which opening it checks. The journal mode isn't asked for: with a log beside it
 * SQLite doesn't look at the header's, and every opening for writing sets it.
 */
export function checkSettings(db: Database.Database, sink: FindingSink): void {
  const vacuum = Number(db.pragma('auto_vacuum', { simple: true }));
  if (vacuum === INCREMENTAL) return;
  const mend = vacuum === FULL ? (m: Mender): string => m.vacuumByStep() : undefined;
  sink.structure('settings', 0, 'auto_vacuum is not INCREMENTAL', mend);
}
