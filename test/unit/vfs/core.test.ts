/** The core under pressure: failing commits, throttled writers, sealed pages, orphans, recycling. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Errno, FsError } from '../../../src/base/errno.js';
import { byteName, ROOT_INO, type Fh, type Ino } from '../../../src/base/ids.js';
import { createStore } from '../../../src/store/mkfs.js';
import { checkStore } from '../../../src/store/fsck.js';
import { WouldBlock } from '../../../src/vfs/api.js';
import { createTestCore, type InProcessCore } from '../../harness/test-core.js';

const caller = { uid: 0, gid: 0, pid: 1 };
const direct = { fromCache: false, killSuidgid: false };

interface Opened {
  ino: Ino;
  fh: Fh;
}

const create = (core: InProcessCore, name: string): Opened => {
  const { vp, open } = core.vfs.create(caller, ROOT_INO, byteName(name), 0o644, 2, 0o22);
  core.vfs.vrele(vp);
  return { ino: vp.ino, fh: open.fh };
};

const write = (core: InProcessCore, file: Opened, offset: number, text: string | Uint8Array): void => {
  core.vfs.write(caller, file.ino, file.fh, offset, Buffer.from(text), direct);
};

const readText = (core: InProcessCore, file: Opened): string => {
  const parts: Buffer[] = [];
  core.vfs.read(file.ino, file.fh, 0, 1 << 16, {
    pool: (at, length) => parts.push(Buffer.from(core.pool.subarray(at, at + length))),
    bytes: (data) => parts.push(Buffer.from(data)),
    zeros: (length) => parts.push(Buffer.alloc(length)),
  });
  return Buffer.concat(parts).toString();
};

const openByName = (core: InProcessCore, name: string): Opened => {
  const vp = core.vfs.lookup(caller, ROOT_INO, byteName(name));
  const { fh } = core.vfs.open(caller, vp.ino, 2);
  core.vfs.vrele(vp);
  return { ino: vp.ino, fh };
};

/** The outcome of an fsync: undefined while pending. */
const fsync = (core: InProcessCore, file: Opened): { result: number | undefined } => {
  const outcome: { result: number | undefined } = { result: undefined };
  core.vfs.fsync(file.ino, file.fh, false, (error) => (outcome.result = error?.errno ?? 0));
  return outcome;
};

/** A store that outlives a core: `reopen` is what a new daemon finds. */
const lasting = (test: Test): string => {
  const dir = mkdtempSync(join(tmpdir(), 'vnodefs-core-'));
  test.teardown(() => rmSync(dir, { recursive: true }));
  const store = join(dir, 's.db');
  createStore(store);
  return store;
};

void t.test('a failing store: fsync says so, writes are refused, nothing is lost, all recovers', (t) => {
  const core = createTestCore();
  const file = create(core, 'f');
  write(core, file, 0, 'before');
  core.failWith = Errno.ENOSPC;
  const first = fsync(core, file);
  core.advance();
  t.equal(first.result, Errno.ENOSPC);
  t.throws(() => write(core, file, 0, 'x'), new FsError(Errno.ENOSPC, 'write-back'));
  t.equal(readText(core, file), 'before', 'memory keeps it');
  core.failWith = 0;
  core.advance();
  write(core, file, 6, ' and after');
  const second = fsync(core, file);
  core.advance();
  t.equal(second.result, 0);
  t.equal(readText(core, file), 'before and after');
  core.vfs.release(file.fh);
  core.close();
  t.end();
});

void t.test('each handle open at a failed commit hears of it once', (t) => {
  const core = createTestCore();
  const a = create(core, 'a');
  const b = openByName(core, 'a');
  write(core, a, 0, 'data');
  core.failWith = Errno.EIO;
  const heard = fsync(core, a);
  core.advance();
  t.equal(heard.result, Errno.EIO);
  core.advance();
  t.equal(fsync(core, a).result, Errno.EIO, 'as long as it fails nothing is promised');
  core.advance();
  core.failWith = 0;
  core.advance();
  core.sync();
  t.equal(fsync(core, a).result, 0, 'told already, whatever attempts there were since');
  const late = openByName(core, 'a');
  t.equal(fsync(core, late).result, 0, 'opened after');
  core.vfs.release(late.fh);
  t.equal(fsync(core, b).result, Errno.EIO, 'the other handle');
  t.equal(fsync(core, b).result, 0, 'once');
  for (const { fh } of [a, b]) core.vfs.release(fh);
  core.close();
  t.end();
});

void t.test('writers that outrun write-back wait, and go on when it has caught up', (t) => {
  const core = createTestCore({ pages: 64 });
  const file = create(core, 'f');
  const page = Buffer.alloc(4096, 1);
  let written = 0;
  const blocked = (): WouldBlock | undefined => {
    try {
      for (; written < 200; written++) write(core, file, written * 4096, page);
    } catch (error) {
      if (error instanceof WouldBlock) return error;
      throw error;
    }
    return undefined;
  };
  let waits = 0;
  for (let block = blocked(); block !== undefined; block = blocked()) {
    let woken = false;
    block.channel.wait(() => (woken = true));
    t.notOk(woken);
    core.advance();
    t.ok(woken, `woken after ${written} pages`);
    core.check();
    if (++waits > 100) throw new Error('never ends');
  }
  t.ok(waits > 2, `${waits} waits`);
  core.vfs.release(file.fh);
  core.close();
  t.end();
});

void t.test('a write to a sealed page leaves what was sealed as it was', (t) => {
  const store = lasting(t);
  const core = createTestCore({ store });
  const file = create(core, 'f');
  write(core, file, 0, 'first');
  core.vfs.syncfs(() => undefined); // Seals; not committed yet.
  write(core, file, 0, 'later');
  t.equal(readText(core, file), 'later');
  core.check();
  core.advance();
  core.check();
  core.abandon();
  const next = createTestCore({ store });
  const found = openByName(next, 'f');
  t.equal(readText(next, found), 'first', 'the prefix that was committed');
  next.vfs.release(found.fh);
  next.close();
  t.end();
});

void t.test('a file unlinked while open lives until its close, or until the next mount', (t) => {
  const store = lasting(t);
  const core = createTestCore({ store });
  const closed = create(core, 'closed');
  const open = create(core, 'open');
  for (const file of [closed, open]) write(core, file, 0, 'x'.repeat(10_000));
  core.sync();
  for (const name of ['closed', 'open']) core.vfs.unlink(caller, ROOT_INO, byteName(name));
  core.vfs.release(closed.fh);
  core.sync();
  t.equal(readText(core, open).length, 10_000);
  t.equal(core.core.txgs.counters.inodeCount, 2, 'the root and the open one');
  core.abandon();
  t.same(checkStore(store).findings, []);
  const next = createTestCore({ store });
  t.equal(next.core.orphansReaped, 1);
  next.sync();
  t.same(next.core.txgs.counters, { nextIno: 4, inodeCount: 1, allocPages: 0 });
  next.close();
  t.end();
});

void t.test('the recycler keeps the number of vnodes near its budget, whatever is walked', (t) => {
  const core = createTestCore({ vnodesMax: 20 });
  for (let i = 0; i < 300; i++) {
    core.vfs.release(create(core, `f${i}`).fh);
    if (i % 3 === 0) core.advance();
  }
  core.sync();
  let most = 0;
  for (let i = 0; i < 300; i++) {
    const vp = core.vfs.lookup(caller, ROOT_INO, byteName(`f${i}`));
    core.vfs.rememberLookup(vp);
    core.vfs.vrele(vp);
    core.advance();
    most = Math.max(most, core.core.vnodes.count);
  }
  t.ok(most <= 24, `${most} vnodes at most`);
  t.ok(core.core.vnodes.reclaims > 200);
  core.vfs.forgetAll();
  core.close();
  t.end();
});

void t.test('quotas: bytes and inodes', (t) => {
  const core = createTestCore({ mkfs: { sizeLimitBytes: 10 * 4096, inodeLimit: 3 } });
  const file = create(core, 'f');
  write(core, file, 0, Buffer.alloc(10 * 4096));
  t.throws(() => write(core, file, 10 * 4096, 'x'), new FsError(Errno.ENOSPC, 'size limit'));
  write(core, file, 0, 'over-writing needs no room');
  t.equal(core.vfs.statfs().blocksFree, 0);
  core.vfs.vrele(core.vfs.setattr(caller, file.ino, file.fh, { size: 4096 }));
  t.equal(core.vfs.statfs().blocksFree, 9);
  core.vfs.release(create(core, 'g').fh);
  t.throws(() => create(core, 'h'), new FsError(Errno.ENOSPC, 'inode limit'));
  core.vfs.release(file.fh);
  core.close();
  t.end();
});
