/** Each kind of planted damage is put right without losing what is stored; a sound store isn't touched. */
import Database from 'better-sqlite3';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { checkStore } from '../../../src/store/fsck.js';
import { Repair, type RepairReport } from '../../../src/store/repair.js';
import { damages, soundStore } from './sound-store.js';
import { scratchDir } from './scratch.js';

const repair = (path: string): RepairReport => {
  const session = new Repair(path);
  try {
    return session.repair();
  } finally {
    session.close();
  }
};

void t.test('each kind of damage is put right, once', (t) => {
  const root = scratchDir(t);
  const sound = join(root, 'sound');
  soundStore(sound);
  for (const [i, [sql]] of damages.entries()) {
    const path = join(root, `damaged-${i}`);
    copyFileSync(sound, path);
    const db = new Database(path);
    db.exec(sql);
    db.close();
    const { after, actions } = repair(path);
    t.same(after.findings, [], `${sql}: ${actions.map((a) => a.action).join(', ')}`);
    t.ok(actions.length > 0);
    t.ok(checkStore(path).clean);
    const bytes = readFileSync(path);
    const again = repair(path);
    t.same([again.actions, again.rounds], [[], 0], 'a second repair finds nothing');
    t.ok(bytes.equals(readFileSync(path)), 'and changes nothing');
  }
  t.end();
});
