/** The mount list: each test is named after the routine of sys/kern/vfs_mount.c that it checks. */
import t from 'tap';
import { Errno, FsError } from '../../../src/base/errno.js';
import {
  MNTINS_FIRST,
  MNTINS_LAST,
  MNTSCAN_FORWARD,
  MNTSCAN_NOBUSY,
  MNTSCAN_REVERSE,
} from '../../../src/vnode/mount-list.js';
import { fsidOfUuid, formatFsid, vfsGetnewfsid, vfsSetfsid } from '../../../src/vnode/fsid.js';
import { unmountBegin, vfsUnbusy, MNT_RDONLY, type Mount } from '../../../src/vnode/mount.js';
import { mountFree, vfsRootmountalloc } from '../../../src/vnode/vfs-conf.js';
import { allocMount, newCache, newMount } from './fixture.js';

const nameOf = (mp: Mount): string => mp.stat.mntfromname;
const noOps = newCache().dummymount.ops;

void t.test('vfs_rootmountalloc: busied, read-only, of a known type', (t) => {
  const cache = newCache();
  t.throws(
    () => vfsRootmountalloc(cache, 'nosuchfs', 'x', noOps),
    new FsError(Errno.ENODEV, 'vfs_rootmountalloc'),
  );
  const mp = vfsRootmountalloc(cache, 'test', '/some/store', noOps);
  t.equal(mp.busyCount, 1);
  t.ok(mp.flag & MNT_RDONLY);
  t.equal(mp.stat.mntfromname, '/some/store');
  t.equal(mp.vfc.refcount, 1);
  vfsUnbusy(mp);
  mountFree(mp);
  t.equal(mp.vfc.refcount, 0);
  t.equal(cache.count, 0);
  t.end();
});

void t.test('mount_init: nothing in it but its syncer vnode', (t) => {
  const cache = newCache();
  const mp = allocMount(cache, 'a');
  t.equal(mp.queueSize, 0);
  t.equal(mp.queueHead, mp.syncer);
  t.equal(mp.queueTail, mp.syncer);
  t.equal(cache.dummymount.syncer, undefined, 'a dummy mount has none');
  t.end();
});

void t.test('mountlist_insert, mountlist_boot_getfirst: order, and fsids that collide', (t) => {
  const cache = newCache();
  const { mountlist } = cache;
  t.equal(mountlist.mountlistBootGetfirst(), undefined);
  const template = fsidOfUuid('00112233445566778899aabbccddeeff');
  const mounts = ['a', 'b', 'c'].map((name) => {
    const mp = allocMount(cache, name);
    vfsSetfsid(mp, template);
    return mp;
  });
  mountlist.mountlistInsert(mounts[0], MNTINS_LAST);
  mountlist.mountlistInsert(mounts[1], MNTINS_LAST);
  mountlist.mountlistInsert(mounts[2], MNTINS_FIRST);
  t.strictSame([...mountlist].map(nameOf), ['c', 'a', 'b']);
  t.equal(mountlist.mountlistBootGetfirst(), mounts[2]);
  t.equal(formatFsid(mounts[0].stat.fsid), '0011223344556677', 'the template, kept');
  t.equal(new Set(mounts.map((mp) => formatFsid(mp.stat.fsid))).size, 3, 'unique');
  for (const mp of mounts) t.equal(mountlist.vfsGetvfs(mp.stat.fsid), mp, 'vfs_getvfs');
  for (const mp of mounts) vfsUnbusy(mp);
  mountlist.mountlistRemove(mounts[0]);
  t.equal(mountlist.vfsGetvfs(template), undefined, 'vfs_getvfs of a removed one');
  t.notOk(mountlist.mountlistExists(mounts[0]));
  const again = allocMount(cache, 'a again');
  vfsSetfsid(again, template);
  mountlist.mountlistInsert(again, MNTINS_LAST);
  t.equal(formatFsid(again.stat.fsid), '0011223344556677', 'the store has its fsid again');
  t.end();
});

void t.test(
  'vfs_getnewfsid: from the mount point, of the type; vfs_setfsid only before the mount is listed',
  (t) => {
    const cache = newCache();
    const fsids = ['/mnt/a', '/mnt/b', '/mnt/a', ''].map((path) => {
      const mp = allocMount(cache, 'x');
      mp.stat.mntonname = path;
      vfsGetnewfsid(mp);
      return mp.stat.fsid;
    });
    t.strictSame(fsids[0], fsids[2]);
    t.notSame(fsids[0], fsids[1]);
    for (const { val0, val1 } of fsids) {
      t.equal((val0 >>> 8) & 0xff, 255, 'the major number of mounts');
      t.equal(val1, cache.vfsconf.vfsconfFindByName('test')?.typenum);
    }
    const mp = newMount(cache, 'listed');
    t.throws(() => vfsSetfsid(mp, fsids[0]), /mounted already/);
    t.throws(() => vfsGetnewfsid(mp), /mounted already/);
    t.end();
  },
);

void t.test('mountlist_scan: forward, reverse, sum, a negative return ends it and is not added', (t) => {
  const cache = newCache();
  for (const name of ['a', 'b', 'c']) newMount(cache, name);
  const seen: string[] = [];
  const see = (mp: Mount): number => {
    seen.push(nameOf(mp));
    return mp.busyCount;
  };
  t.equal(cache.mountlist.mountlistScan(see, MNTSCAN_FORWARD), 3, 'each was busy');
  t.equal(cache.mountlist.mountlistScan(see, MNTSCAN_REVERSE), 3);
  t.equal(cache.mountlist.mountlistScan(see, MNTSCAN_FORWARD | MNTSCAN_NOBUSY), 0, 'none was busy');
  t.strictSame(seen.join(''), 'abccbaabc');
  const cut = (mp: Mount): number => (nameOf(mp) === 'b' ? -5 : 10);
  t.equal(cache.mountlist.mountlistScan(cut, MNTSCAN_FORWARD), 10);
  for (const mp of cache.mountlist) t.equal(mp.busyCount, 0, 'all released');
  t.throws(() =>
    cache.mountlist.mountlistScan(() => {
      throw new Error('callback');
    }, MNTSCAN_FORWARD),
  );
  for (const mp of cache.mountlist) t.equal(mp.busyCount, 0, 'released after a throw');
  t.end();
});

void t.test('mountlist_scan skips a mount that is being unmounted, unless NOBUSY', (t) => {
  const cache = newCache();
  const [, b] = ['a', 'b', 'c'].map((name) => newMount(cache, name));
  cache.mountlist.mountlistInterlock(unmountBegin, b);
  const seen: string[] = [];
  const see = (mp: Mount): number => seen.push(nameOf(mp));
  cache.mountlist.mountlistScan(see, MNTSCAN_FORWARD);
  t.equal(seen.join(''), 'ac');
  cache.mountlist.mountlistScan(see, MNTSCAN_REVERSE | MNTSCAN_NOBUSY);
  t.equal(seen.join(''), 'accba');
  t.end();
});

for (const [how, order] of [
  [MNTSCAN_FORWARD, 'abcd'],
  [MNTSCAN_REVERSE, 'dcba'],
  [MNTSCAN_FORWARD | MNTSCAN_NOBUSY, 'abcd'],
] as const) {
  void t.test(`mountlist_remove under a scan (how ${how}): of the node it stands on, and of others`, (t) => {
    for (const victim of ['a', 'b', 'c', 'd']) {
      for (const during of ['a', 'b', 'c', 'd']) {
        const cache = newCache();
        const mounts = new Map(['a', 'b', 'c', 'd'].map((name) => [name, newMount(cache, name)]));
        const seen: string[] = [];
        cache.mountlist.mountlistScan((mp) => {
          seen.push(nameOf(mp));
          const gone = mounts.get(victim);
          if (nameOf(mp) === during && gone) cache.mountlist.mountlistRemove(gone);
          return 0;
        }, how);
        const removedAhead = order.indexOf(victim) > order.indexOf(during);
        t.equal(
          seen.join(''),
          removedAhead ? order.replace(victim, '') : order,
          `${victim} during ${during}`,
        );
        for (const mp of mounts.values()) t.equal(mp.busyCount, 0);
      }
    }
    t.end();
  });
}

void t.test('mountlist_interlock: a second unmount is refused', (t) => {
  const cache = newCache();
  const mp = newMount(cache, 'a');
  cache.mountlist.mountlistInterlock(unmountBegin, mp);
  t.throws(() => cache.mountlist.mountlistInterlock(unmountBegin, mp), new FsError(Errno.EBUSY, 'unmount'));
  t.end();
});

void t.test('add_bio_ops, rem_bio_ops, bio_ops_sync: one mount, or all, the first error', (t) => {
  const cache = newCache();
  const [a, b] = [newMount(cache, 'a'), newMount(cache, 'b')];
  const { bioOps } = cache;
  const calls: string[] = [];
  const later: (() => void)[] = [];
  a.bioOps = {
    ioSync: (mp, done) => {
      calls.push(`a:${mp === a}`);
      done(undefined);
    },
  };
  b.bioOps = {
    ioSync: (mp, done) => {
      calls.push(`b:${mp === b}`);
      later.push(() => done({ errno: 5 } as never));
    },
  };
  let result: unknown = 'not yet';
  const done = (error: unknown): void => {
    result = error;
  };
  bioOps.bioOpsSync(undefined, done);
  t.equal(result, undefined, 'nobody registered: done');
  bioOps.addBioOps(a.bioOps);
  bioOps.addBioOps(b.bioOps);
  t.throws(() => bioOps.addBioOps(a.bioOps as never), /twice/);
  result = 'not yet';
  bioOps.bioOpsSync(undefined, done);
  t.equal(result, 'not yet', 'waits for all');
  later.pop()?.();
  t.same(result, { errno: 5 });
  bioOps.bioOpsSync(a, done);
  t.equal(result, undefined);
  t.strictSame(calls, ['a:false', 'b:false', 'a:true']);
  const bHooks = b.bioOps;
  bioOps.remBioOps(bHooks);
  t.throws(() => bioOps.remBioOps(bHooks), /not there/);
  bioOps.bioOpsSync(undefined, done);
  t.strictSame(calls.slice(3), ['a:false']);
  t.end();
});
