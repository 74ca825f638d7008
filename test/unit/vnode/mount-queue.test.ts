/** The vnodes of a mount: each test is named after the routine of sys/kern/vfs_mount.c that it checks. */
import t from 'tap';
import { asIno } from '../../../src/base/ids.js';
import type { Mount, VnodeScan } from '../../../src/vnode/mount.js';
import { insmntque, vmntvnodescan, vremovevnodemnt } from '../../../src/vnode/mount-queue.js';
import { VFlag, VType, type Vnode } from '../../../src/vnode/vnode.js';
import { idleVnode, newCache, newMount, newVnode } from './fixture.js';

/** Inode numbers in queue order; S is the syncer vnode. */
const queue = (mp: Mount): string => {
  const list: string[] = [];
  for (let vp = mp.queueHead; vp !== undefined; vp = vp.mqNext)
    list.push(vp === mp.syncer ? 'S' : String(vp.ino));
  return list.join(' ');
};

void t.test('getnewvnode: referenced, exclusively locked, on the queue, but VNON until it is set up', (t) => {
  const cache = newCache();
  const mp = newMount(cache, 'a');
  const vp = cache.getnewvnode(mp, asIno(5));
  t.equal(vp.useCount, 1);
  t.ok(vp.flag & VFlag.VXLOCK, 'VX');
  t.equal(vp.flag & (VFlag.VAGE0 | VFlag.VAGE1), VFlag.VAGE0 | VFlag.VAGE1, 'never opened');
  t.equal(vp.mp, mp);
  t.equal(queue(mp), '5 S', 'visible');
  t.equal(vp.type, VType.VNON);
  const seen: number[] = [];
  const see = (_mp: Mount, { ino }: Vnode): number => seen.push(ino) - seen.length;
  vmntvnodescan(mp, 0, see, see);
  t.strictSame(seen, [], 'a scan leaves it alone');
  vp.type = VType.VREG;
  vp.nlink = 1;
  cache.vxUnlock(vp);
  t.equal(vp.useCount, 1, 'vx_unlock leaves the reference');
  vmntvnodescan(mp, 0, see, undefined);
  t.strictSame(seen, [5]);
  t.match(cache, { count: 2, active: 2, allocations: 2 }, 'counted, with the syncer vnode');
  t.end();
});

void t.test('getspecialvnode: a system vnode of a mount, or of the dummy mount; in no table', (t) => {
  const cache = newCache();
  const mp = newMount(cache, 'a');
  const ours = cache.getspecialvnode(mp);
  const free = cache.getspecialvnode(undefined);
  for (const vp of [ours, free]) {
    t.equal(vp.useCount, 1);
    t.equal(vp.type, VType.VNON);
    t.equal(vp.flag, VFlag.VXLOCK | VFlag.VSYSTEM);
  }
  t.equal(ours.mp, mp);
  t.equal(free.mp, cache.dummymount, 'the mount is optional');
  t.equal(cache.dummymount.queueSize, 1);
  t.equal(mp.table.size, 0);
  t.end();
});

void t.test('insmntque: the LRU end is just before the syncer vnode, without one the tail', (t) => {
  const cache = newCache();
  const [a, b] = [newMount(cache, 'a'), newMount(cache, 'b')];
  const [one, , three] = [1, 2, 3].map((ino) => newVnode(a, ino));
  t.equal(queue(a), '1 2 3 S');
  insmntque(one, b);
  t.equal(one.mp, b);
  t.equal(`${queue(a)} / ${queue(b)}`, '2 3 S / 1 S');
  t.strictSame([a.queueSize, b.queueSize], [2, 1], 'both sizes');
  insmntque(three, three.mp);
  t.equal(queue(a), '2 3 S', 'moved to its own end');
  insmntque(three, cache.dummymount);
  insmntque(one, cache.dummymount);
  t.equal(queue(cache.dummymount), '3 1', 'no syncer vnode: the tail');
  insmntque(one, undefined);
  t.strictSame([one.mp, one.mqNext, one.mqPrev], [undefined, undefined, undefined], 'off all queues');
  a.queueSize = 0;
  t.throws(() => insmntque([...a.table.values()][1], b), /bad mount queue size/);
  t.end();
});

void t.test('vremovevnodemnt: every scan that stands on the vnode steps to its successor', (t) => {
  const cache = newCache();
  const mp = newMount(cache, 'a');
  const [one, two, three] = [1, 2, 3].map((ino) => newVnode(mp, ino));
  const scans: VnodeScan[] = [one, two, two, three].map((vp) => ({ vp }));
  for (const scan of scans) mp.scans.add(scan);
  const standing = (): unknown => scans.map(({ vp }) => (vp === mp.syncer ? 'S' : vp?.ino));
  vremovevnodemnt(two);
  t.strictSame(standing(), [1, 3, 3, 3]);
  vremovevnodemnt(three);
  t.strictSame(standing(), [1, 'S', 'S', 'S'], 'the syncer vnode is a place too');
  t.equal(queue(mp), '1 S');
  vremovevnodemnt(one);
  t.equal(queue(mp), 'S');
  t.end();
});

void t.test('insmntque moves a vnode under scans of both queues', (t) => {
  const cache = newCache();
  const [a, b] = [newMount(cache, 'a'), newMount(cache, 'b')];
  const moving = [1, 2, 3, 4].map((ino) => idleVnode(a, ino));
  for (const ino of [11, 12]) idleVnode(b, ino);
  const seen: string[] = [];
  vmntvnodescan(a, 0, undefined, (_mp, vp) => {
    seen.push(`a${vp.ino}`);
    if (vp.ino !== 2) return 0;
    vmntvnodescan(b, 0, undefined, (_b, inner) => {
      seen.push(`b${inner.ino}`);
      // The current one of the outer scan and its successor come to the inner scan's queue, ahead of it.
      if (inner.ino === 11) for (const vp of moving.slice(1, 3)) insmntque(vp, b);
      return 0;
    });
    return 0;
  });
  t.equal(seen.join(' '), 'a1 a2 b11 b12 b2 b3 a4', 'nobody twice, nobody missed');
  t.equal(`${queue(a)} / ${queue(b)}`, '1 4 S / 11 12 2 3 S');
  t.strictSame([a.scans.size, b.scans.size], [0, 0]);
  t.end();
});
