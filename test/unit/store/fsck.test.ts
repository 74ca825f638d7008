/** fsck finds each kind of planted damage, and nothing in a sound store. */
import Database from 'better-sqlite3';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { checkStore } from '../../../src/store/fsck.js';
import { scratchDir } from './scratch.js';
import { damages, soundStore } from './sound-store.js';

void t.test('a sound store has no findings', (t) => {
  const path = join(scratchDir(t), 'a');
  soundStore(path);
  const report = checkStore(path);
  t.same(report.findings, []);
  t.match(report, {
    clean: true,
    inodes: 6,
    dirents: 5,
    chunks: 2,
    omitted: 0,
    superblock: { chunkBytes: 8192 },
  });
  t.end();
});

void t.test('each kind of damage is found', (t) => {
  const root = scratchDir(t);
  const sound = join(root, 'sound');
  soundStore(sound);
  for (const [sql, ...rules] of damages) {
    const path = join(root, 'damaged');
    copyFileSync(sound, path);
    const db = new Database(path);
    db.exec(sql);
    db.close();
    const report = checkStore(path);
    const found = new Set(report.findings.map((f) => f.rule));
    t.ok(!report.clean && rules.every((rule) => found.has(rule)), `${sql}: ${[...found].join(', ')}`);
  }
  t.end();
});

void t.test('damage below the tables is found, and does not stop the other rules', (t) => {
  const path = join(scratchDir(t), 'a');
  soundStore(path);
  const db = new Database(path);
  db.unsafeMode(true);
  db.pragma('writable_schema = ON');
  const other = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'xattr'").pluck().get() as number;
  db.prepare("UPDATE sqlite_schema SET rootpage = ? WHERE name = 'symlink'").run(other);
  db.exec('DELETE FROM orphan');
  db.close();
  const found = new Set(checkStore(path).findings.map((f) => f.rule));
  t.ok(found.has('sqlite'), 'two tables on one page');
  t.ok(found.has('unreachable'), 'an ordinary rule still ran');
  t.end();
});

void t.test('long lists are cut and counted', (t) => {
  const path = join(scratchDir(t), 'a');
  soundStore(path);
  const db = new Database(path);
  const insert = db.prepare('INSERT INTO orphan VALUES (?)');
  for (let i = 100; i < 130; i++) insert.run(i);
  db.close();
  const report = checkStore(path, { findingsMax: 10 });
  t.equal(report.findings.length, 10);
  t.equal(report.omitted, 20);
  t.end();
});
