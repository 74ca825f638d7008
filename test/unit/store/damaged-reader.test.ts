/** What a mount can't do without is made up for a read-only one; a truncated store is read, and repaired, as far as it goes. */
import Database from 'better-sqlite3';
import { closeSync, openSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ROOT_INO } from '../../../src/base/ids.js';
import { DamagedStoreReader } from '../../../src/store/damaged-reader.js';
import { checkStore } from '../../../src/store/fsck.js';
import { openReader } from '../../../src/store/reader.js';
import { Repair } from '../../../src/store/repair.js';
import { StoreWriter } from '../../../src/store/writer.js';
import { walkStore } from '../../fault/damage-walk.js';
import { scratchDir } from './scratch.js';
import { soundStore } from './sound-store.js';

const damaged = (t: Test, sql: string): string => {
  const path = join(scratchDir(t), 'store');
  soundStore(path);
  const db = new Database(path);
  db.exec(sql);
  db.close();
  return path;
};

await t.test('superblock, counters and root that are gone', (t) => {
  const sound = join(scratchDir(t), 'sound');
  soundStore(sound);
  const whole = walkStore(sound);
  t.ok(whole.contents.size > 0);
  for (const [sql, lost] of [
    ['DELETE FROM superblock', 'superblock'],
    ['DELETE FROM counters', 'counters'],
    ['UPDATE counters SET txg = -1', 'counters'],
    [`DELETE FROM inode WHERE ino = ${ROOT_INO}`, 'root'],
    [`UPDATE inode SET mode = ${0o100644} WHERE ino = ${ROOT_INO}`, 'root'],
  ]) {
    const path = damaged(t, sql);
    const reader = new DamagedStoreReader(path);
    reader.counters();
    reader.loadInode(ROOT_INO);
    t.strictSame([...reader.standIns], [lost], sql);
    reader.close();
    const walked = walkStore(path);
    t.strictSame(
      [...walked.contents.values()].sort(),
      [...whole.contents.values()].sort(),
      'all data is there',
    );
  }
  const reader = new DamagedStoreReader(sound);
  reader.counters();
  reader.loadInode(ROOT_INO);
  t.equal(reader.standIns.size, 0, 'nothing is made up for a sound one');
  reader.close();
  t.end();
});

await t.test('a store that lost its end', (t) => {
  const path = join(scratchDir(t), 'store');
  soundStore(path);
  truncateSync(path, Math.floor(statSync(path).size * 0.8));
  openReader(path).close();
  walkStore(path);
  t.notOk(checkStore(path).clean);
  const session = new Repair(path);
  const { after } = session.repair();
  session.close();
  t.strictSame(after.findings, []);
  t.strictSame(walkStore(path).errors, []);
  t.end();
});

/** SQLite checks types when a row is written: here by a connection that was told that the tables aren't STRICT. */
const withoutTypes = (path: string, sql: string): void => {
  const change = (from: string, to: string): void => {
    const db = new Database(path);
    db.unsafeMode(true);
    db.pragma('writable_schema = ON');
    db.prepare('UPDATE sqlite_schema SET sql = replace(sql, ?, ?)').run(from, to);
    db.close();
  };
  change(') STRICT', ') /*STRICT*/');
  const db = new Database(path);
  db.exec(sql);
  db.close();
  change(') /*STRICT*/', ') STRICT');
};

await t.test('values of the wrong type, as damaged pages have them', (t) => {
  for (const sql of [
    'UPDATE chunk SET data = 41471',
    'UPDATE inline_data SET data = 7.5',
    'UPDATE symlink SET target = 5',
    'UPDATE xattr SET value = 5',
    'UPDATE xattr SET name = 5',
    `UPDATE inode SET size = 'x' WHERE ino = 4`,
    `UPDATE inode SET mode = x'01' WHERE ino = 4`,
    `UPDATE dirent SET ino = 'q' WHERE ino = 4`,
    'UPDATE dirent SET name = 99 WHERE ino = 4',
    `UPDATE chunk_map SET pages = 'x'`,
    'UPDATE dirent SET cookie = 1e300 WHERE ino = 4',
  ]) {
    const path = join(scratchDir(t), 'store');
    soundStore(path);
    withoutTypes(path, sql);
    t.not(checkStore(path).findings.length, 0, `found: ${sql}`);
    // Throws nothing; what can't be read is among the errors.
    const { errors, wrong, tree } = walkStore(path);
    t.ok(errors.length + wrong.length > 0 || tree.size > 0, `walked: ${sql}`);
    t.notMatch(errors.join(), /not a function|ERR_/, sql);
    const session = new Repair(path);
    t.ok(session.repair().after.clean, `repaired: ${sql}`);
    session.close();
  }
  t.end();
});

const setByte = (path: string, at: number, value: number): void => {
  const fd = openSync(path, 'r+');
  writeSync(fd, Uint8Array.of(value), 0, 1, at);
  closeSync(fd);
};

await t.test(
  'settings in the header: auto_vacuum is mended, the journal mode is set by whoever writes',
  (t) => {
    const full = join(scratchDir(t), 'store');
    soundStore(full);
    setByte(full, 67, 0);
    t.match(checkStore(full).findings, [{ rule: 'settings', message: /auto_vacuum/ }]);
    const session = new Repair(full);
    t.ok(session.repair().after.clean);
    session.close();
    t.strictSame(checkStore(full).findings, []);

    const rollback = join(scratchDir(t), 'store');
    soundStore(rollback);
    setByte(rollback, 18, 1);
    setByte(rollback, 19, 1);
    t.strictSame(checkStore(rollback).findings, []);
    new StoreWriter(rollback).close();
    const db = new Database(rollback);
    t.equal(db.pragma('journal_mode', { simple: true }), 'wal');
    db.close();
    t.end();
  },
);
