/** What a mount can't do without is made up for a read-only one; a truncated store is read, and repaired, as far as it goes. */
import Database from 'better-sqlite3';
import { statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ROOT_INO } from '../../../src/base/ids.js';
import { DamagedStoreReader } from '../../../src/store/damaged-reader.js';
import { checkStore } from '../../../src/store/fsck.js';
import { openReader } from '../../../src/store/reader.js';
import { Repair } from '../../../src/store/repair.js';
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
