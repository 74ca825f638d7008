/** vfs_busy and vfs_unbusy: a shared hold against unmount, by themselves and under requests of a core. */
import t from 'tap';
import { Errno, FsError } from '../../../src/base/errno.js';
import { byteName, ROOT_INO } from '../../../src/base/ids.js';
import { WouldBlock } from '../../../src/base/wait.js';
import {
  LK_NOWAIT,
  MNTK_MWAIT,
  requireNotUnmounting,
  unmountBegin,
  unmountRefused,
  vfsBusy,
  vfsUnbusy,
  type Mount,
} from '../../../src/vnode/mount.js';
import { createTestCore } from '../../harness/test-core.js';
import { newCache, newMount } from './fixture.js';

const blocked = (act: () => void): WouldBlock => {
  try {
    act();
  } catch (error) {
    if (error instanceof WouldBlock) return error;
    throw error;
  }
  throw new Error('did not block');
};

const unmounting = (): { mp: Mount; remove: () => void } => {
  const cache = newCache();
  const mp = newMount(cache, 'a');
  return { mp, remove: () => cache.mountlist.mountlistRemove(mp) };
};

void t.test('vfs_busy: NOWAIT is ignored while no unmount runs; holds are counted', (t) => {
  const { mp } = unmounting();
  vfsBusy(mp, LK_NOWAIT);
  vfsBusy(mp, 0);
  t.equal(mp.busyCount, 2);
  vfsUnbusy(mp);
  vfsUnbusy(mp);
  t.throws(() => vfsUnbusy(mp), /not busy/);
  t.end();
});

void t.test('vfs_busy while an unmount runs: NOWAIT gets ENOENT at once', (t) => {
  const { mp } = unmounting();
  unmountBegin(mp);
  t.throws(() => vfsBusy(mp, LK_NOWAIT), new FsError(Errno.ENOENT, 'vfs_busy'));
  t.equal(mp.kernFlag & MNTK_MWAIT, 0, 'nobody sleeps');
  t.end();
});

void t.test('vfs_busy while an unmount runs: others sleep, and then get ENOENT', (t) => {
  const { mp, remove } = unmounting();
  unmountBegin(mp);
  let result = '';
  const attempt = (): void => {
    try {
      vfsBusy(mp, 0);
      result = 'busy';
    } catch (error) {
      result = error instanceof Error ? error.message : '';
    }
  };
  blocked(() => vfsBusy(mp, 0)).channel.wait(attempt);
  t.ok(mp.kernFlag & MNTK_MWAIT);
  t.equal(result, '');
  remove();
  t.match(result, /ENOENT/);
  t.throws(() => requireNotUnmounting(mp), new FsError(Errno.ENOENT, 'vfs_busy'));
  t.equal(mp.busyCount, 0);
  t.end();
});

void t.test('vfs_busy while an unmount runs: sleepers go on when it is refused', (t) => {
  const { mp } = unmounting();
  unmountBegin(mp);
  blocked(() => vfsBusy(mp, 0)).channel.wait(() => vfsBusy(mp, 0));
  blocked(() => requireNotUnmounting(mp));
  unmountRefused(mp);
  t.equal(mp.busyCount, 1, 'the sleeper has it');
  requireNotUnmounting(mp);
  t.throws(() => unmountRefused(mp), /no unmount/);
  t.end();
});

void t.test('vfs_unbusy: the last one lets a waiting unmount go on; a busy mount is not removed', (t) => {
  const { mp, remove } = unmounting();
  vfsBusy(mp, 0);
  vfsBusy(mp, 0);
  unmountBegin(mp);
  let drained = 0;
  mp.drained.wait(() => drained++);
  vfsUnbusy(mp);
  t.equal(drained, 0);
  t.throws(remove, /busy/);
  vfsUnbusy(mp);
  t.equal(drained, 1);
  t.end();
});

void t.test('a core: a barrier holds the mount; requests wait while it is unmounted', (t) => {
  const core = createTestCore();
  const { fs, vnodes } = core.core;
  const caller = { uid: 0, gid: 0, pid: 1 };
  fs.vrele(fs.mkdir(caller, ROOT_INO, byteName('d'), 0o755, 0));
  let synced = false;
  fs.syncfs(() => (synced = true));
  t.equal(fs.mount.busyCount, 1);
  vnodes.mountlist.mountlistInterlock(unmountBegin, fs.mount);
  for (const request of [
    () => fs.lookup(caller, ROOT_INO, byteName('d')),
    () => fs.mkdir(caller, ROOT_INO, byteName('e'), 0o755, 0),
    () => fs.statfs(),
    () => fs.syncfs(() => undefined),
    () => fs.fsync(ROOT_INO, undefined, false, () => undefined),
  ]) {
    blocked(request);
  }
  while (!synced) core.advance();
  t.equal(fs.mount.busyCount, 0);
  unmountRefused(fs.mount);
  fs.vrele(fs.lookup(caller, ROOT_INO, byteName('d')));
  core.close();
  t.end();
});
