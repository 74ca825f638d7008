/** Which barriers go by the intent log, and what happens when it can't be used. */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Clock } from '../../../src/base/clock.js';
import { intentLogPath, prepareIntentLog, readIntentLog } from '../../../src/store/intent-log.js';
import { createStore } from '../../../src/store/mkfs.js';
import { TxgEncoder } from '../../../src/store/txg-log.js';
import { Delta } from '../../../src/syncer/delta.js';
import { Intents } from '../../../src/syncer/intents.js';
import { PagePool } from '../../../src/vnode/page-pool.js';
import { CoreClient } from '../../harness/core-client.js';
import { VNODEFS_CAPABILITIES } from '../../harness/mount.js';
import { O } from '../../harness/posix-client.js';
import { createTestCore, type InProcessCore } from '../../harness/test-core.js';
import { scratchDir } from '../store/scratch.js';

const PAGE = 4096;

const open = (t: Test): { core: InProcessCore; fs: CoreClient; parts: () => number } => {
  const core = createTestCore({ intents: 512 << 10 });
  const fs = new CoreClient(core, { ...VNODEFS_CAPABILITIES, permissions: false, openSpecial: false });
  t.teardown(() => {
    fs.closeAll();
    core.close();
  });
  return { core, fs, parts: () => core.core.txgs.intents?.parts ?? 0 };
};

void t.test('a group stays open while barriers go by the log', (t) => {
  const { core, fs, parts } = open(t);
  const fd = fs.open('/f', O.RDWR | O.CREAT);
  for (let i = 0; i < 10; i++) {
    fs.write(fd, Buffer.alloc(100, i), i * PAGE);
    fs.fsync(fd);
  }
  t.equal(parts(), 10);
  t.equal(core.core.txgs.committed, 0);
  fs.fsync(fd);
  fs.fsync(fs.open('/', O.RDONLY));
  t.equal(parts(), 10, 'nothing has changed: nothing is written');
  const records = readIntentLog(core.store, core.core.fs.state.reader.superblock.uuid, 0);
  t.strictSame(
    records.map(({ part, pages }) => [part, pages.length / PAGE]),
    Array.from({ length: 10 }, (_, i) => [i + 1, 1]),
    'each has its own page only',
  );
  core.sync();
  t.equal(core.core.txgs.stored, core.core.txgs.latest, 'syncfs wants it in the store');
  fs.write(fd, Buffer.alloc(100, 99), 0);
  fs.fsync(fd);
  t.equal(parts(), 11);
  t.equal(core.checkCrash(), 1);
  t.end();
});

void t.test('what it does not take is committed instead', (t) => {
  const { core, fs, parts } = open(t);
  const fd = fs.open('/f', O.RDWR | O.CREAT);
  fs.write(fd, Buffer.alloc(65 * PAGE, 1), 0);
  fs.fsync(fd);
  t.equal(parts(), 0, 'too much for it');
  t.equal(core.core.txgs.stored, 1);
  const copy = fs.open('/copy', O.RDWR | O.CREAT);
  fs.copyFileRange(fd, 0, copy, 0, 64 << 10);
  fs.fsync(copy);
  t.equal(parts(), 0, 'a clone');
  t.equal(core.core.txgs.stored, core.core.txgs.committed);
  for (let i = 0; i < 200; i++) {
    fs.write(fd, Buffer.alloc(10, i), (i % 50) * PAGE);
    fs.fsync(fd);
  }
  t.equal(parts(), 200, 'while one half is brought into the store the other is written');
  const { stored, openId } = core.core.txgs;
  t.ok(stored > 5 && stored < openId, `groups of some 28 barriers: ${stored}`);
  core.checkCrash();
  t.end();
});

void t.test('a log that has gone', (t) => {
  const { core, fs, parts } = open(t);
  const fd = fs.open('/f', O.RDWR | O.CREAT);
  fs.write(fd, Buffer.alloc(10, 1), 0);
  fs.fsync(fd);
  t.equal(parts(), 1);
  rmSync(intentLogPath(core.store));
  fs.write(fd, Buffer.alloc(10, 2), 0);
  fs.fsync(fd);
  t.equal(parts(), 1);
  t.equal(core.core.txgs.stored, 1, 'the store has it');
  t.equal(core.checkCrash(), 0);
  t.end();
});

void t.test('a slow disk is left to the syncer', (t) => {
  const store = join(scratchDir(t), 'store.db');
  const { uuid } = createStore(store);
  prepareIntentLog(store, 1 << 20);
  t.equal(statSync(intentLogPath(store)).size, 1 << 20);
  let nowMs = 0;
  let stepMs = 0;
  const clock = { monotonicMs: () => (nowMs += stepMs) } as unknown as Clock;
  const intents = new Intents(store, uuid, PagePool.ofPages(8), clock);
  t.teardown(() => intents.close());
  t.notOk(intents.mayTake(1, 0, 1, 1), 'not yet');
  intents.ready();
  const counters = { nextIno: 2, inodeCount: 1, allocPages: 0 };
  const log = new TxgEncoder();
  const barriers = (count: number): number => {
    let taken = 0;
    for (let i = 0; i < count; i++)
      if (intents.mayTake(1, 0, 1, 1) && intents.take(1, 0, new Delta(), log, counters)) taken++;
    return taken;
  };
  t.equal(barriers(20), 20);
  stepMs = 1;
  t.equal(barriers(50), 50, 'a millisecond is quick');
  stepMs = 10;
  const taken = barriers(50);
  t.ok(taken > 0 && taken < 10, `${taken} were slow`);
  stepMs = 0.1;
  // Of the hundred that are spared some have passed.
  t.equal(barriers(100), 50 - taken, 'then it is tried again');
  t.end();
});
