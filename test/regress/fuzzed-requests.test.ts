/** What fuzzed requests and damaged stores have broken. */
import Database from 'better-sqlite3';
import { join } from 'node:path';
import t from 'tap';
import { asIno, byteName, ROOT_INO } from '../../src/base/ids.js';
import { Opcode } from '../../src/fuse/kernel/protocol.js';
import { checkStore } from '../../src/store/fsck.js';
import { createStore } from '../../src/store/mkfs.js';
import { InProcessCore } from '../harness/test-core.js';
import { FakeKernel } from '../support/fake-kernel.js';
import { scratchDir } from '../unit/store/scratch.js';

const CALLER = { uid: 0, gid: 0, pid: 1 };

void t.test('a time beyond what the store holds becomes the nearest, and commits go on', (t) => {
  const core = new InProcessCore();
  for (const sec of [2 ** 62, -(2 ** 62), Number.MAX_SAFE_INTEGER + 2]) {
    const vp = core.vfs.setattr(CALLER, ROOT_INO, undefined, { mtime: { sec, nsec: 5 } });
    t.equal(vp.mtimeSec, Math.sign(sec) * Number.MAX_SAFE_INTEGER);
    core.vfs.vrele(vp);
    core.sync();
  }
  core.close();
  t.end();
});

void t.test('bits of a mode beyond the sixteenth are dropped', (t) => {
  const core = new InProcessCore();
  const vp = core.vfs.mknod(CALLER, ROOT_INO, byteName('f'), 0x80008000 | 0o644, 0, 0);
  t.equal(vp.mode, 0o100644);
  core.vfs.vrele(vp);
  core.close();
  t.end();
});

void t.test('an answer to a notification gets no answer', (t) => {
  const core = new InProcessCore();
  const kernel = new FakeKernel(core.vfs, core.pool.buffer as SharedArrayBuffer);
  kernel.init();
  kernel.send(Opcode.NOTIFY_REPLY, 1, Buffer.alloc(48));
  t.equal(kernel.session.handleOne(), 'again');
  t.same(kernel.answers(), []);
  kernel.close();
  core.close();
  t.end();
});

void t.test('a store that lists an orphan it does not have can be mounted, and keeps it for fsck', (t) => {
  const store = join(scratchDir(t), 's.db');
  createStore(store);
  const db = new Database(store);
  db.exec('INSERT INTO orphan VALUES (77)');
  db.close();
  const core = new InProcessCore({ store });
  t.ok(core.vfs.getattr(CALLER, asIno(1), undefined).nlink === 2);
  core.abandon();
  t.match(checkStore(store).findings, [{ rule: 'orphan', ino: 77 }]);
  t.end();
});
