/** A store that has lost its file's end while its log still says how long it was (found by damaging 10,000 stores). */
import Database from 'better-sqlite3';
import { copyFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { asIno } from '../../../src/base/ids.js';
import { checkStore } from '../../../src/store/fsck.js';
import { missingPages } from '../../../src/store/missing-pages.js';
import { openReader } from '../../../src/store/reader.js';
import { Repair } from '../../../src/store/repair.js';
import { TxgEncoder } from '../../../src/store/txg-log.js';
import { PAGE_BYTES } from '../../../src/store/types.js';
import { StoreWriter } from '../../../src/store/writer.js';
import { file, scratchDir } from './scratch.js';
import { soundStore } from './sound-store.js';

const PAGE = 8192;
const INO = asIno(4);

/** A copy of a store and its log. `inLog`: two pieces of file 4 are in the log alone; otherwise only a change of its mode. */
const storeWithLog = (dir: string, inLog: boolean): string => {
  const made = join(dir, 'made');
  soundStore(made);
  const ops = new TxgEncoder();
  const pool = new Uint8Array(new SharedArrayBuffer(3 * PAGE_BYTES)).fill(9);
  const attributes = file(4, { size: 28_672, allocPages: 6 });
  let writer = new StoreWriter(made);
  ops.putInode(attributes);
  ops.writePages(INO, 2, 28_672, [0, 1], [0, 1], 2);
  ops.writePages(INO, 3, 28_672, [0], [2], 1);
  ops.setCounters({ nextIno: 7, inodeCount: 6, allocPages: 7 });
  commit(writer, 2, ops, pool);
  if (!inLog) {
    // Closing it folds the log in.
    writer.close();
    writer = new StoreWriter(made);
    ops.putInode({ ...attributes, mode: 0o100600 });
    commit(writer, 3, ops, pool);
  }
  const copy = join(dir, 'copy');
  for (const suffix of ['', '-wal']) copyFileSync(made + suffix, copy + suffix);
  writer.close();
  return copy;
};

const commit = (writer: StoreWriter, txg: number, ops: TxgEncoder, pool: Uint8Array): void => {
  const { log, logBytes } = ops.take();
  writer.commit(txg, log, logBytes, pool, true);
};

const readAll = (path: string): string[] => {
  const reader = openReader(path);
  try {
    return [0, 1, 2, 3].map((index) => {
      try {
        return String(reader.readChunk(INO, index)?.length);
      } catch (error) {
        return (error as Error).message.replace(/.*: /, '');
      }
    });
  } finally {
    reader.close();
  }
};

await t.test('pages that only the log has are not missing', (t) => {
  const path = storeWithLog(scratchDir(t), true);
  const db = new Database(path);
  const pages = Number(db.pragma('page_count', { simple: true }));
  t.ok(statSync(path).size < pages * PAGE, 'the file is shorter than the database');
  t.equal(missingPages(db, path), 0);
  db.close();
  t.end();
});

await t.test('a log alone is no fault', (t) => {
  const path = storeWithLog(scratchDir(t), false);
  t.ok(statSync(`${path}-wal`).size > 0);
  t.strictSame(readAll(path), ['8192', '3808', '8192', '4096']);
  t.strictSame(checkStore(path).findings, []);
  t.end();
});

await t.test('a lost page is found, each time, and never filled with zeros', (t) => {
  const path = storeWithLog(scratchDir(t), false);
  const bytes = statSync(path).size - PAGE;
  truncateSync(path, bytes);
  for (let i = 0; i < 2; i++) {
    const { findings } = checkStore(path);
    t.match(findings[0]?.message, /lost its end: 1 pages? /);
    t.equal(statSync(path).size, bytes, 'the file stays as it was');
  }
  t.strictSame(readAll(path).slice(0, 2), ['8192', '3808']);
  t.throws(() => new StoreWriter(path), { code: 'truncated' });
  t.equal(statSync(path).size, bytes);
  t.end();
});

await t.test('repair keeps what is left', (t) => {
  const path = storeWithLog(scratchDir(t), false);
  truncateSync(path, statSync(path).size - PAGE);
  const session = new Repair(path);
  try {
    t.ok(session.repair().after.clean);
  } finally {
    session.close();
  }
  t.strictSame(checkStore(path).findings, []);
  t.strictSame(readAll(path).slice(0, 2), ['8192', '3808']);
  t.end();
});
