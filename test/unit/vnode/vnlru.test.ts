/** The recycler: each test is named after the routine of sys/kern/vfs_mount.c that it checks. */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { asIno, byteName } from '../../../src/base/ids.js';
import { BufCache } from '../../../src/vnode/buf-cache.js';
import { NameCache } from '../../../src/vnode/name-cache.js';
import { PagePool } from '../../../src/vnode/page-pool.js';
import { unmountBegin, vfsUnbusy, vfsBusy, type Mount } from '../../../src/vnode/mount.js';
import { vmntvnodescan } from '../../../src/vnode/mount-queue.js';
import { VFlag, VType, type Vnode } from '../../../src/vnode/vnode.js';
import { visleaf, vmightfree, Vnlru, vtrytomakegoneable } from '../../../src/vnode/vnlru.js';
import { VnodeCache } from '../../../src/vnode/vnode-cache.js';
import { idleVnode, newCache, newMount, newVnode } from './fixture.js';

const recycler = (
  max: number,
  pages = 64,
): { cache: VnodeCache; mp: Mount; vnlru: Vnlru; clock: ManualClock } => {
  const cache = newCache(max, pages);
  const clock = new ManualClock();
  const vnlru = new Vnlru(cache, () => clock.monotonicMs());
  return { cache, mp: newMount(cache, 'a'), vnlru, clock };
};

const inos = (mp: Mount): number[] => [...mp.table.keys()];

/** Resident pages, clean, in bufs of one page. */
const givePages = (cache: VnodeCache, vp: Vnode, pages: number): void => {
  for (let i = 0; i < pages; i++) {
    cache.bufs.newRequest();
    if (!cache.bufs.reserve(1)) throw new Error('no room');
    cache.bufs.addPage(cache.bufs.create(vp, i, 1), 0);
  }
};

const slicesUntilIdle = (vnlru: Vnlru, most = 1000): number => {
  let slices = 0;
  while (vnlru.wanted && slices < most) {
    vnlru.vnlruProc();
    slices++;
  }
  return slices;
};

void t.test(
  'vmightfree: four passes, each of which makes more eligible; pages spare a vnode before the last',
  (t) => {
    const { cache, mp } = recycler(100);
    const vp = idleVnode(mp, 1);
    const passes = (): boolean[] => [0, 1, 2, 3].map((pass) => vmightfree(vp, 2, pass));
    t.strictSame(passes(), [true, true, true, true], 'never opened');
    cache.age(vp);
    t.strictSame(passes(), [false, true, true, true], 'opened once');
    cache.age(vp);
    cache.age(vp);
    t.strictSame(passes(), [false, false, false, true], 'opened more often');
    vp.flag = VFlag.VAGE0;
    t.strictSame(passes(), [false, false, true, true], 'DragonFly’s third age');
    vp.flag = VFlag.VAGE0 | VFlag.VAGE1;
    givePages(cache, vp, 2);
    t.strictSame(passes(), [true, true, true, true], 'as many pages as the trigger');
    givePages(cache, vp, 0);
    vp.residentPages = 3;
    t.strictSame(passes(), [false, false, false, true], 'more');
    vp.residentPages = 2;
    t.end();
  },
);

void t.test('vmightfree: not what is in use, held, locked, unlinked, reclaimed, or of the system', (t) => {
  const { mp } = recycler(100);
  const states: [string, (vp: Vnode) => void][] = [
    ['referenced', (vp) => (vp.useCount = 1)],
    ['held', (vp) => (vp.holdCount = 1)],
    ['unlinked', (vp) => (vp.nlink = 0)],
    ['locked', (vp) => (vp.flag |= VFlag.VXLOCK)],
    ['reclaimed', (vp) => (vp.flag |= VFlag.VRECLAIMED)],
    ['of the system', (vp) => (vp.flag |= VFlag.VSYSTEM)],
  ];
  states.forEach(([name, set], i) => {
    const vp = idleVnode(mp, i + 1);
    t.ok(vmightfree(vp, 9, 3));
    set(vp);
    t.notOk(vmightfree(vp, 9, 3), name);
  });
  const remembered = idleVnode(mp, 99);
  remembered.lookupCount = 5;
  t.ok(vmightfree(remembered, 9, 0), 'what only the kernel remembers goes: the nodeid loads again');
  t.end();
});

void t.test('visleaf: cached names do not keep a directory, names on their way to the store do', (t) => {
  const { cache, mp } = recycler(100);
  const dvp = idleVnode(mp, 1);
  const child = idleVnode(mp, 2);
  dvp.type = VType.VDIR;
  t.ok(visleaf(dvp));
  const entry = cache.names.enter(dvp, byteName('child'), child.ino, 8, 3);
  t.ok(visleaf(dvp), 'a clean name');
  t.ok(vtrytomakegoneable(dvp));
  cache.names.pin(entry);
  dvp.dirtyNames = 1;
  t.notOk(visleaf(dvp), 'a dirty one');
  t.notOk(vtrytomakegoneable(dvp));
  dvp.dirtyNames = 0;
  cache.names.unpin(entry);
  cache.vgone(dvp);
  t.equal(cache.names.size, 0, 'its names went with it');
  t.ok(visleaf(child), 'and a child never hangs on its parent');
  t.end();
});

void t.test('vtrytomakegoneable: looks again at what may have changed', (t) => {
  const { cache, mp } = recycler(100);
  const vp = idleVnode(mp, 1);
  t.ok(vtrytomakegoneable(vp));
  cache.vref(vp);
  t.notOk(vtrytomakegoneable(vp));
  cache.vrele(vp);
  cache.vhold(vp);
  t.notOk(vtrytomakegoneable(vp));
  cache.vdrop(vp);
  cache.vgone(vp);
  t.notOk(vtrytomakegoneable(vp), 'VRECLAIMED');
  t.end();
});

void t.test('vlrureclaim: a tenth of each mount’s vnodes a call at most, from the oldest on', (t) => {
  const { cache, mp, vnlru } = recycler(140);
  const mounts = [mp, newMount(cache, 'b'), newMount(cache, 'c')];
  mounts.forEach((mount, i) => {
    for (let ino = 1; ino <= [95, 20, 10][i]; ino++) idleVnode(mount, ino);
  });
  t.equal(vnlru.vnlruProc(), 10 + 3 + 2, '95 / 10 + 1, and so on');
  t.equal(vnlru.examined, 15);
  t.strictSame(
    mounts.map((mount) => inos(mount)[0]),
    [11, 4, 3],
  );
  t.equal(cache.count, 95 + 20 + 10 + 3 - 15, 'with the syncer vnodes');
  t.end();
});

void t.test('vlrureclaim: the syncer vnode is the placemark, and disturbs no scan', (t) => {
  const { cache, mp, vnlru } = recycler(20);
  const vnodes = Array.from({ length: 30 }, (_, i) => newVnode(mp, i + 1));
  const order = (): number[] => {
    const list: number[] = [];
    for (let vp = mp.queueHead; vp !== undefined; vp = vp.mqNext) list.push(vp === mp.syncer ? -1 : vp.ino);
    return list;
  };
  const inOrder = order().filter((ino) => ino > 0);
  const seen: number[] = [];
  vmntvnodescan(mp, 0, undefined, (_mp, vp) => {
    seen.push(vp.ino);
    vnlru.vnlruProc(); // all are in use: the hand moves on by some places each time, round and round
    return 0;
  });
  t.strictSame(seen, inOrder, 'each once');
  t.strictSame(
    order().filter((ino) => ino > 0),
    inOrder,
    'only the syncer vnode has moved',
  );
  t.ok(vnlru.examined > 60, 'more than twice round');
  t.equal(mp.queueSize, 30);
  // A new vnode is inserted just before the hand: looked at last.
  for (const vp of vnodes) cache.vrele(vp);
  vnlru.vnlruProc();
  const last = idleVnode(mp, 100);
  t.equal(last.mqNext, mp.syncer);
  t.end();
});

void t.test('vlrureclaim: a vnode with very many names or pages goes by steps', (t) => {
  const cache = new VnodeCache(new BufCache(PagePool.ofPages(10_000)), new NameCache(100_000), 20);
  cache.vfsconf.vfsconfAdd('test');
  const vnlru = new Vnlru(cache, () => 0);
  const mp = newMount(cache, 'a');
  const dvp = idleVnode(mp, 1);
  for (let i = 0; i < 9000; i++) cache.names.enter(dvp, byteName(`n${i}`), asIno(i + 10), 8, i);
  const vp = idleVnode(mp, 2);
  givePages(cache, vp, 9000);
  const used = Array.from({ length: 17 }, (_, i) => newVnode(mp, i + 100));
  const sizes: number[][] = [];
  while (mp.table.has(1) || mp.table.has(2)) {
    vnlru.vnlruProc();
    sizes.push([dvp.names?.size ?? 0, vp.residentPages]);
    if (sizes.length > 10_000) throw new Error('never ends');
  }
  const largestStep = (of: number): number =>
    Math.max(...sizes.map((size, i) => (i === 0 ? 9000 : sizes[i - 1][of]) - size[of]));
  t.equal(largestStep(0), 4096);
  t.equal(largestStep(1), 4096);
  t.strictSame([cache.names.size, cache.bufs.pool.resident, mp.queueSize], [0, 0, used.length]);
  t.end();
});

void t.test('vnlru_proc: above nine tenths of the budget, down to eight; oldest ages first', (t) => {
  const { cache, mp, vnlru } = recycler(1000, 4096);
  // Every third was opened once, every fifth often.
  for (let ino = 1; ino <= 899; ino++) {
    const vp = idleVnode(mp, ino);
    if (ino % 3 === 0) cache.age(vp);
    if (ino % 5 === 0) for (let i = 0; i < 3; i++) cache.age(vp);
  }
  t.notOk(vnlru.wanted, '900 with the syncer vnode');
  t.equal(vnlru.deadlineMs, Infinity);
  t.equal(vnlru.vnlruProc(), 0);
  idleVnode(mp, 900);
  t.ok(vnlru.wanted);
  t.ok(vnlru.deadlineMs <= 0, 'at once');
  const before = inos(mp).filter((ino) => ino % 3 === 0 || ino % 5 === 0).length;
  while (vnlru.wanted) vnlru.vnlruProc();
  while (cache.count > 800) {
    idleVnode(mp, 10_000 + cache.allocations);
    if (!vnlru.wanted) break;
  }
  t.equal(
    inos(mp).filter((ino) => ino < 1000 && (ino % 3 === 0 || ino % 5 === 0)).length,
    before,
    'no opened one went',
  );
  t.strictSame(vnlru.reclaimsByPass.slice(1), [0, 0, 0]);
  t.ok(vnlru.reclaimsByPass[0] > 0);
  t.end();
});

void t.test('vnlru_proc: later passes take what earlier ones spared, and only then', (t) => {
  const { cache, mp, vnlru } = recycler(100);
  for (let ino = 1; ino <= 96; ino++) {
    const vp = idleVnode(mp, ino);
    for (let opens = ino <= 48 ? 1 : 3; opens > 0; opens--) cache.age(vp);
  }
  const often = (): number => inos(mp).filter((ino) => ino > 48).length;
  slicesUntilIdle(vnlru);
  t.equal(often(), 48, 'opened once: pass 1 was enough');
  t.equal(vnlru.reclaimsByPass[0], 0);
  t.ok(vnlru.reclaimsByPass[1] > 0);
  for (const vp of [...mp.table.values()]) if (vp.ino <= 48) cache.vgone(vp);
  for (let ino = 200; cache.count < 96; ino++) {
    const vp = idleVnode(mp, ino);
    for (let opens = 3; opens > 0; opens--) cache.age(vp);
  }
  slicesUntilIdle(vnlru);
  t.ok(vnlru.reclaimsByPass[3] > 0, 'all opened often: pass 3');
  t.equal(vnlru.nowhereTotal, 0);
  t.end();
});

void t.test('vnlru_proc: a new trigger begins with pass 0, whatever pass the last one ended in', (t) => {
  const { cache, mp, vnlru } = recycler(100);
  const addOften = (ino: number): void => {
    const vp = idleVnode(mp, ino);
    for (let opens = 3; opens > 0; opens--) cache.age(vp);
  };
  for (let ino = 1; ino <= 90; ino++) addOften(ino);
  slicesUntilIdle(vnlru);
  const late = vnlru.reclaimsByPass[3];
  t.ok(late > 0);
  // Now a walk: what is used once goes, and no more of the others.
  const often = mp.table.size;
  for (let ino = 1000; ino < 3000; ino++) {
    idleVnode(mp, ino);
    vnlru.vnlruProc();
  }
  t.equal(vnlru.reclaimsByPass[3], late);
  t.equal(inos(mp).filter((ino) => ino < 1000).length, often);
  t.end();
});

void t.test('vnlru_proc: rounds that get nowhere rest, and raise the trigger of resident pages', (t) => {
  const { cache, mp, vnlru, clock } = recycler(20, 200);
  const vnodes = Array.from({ length: 19 }, (_, i) => newVnode(mp, i + 1));
  const first = vnlru.trigger;
  t.equal(first, 20, 'twice its share of all pages: 200 * 2 / 20');
  for (let i = 0; i < 200 && vnlru.nowhere === 0; i++) vnlru.vnlruProc();
  t.equal(vnlru.nowhere, 1);
  t.equal(vnlru.trigger, 30);
  const { slices } = vnlru;
  t.equal(vnlru.vnlruProc(), 0);
  t.equal(vnlru.slices, slices, 'rests now');
  t.ok(vnlru.deadlineMs > clock.monotonicMs() && vnlru.deadlineMs < Infinity, 'and comes back by itself');
  for (let i = 0; i < 200 && vnlru.nowhere < 3; i++) {
    clock.advanceMs(1000);
    vnlru.vnlruProc();
  }
  t.strictSame([vnlru.nowhere, vnlru.nowhereTotal, vnlru.trigger], [3, 3, 50]);
  // What had too many pages for a quiet recycler goes in the first pass of a pressed one.
  givePages(cache, vnodes[0], 45);
  cache.vrele(vnodes[0]);
  clock.advanceMs(1000);
  for (let i = 0; i < 30 && mp.table.has(1); i++) vnlru.vnlruProc();
  t.notOk(mp.table.has(1));
  t.equal(vnlru.reclaimsByPass[0], 1, 'in pass 0');
  for (const vp of vnodes.slice(1)) cache.vrele(vp);
  slicesUntilIdle(vnlru);
  idleVnode(mp, 50);
  for (let ino = 51; !vnlru.wanted; ino++) idleVnode(mp, ino);
  slicesUntilIdle(vnlru);
  t.equal(vnlru.nowhere, 0, 'success calms it');
  t.equal(vnlru.trigger, first);
  t.equal(vnlru.nowhereTotal, 3);
  t.end();
});

void t.test('vnlru_proc skips a mount that is being unmounted, and holds the others busy', (t) => {
  const { cache, mp, vnlru } = recycler(46);
  const other = newMount(cache, 'b');
  for (let ino = 1; ino <= 20; ino++) {
    idleVnode(mp, ino);
    idleVnode(other, ino);
  }
  cache.mountlist.mountlistInterlock(unmountBegin, mp);
  let busy = -1;
  other.ops.reclaim = () => void (busy = other.busyCount);
  vnlru.vnlruProc();
  t.strictSame([mp.table.size, other.table.size], [20, 17]);
  t.equal(busy, 1, 'busied by the scan');
  t.equal(other.busyCount, 0);
  vfsBusy(other, 0);
  vnlru.vnlruProc();
  t.equal(other.busyCount, 1, 'shared');
  vfsUnbusy(other);
  t.end();
});

void t.test(
  'vnlru_proc_wait: an allocation that finds the budget used up makes room, or goes on without',
  (t) => {
    const { cache, mp, vnlru } = recycler(50);
    for (let ino = 1; ino <= 500; ino++) idleVnode(mp, ino);
    t.ok(cache.count <= 50, `${cache.count} of 50 after 500 allocations`);
    t.ok(vnlru.waits > 0);
    const held: Vnode[] = [];
    for (let ino = 1001; ino <= 1100; ino++) held.push(newVnode(mp, ino));
    t.ok(cache.count > 100, 'all in use: it allocates all the same');
    t.ok(vnlru.nowhereTotal > 0);
    const { slices } = vnlru;
    for (const vp of held) cache.vrele(vp);
    newVnode(mp, 2000);
    t.equal(vnlru.slices, slices, 'while the recycler rests, nobody waits for it');
    t.end();
  },
);
