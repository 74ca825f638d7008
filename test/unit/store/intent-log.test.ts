/** The intent log's file: what is written comes back, what is torn, old or foreign doesn't; and its replay. */
import Database from 'better-sqlite3';
import { existsSync, readFileSync, renameSync, rmSync, statSync, chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { asIno, type ByteName } from '../../../src/base/ids.js';
import { checkStore } from '../../../src/store/fsck.js';
import { IntentLog, intentLogPath, prepareIntentLog, readIntentLog } from '../../../src/store/intent-log.js';
import { pendingIntents, replayIntentLog } from '../../../src/store/intent-replay.js';
import { createStore } from '../../../src/store/mkfs.js';
import { openReader } from '../../../src/store/reader.js';
import { Repair } from '../../../src/store/repair.js';
import { StoreError } from '../../../src/store/store-error.js';
import { TxgEncoder } from '../../../src/store/txg-log.js';
import { PAGE_BYTES } from '../../../src/store/types.js';
import { file, dir, scratchDir } from './scratch.js';

const KIB = 1024;
const FRAMES = 80;
const name = (text: string): ByteName => text as ByteName;

class Rig {
  readonly store: string;
  readonly uuid: string;
  readonly pool = new Uint8Array(new SharedArrayBuffer(FRAMES * PAGE_BYTES));
  readonly ops = new TxgEncoder();
  log: IntentLog;

  constructor(t: Test, bytes = 256 * KIB) {
    this.store = join(scratchDir(t), 'store.db');
    this.uuid = createStore(this.store).uuid;
    chmodSync(this.store, 0o640);
    prepareIntentLog(this.store, bytes);
    this.log = new IntentLog(this.store, this.uuid);
    t.teardown(() => this.log.close());
  }

  /** A file of one page `value`, made in group `txg`. */
  makeFile(ino: number, value: number, frame: number): void {
    this.pool.fill(value, frame * PAGE_BYTES, (frame + 1) * PAGE_BYTES);
    this.ops.putDirent(asIno(1), name(`f${ino}`), asIno(ino), 8, ino + 10);
    this.ops.putInode(file(ino, { size: PAGE_BYTES, allocPages: 1 }));
    this.ops.putInode(dir(1, 1, { size: ino - 1, nextCookie: ino + 11 }));
    this.ops.writePages(asIno(ino), 0, PAGE_BYTES, [0], [frame], 1);
    this.ops.setCounters({ nextIno: ino + 1, inodeCount: ino, allocPages: ino - 1 });
  }

  append(txg: number, part: number, frames: readonly number[] = [], before = 0): boolean {
    const done = this.log.append({ txg, part, before, ...this.ops.peek() }, frames, this.pool);
    this.ops.clear();
    return done;
  }

  get found(): string[] {
    return readIntentLog(this.store, this.uuid, 0).map(({ txg, part }) => `${txg}.${part}`);
  }
}

const contents = (store: string): string[] => {
  const reader = openReader(store);
  try {
    const entries = reader.scanDirents(asIno(1), 0, 100);
    return entries.map((entry) => `${entry.name} ${reader.readChunk(entry.ino, 0)?.[0]}`);
  } finally {
    reader.close();
  }
};

/** Miscounts the inodes. */
const breakStore = (store: string): void => {
  const db = new Database(store);
  db.exec('UPDATE counters SET inode_count = 77');
  db.close();
};

void t.test('parts come back in order, with their pages, into the store', (t) => {
  const rig = new Rig(t);
  t.equal(
    statSync(intentLogPath(rig.store)).mode & 0o777,
    0o640,
    'nobody may read it who may not read the store',
  );
  t.strictSame(rig.found, []);
  rig.makeFile(2, 7, 5);
  t.ok(rig.append(1, 1, [5]));
  rig.makeFile(3, 8, 70);
  t.ok(rig.append(1, 2, [70]));
  rig.makeFile(4, 9, 0);
  t.ok(rig.append(2, 1, [0], 2));
  rig.log.sync();
  t.strictSame(rig.found, ['1.1', '1.2', '2.1']);
  t.equal(pendingIntents(rig.store), 2);
  t.strictSame(replayIntentLog(rig.store), { groups: 2, txg: 2, parts: 1 });
  t.strictSame(contents(rig.store), ['f2 7', 'f3 8', 'f4 9']);
  t.strictSame(checkStore(rig.store).findings, []);
  t.notOk(existsSync(intentLogPath(rig.store)), 'one file is left');
  t.equal(replayIntentLog(rig.store).groups, 0);
  t.equal(pendingIntents(rig.store), 0);
  t.end();
});

void t.test('what is torn ends it, at each place', (t) => {
  const rig = new Rig(t, 64 * KIB);
  rig.makeFile(2, 7, 1);
  rig.append(1, 1, [1]);
  rig.makeFile(3, 8, 2);
  rig.append(1, 2, [2]);
  const path = intentLogPath(rig.store);
  const whole = readFileSync(path);
  const second = 2 * PAGE_BYTES;
  for (const at of [0, 9, 30, 39, 41, 45, 50, 53, 60, 90, 200, 4000, 4500]) {
    const torn = Buffer.from(whole);
    torn[second + at] ^= 0x10;
    writeFileSync(path, torn);
    t.strictSame(rig.found, ['1.1'], `a bit at ${at}`);
  }
  // Not what a crash does: the file has its length from the beginning.
  for (const length of [0, 50, 4000, second, second + 100, second + 4300]) {
    writeFileSync(path, whole.subarray(0, length));
    t.ok(['', '1.1'].includes(rig.found.join()), `${length} bytes`);
  }
  t.end();
});

void t.test('another store, another opening, a gap: not its parts', (t) => {
  const rig = new Rig(t);
  rig.makeFile(2, 7, 1);
  rig.append(1, 1, [1]);
  rig.append(1, 2);
  rig.append(1, 3);
  t.strictSame(readIntentLog(rig.store, 'f'.repeat(32), 0), []);
  rig.log.close();
  rig.log = new IntentLog(rig.store, rig.uuid);
  rig.append(1, 1);
  t.strictSame(rig.found, ['1.1'], 'what follows is of an earlier opening');
  rig.log.begin(0);
  rig.append(1, 1);
  rig.append(1, 3);
  t.strictSame(rig.found, ['1.1']);
  rig.log.begin(0);
  rig.append(4, 1);
  rig.append(6, 1);
  t.strictSame(rig.found, ['4.1']);
  rig.log.begin(0);
  rig.append(4, 2);
  t.strictSame(rig.found, [], 'it begins with a first part');
  t.end();
});

void t.test('two halves', (t) => {
  const rig = new Rig(t, 33 * KIB);
  rig.makeFile(2, 7, 1);
  t.ok(rig.append(1, 1, [1]));
  t.notOk(rig.log.nearlyFull);
  rig.makeFile(3, 7, 1);
  t.ok(rig.append(1, 2, [1]));
  t.ok(rig.log.nearlyFull);
  t.notOk(rig.append(1, 3), 'this one is full');
  t.strictSame(rig.found, ['1.1', '1.2']);
  rig.log.begin(1);
  t.ok(rig.append(2, 1, [], 2));
  t.ok(rig.append(2, 2));
  t.strictSame(rig.found, ['1.1', '1.2', '2.1', '2.2']);
  rig.log.begin(0);
  t.ok(rig.append(3, 1, [], 2));
  t.strictSame(
    readIntentLog(rig.store, rig.uuid, 1).map(({ txg, part }) => `${txg}.${part}`),
    ['2.1', '2.2', '3.1'],
    'in order, whichever half they are in',
  );
  const many = Array.from({ length: 65 }, (_, i) => i);
  t.notOk(rig.append(3, 2, many), 'too many pages');
  t.end();
});

void t.test('a group that goes on from one of which a part is lacking does not count', (t) => {
  const rig = new Rig(t, 64 * KIB);
  rig.append(1, 1);
  rig.append(1, 2);
  rig.log.begin(1);
  rig.append(2, 1, [], 3);
  t.strictSame(rig.found, ['1.1', '1.2'], 'its third part never reached the disk');
  rig.log.begin(1);
  rig.append(2, 1, [], 0);
  t.strictSame(rig.found, ['1.1', '1.2'], 'it counts on the store');
  t.strictSame(
    readIntentLog(rig.store, rig.uuid, 1).map(({ txg, part }) => `${txg}.${part}`),
    ['2.1'],
  );
  t.end();
});

void t.test('a log that was taken away takes no more', (t) => {
  const rig = new Rig(t);
  rig.append(1, 1);
  renameSync(intentLogPath(rig.store), `${rig.store}-elsewhere`);
  t.throws(() => rig.append(1, 2), { message: /./ });
  t.end();
});

void t.test('a log of a newer state than the store has is refused, and nothing is changed', (t) => {
  const rig = new Rig(t);
  rig.makeFile(2, 7, 1);
  rig.append(5, 1, [1]);
  const before = readFileSync(rig.store);
  let told = '';
  try {
    replayIntentLog(rig.store);
  } catch (error) {
    if (error instanceof StoreError) told = error.message;
  }
  t.match(told, /newer state.*put the newer one back, or move .*-intent away/);
  t.ok(existsSync(intentLogPath(rig.store)));
  t.ok(before.equals(readFileSync(rig.store)));
  t.end();
});

void t.test('a replay that a crash interrupts is done again', (t) => {
  const rig = new Rig(t);
  rig.makeFile(2, 7, 1);
  rig.append(1, 1, [1]);
  const log = readFileSync(intentLogPath(rig.store));
  replayIntentLog(rig.store);
  writeFileSync(intentLogPath(rig.store), log);
  t.equal(replayIntentLog(rig.store).groups, 0);
  t.strictSame(contents(rig.store), ['f2 7']);
  t.strictSame(checkStore(rig.store).findings, []);
  t.end();
});

void t.test('mkfs over it', (t) => {
  const rig = new Rig(t);
  rmSync(rig.store);
  t.throws(() => createStore(rig.store), { code: 'exists', message: /-intent belongs to another database/ });
  createStore(rig.store, { force: true });
  t.notOk(existsSync(intentLogPath(rig.store)));
  t.end();
});

void t.test('a repair brings it in first; one that does not fit is put aside', (t) => {
  for (const txg of [1, 9]) {
    const rig = new Rig(t);
    rig.makeFile(2, 7, 1);
    rig.append(txg, 1, [1]);
    breakStore(rig.store);
    const repair = new Repair(rig.store);
    t.notOk(repair.check().clean);
    repair.backup(`${rig.store}-backup`);
    t.ok(existsSync(`${rig.store}-backup-intent`));
    const { after, actions } = repair.repair();
    repair.close();
    t.strictSame(after.findings, []);
    t.equal(contents(rig.store).includes('f2 7'), txg === 1);
    t.equal(
      actions.some(({ rule, action }) => rule === 'intent' && action.includes('moved')),
      txg === 9,
    );
    t.notOk(existsSync(intentLogPath(rig.store)));
  }
  t.end();
});
