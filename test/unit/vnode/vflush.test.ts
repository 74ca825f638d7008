/** vflush and vflush_scan, on bare vnodes and on a core with open files. */
import t from 'tap';
import { Errno, FsError } from '../../../src/base/errno.js';
import { byteName, ROOT_INO, type Fh, type Ino } from '../../../src/base/ids.js';
import { unmountBegin } from '../../../src/vnode/mount.js';
import { SCAN_YIELD_VNODES } from '../../../src/vnode/mount-queue.js';
import { FORCECLOSE, SKIPSYSTEM, vflush, vflushSlices, WRITECLOSE } from '../../../src/vnode/vflush.js';
import { VFlag, VType } from '../../../src/vnode/vnode.js';
import { createTestCore, type InProcessCore } from '../../harness/test-core.js';
import { idleVnode, newCache, newMount, newVnode } from './fixture.js';

const caller = { uid: 0, gid: 0, pid: 1 };
const inos = (list: readonly { ino: Ino }[]): number[] => list.map(({ ino }) => ino).sort((a, b) => a - b);

void t.test('vflush: what is idle goes, what is referenced or held is busy', (t) => {
  const cache = newCache();
  const mp = newMount(cache, 'a');
  for (let ino = 10; ino < 20; ino++) idleVnode(mp, ino);
  const used = newVnode(mp, 20);
  const held = idleVnode(mp, 21);
  cache.vhold(held);
  const { busy, gone, forced } = vflush(mp, 0, 0);
  t.strictSame(inos(busy), [20, 21]);
  t.equal(busy.find(({ ino }) => ino === 20)?.useCount, 1, 'the scan itself is not counted');
  t.equal(busy.find(({ ino }) => ino === 21)?.holdCount, 1);
  t.strictSame([gone, forced], [10, 0]);
  t.equal(mp.queueSize, 2);
  cache.vdrop(held);
  cache.vrele(used);
  t.equal(vflush(mp, 0, 0).gone, 2);
  t.equal(cache.count, 1, 'the syncer vnode');
  t.end();
});

void t.test('vflush by slices: pauses every 10,000 vnodes, and can be given up', (t) => {
  const cache = newCache(100_000);
  const mp = newMount(cache, 'a');
  const other = newMount(cache, 'b');
  for (let ino = 1; ino <= SCAN_YIELD_VNODES + 500; ino++) idleVnode(mp, ino);
  const used = newVnode(mp, 99_999);
  const slices = vflushSlices(mp, 0, 0);
  t.equal(slices.next().done, false);
  t.equal(mp.queueSize, 501);
  idleVnode(other, 1);
  t.match(slices.next(), { done: true, value: { gone: SCAN_YIELD_VNODES + 500, busy: [{ ino: 99_999 }] } });
  cache.vrele(used);
  for (let ino = 1; ino <= SCAN_YIELD_VNODES; ino++) idleVnode(mp, ino);
  const given = vflushSlices(mp, 0, 0);
  given.next();
  given.return({ busy: [], gone: 0, forced: 0 });
  t.equal(mp.scans.size, 0);
  vflush(mp, 0, 0);
  t.equal(mp.queueSize, 0);
  t.equal(other.queueSize, 1);
  t.end();
});

void t.test(
  'a core with many vnodes: the unmount pauses, is discarded meanwhile, or goes on to its end',
  (t) => {
    for (const discard of [false, true]) {
      const core = createTestCore({ vnodesMax: 30_000, pages: 64 });
      const { fs, vnodes } = core.core;
      for (let i = 0; i < SCAN_YIELD_VNODES + 100; i++)
        core.vfs.vrele(core.vfs.mknod(caller, ROOT_INO, byteName(`f${i}`), 0o100644, 0, 0));
      core.sync();
      fs.beginUnmount();
      fs.forgetAll();
      let ended = false;
      fs.finishUnmount(() => (ended = true));
      t.ok(fs.flushing && !ended);
      t.ok(vnodes.count < 200, `${vnodes.count} vnodes left`);
      t.equal(core.core.deadlineMs, 0, 'due at once');
      fs.finishUnmount(() => t.fail('twice')); // a commit was answered meanwhile: it is flushing already
      if (discard) core.core.drop();
      else core.core.poll();
      t.equal(ended, !discard);
      t.notOk(fs.flushing);
      t.equal(vnodes.count, 0);
      t.equal(vnodes.mountlist.size, 0);
      core.abandon();
    }
    t.end();
  },
);

void t.test('vflush: rootrefs', (t) => {
  const cache = newCache();
  const mp = newMount(cache, 'a');
  const root = newVnode(mp, 1);
  mp.rootVnode = root;
  cache.vref(root);
  t.throws(() => vflush(mp, 1, SKIPSYSTEM), /bad arguments/);
  t.throws(() => vflush(mp, 1, WRITECLOSE), /bad arguments/);
  t.throws(() => vflush(mp, 3, 0), /rootrefs/);
  t.strictSame(inos(vflush(mp, 1, 0).busy), [1], 'referenced once more than rootrefs says');
  const other = newVnode(mp, 2);
  t.strictSame(inos(vflush(mp, 2, 0).busy), [1, 2], 'not the root alone');
  t.equal(root.flag & VFlag.VRECLAIMED, 0);
  cache.vrele(other);
  const { busy, gone } = vflush(mp, 2, 0);
  t.strictSame([busy.length, gone], [0, 2]);
  t.ok(root.flag & VFlag.VRECLAIMED);
  t.equal(root.useCount, 0, 'exactly rootrefs references were dropped');
  t.equal(mp.rootVnode, undefined);
  t.end();
});

void t.test('vflush_scan: SKIPSYSTEM', (t) => {
  const cache = newCache();
  const mp = newMount(cache, 'a');
  const quota = cache.getspecialvnode(mp);
  quota.type = VType.VREG;
  quota.nlink = 1;
  cache.vxUnlock(quota);
  cache.vrele(quota);
  idleVnode(mp, 5);
  t.equal(vflush(mp, 0, SKIPSYSTEM).gone, 1);
  t.equal(quota.flag & VFlag.VRECLAIMED, 0);
  t.equal(vflush(mp, 0, 0).gone, 1);
  t.ok(quota.flag & VFlag.VRECLAIMED);
  t.end();
});

void t.test(
  'vflush_scan: FORCECLOSE moves referenced vnodes to the dummy mount until their last reference',
  (t) => {
    const cache = newCache();
    const mp = newMount(cache, 'a');
    const vp = newVnode(mp, 7);
    vp.openCount = 1;
    const { busy, forced } = vflush(mp, 0, FORCECLOSE);
    t.strictSame([busy.length, forced], [0, 1]);
    t.equal(vp.mp, cache.dummymount);
    t.equal(cache.dummymount.queueSize, 1);
    t.equal(mp.table.size, 0);
    t.equal(cache.active, 1, 'the syncer vnode');
    cache.vrele(vp);
    t.equal(vp.mp, undefined);
    t.equal(cache.dummymount.queueSize, 0);
    t.end();
  },
);

const create = (core: InProcessCore, name: string): { ino: Ino; fh: Fh } => {
  const { vp, open } = core.vfs.create(caller, ROOT_INO, byteName(name), 0o644, 2, 0o022);
  core.vfs.vrele(vp);
  core.vfs.write(caller, vp.ino, open.fh, 0, Buffer.from('contents'), {
    fromCache: false,
    killSuidgid: false,
  });
  return { ino: vp.ino, fh: open.fh };
};
const openToRead = (core: InProcessCore, ino: Ino): Fh => core.vfs.open(caller, ino, 0).fh;
const read = (core: InProcessCore, { ino, fh }: { ino: Ino; fh: Fh }): number =>
  core.vfs.read(ino, fh, 0, 100, { pool: () => undefined, bytes: () => undefined, zeros: () => undefined });

void t.test('a core: WRITECLOSE considers files open for writing, and unlinked open ones', (t) => {
  const core = createTestCore({ noatime: true });
  const written = create(core, 'written');
  const readOnly = create(core, 'readOnly');
  core.vfs.release(readOnly.fh);
  const reader = { ino: readOnly.ino, fh: openToRead(core, readOnly.ino) };
  const unlinked = create(core, 'unlinked');
  core.vfs.release(unlinked.fh);
  const orphan = { ino: unlinked.ino, fh: openToRead(core, unlinked.ino) };
  core.vfs.unlink(caller, ROOT_INO, byteName('unlinked'));
  const mp = core.vfs.mount;
  core.sync();
  t.strictSame(inos(vflush(mp, 0, WRITECLOSE).busy), [written.ino, unlinked.ino].sort(), 'EBUSY');
  t.equal(read(core, written), 8, 'and nothing was closed');
  vflush(mp, 0, WRITECLOSE | FORCECLOSE);
  for (const dead of [written, orphan]) {
    t.throws(() => read(core, dead), new FsError(Errno.EIO, 'dead handle'));
    t.throws(() => core.vfs.getattr(caller, dead.ino, dead.fh), new FsError(Errno.EIO, 'dead handle'));
  }
  t.equal(read(core, reader), 8, 'a reader is left alone');
  core.check();
  core.sync();
  t.strictSame(vflush(mp, 0, WRITECLOSE).busy, [], 'the unlinked file went with its commit');
  for (const { fh } of [written, reader, orphan]) core.vfs.release(fh);
  t.equal(core.core.vnodes.dummymount.queueSize, 0, 'closing dead handles succeeds, and frees them');
  const again = { ino: written.ino, fh: openToRead(core, written.ino) };
  t.equal(read(core, again), 8, 'what was committed is there for a new open');
  core.vfs.release(again.fh);
  core.close();
  t.end();
});

void t.test('a core: FORCECLOSE spares what is not committed; the whole unmount', (t) => {
  const core = createTestCore();
  const { fs, vnodes } = core.core;
  const dirty = create(core, 'dirty');
  const unlinked = create(core, 'unlinked');
  core.vfs.unlink(caller, ROOT_INO, byteName('unlinked'));
  const first = vflush(fs.mount, 0, FORCECLOSE);
  t.ok(first.busy.every(({ holdCount }) => holdCount > 0));
  t.ok(inos(first.busy).includes(dirty.ino));
  t.equal(read(core, dirty), 8, 'held: not taken');
  t.throws(() => read(core, unlinked), new FsError(Errno.EIO, 'dead handle'), 'but dead if unlinked');
  core.check();
  vnodes.mountlist.mountlistInterlock(unmountBegin, fs.mount);
  fs.forgetAll();
  let open: number[] | undefined;
  fs.finishUnmount((error, vnodes) => {
    t.equal(error, undefined);
    open = inos(vnodes);
  });
  for (let i = 0; open === undefined; i++) {
    if (i > 10) throw new Error('never ends');
    core.advance();
  }
  t.strictSame(open, [dirty.ino]);
  t.equal(vnodes.mountlist.size, 0);
  t.equal(vnodes.bioOps.size, 0);
  t.equal(vnodes.count, 0);
  t.equal(vnodes.active, 0);
  t.equal(core.core.pool.resident, 0, 'memory is back');
  t.equal(vnodes.names.size, 0);
  t.equal(fs.state.handles.size, 0);
  t.throws(() => fs.lookup(caller, ROOT_INO, byteName('dirty')), new FsError(Errno.ENOENT, 'vfs_busy'));
  core.abandon();
  t.end();
});
