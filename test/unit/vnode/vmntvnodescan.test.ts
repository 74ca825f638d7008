/** vmntvnodescan (sys/kern/vfs_mount.c): functions, flags, what it tolerates meanwhile, and its yields. */
import t from 'tap';
import type { Mount } from '../../../src/vnode/mount.js';
import {
  SCAN_YIELD_VNODES,
  VMSC_GETVP,
  VMSC_GETVX,
  VMSC_NOWAIT,
  VMSC_ONEPASS,
  insmntque,
  vmntvnodescan,
  vmntvnodescanSlices,
} from '../../../src/vnode/mount-queue.js';
import type { VnodeCache } from '../../../src/vnode/vnode-cache.js';
import { VFlag, VType, type Vnode } from '../../../src/vnode/vnode.js';
import { idleVnode, newCache, newMount } from './fixture.js';

const filled = (count: number): { cache: VnodeCache; mp: Mount; vnodes: Vnode[] } => {
  const cache = newCache(1_000_000);
  const mp = newMount(cache, 'a');
  return { cache, mp, vnodes: Array.from({ length: count }, (_, i) => idleVnode(mp, i + 1)) };
};

void t.test(
  'vmntvnodescan: the fast function skips (< 0), goes on to the slow one (0), or ends (> 0)',
  (t) => {
    const { mp } = filled(6);
    const slow: number[] = [];
    const result = vmntvnodescan(
      mp,
      0,
      (_mp, { ino }) => (ino === 5 ? 77 : ino % 2 === 0 ? -1 : 0),
      (_mp, { ino }) => slow.push(ino) - slow.length,
    );
    t.equal(result, 77);
    t.strictSame(slow, [1, 3]);
    t.equal(
      vmntvnodescan(mp, 0, undefined, (_mp, { ino }) => (ino === 4 ? -9 : 0)),
      -9,
      'any value but 0 of the slow function ends it',
    );
    t.equal(
      vmntvnodescan(mp, 0, () => -1, undefined),
      0,
    );
    t.throws(() =>
      vmntvnodescan(mp, 0, undefined, () => {
        throw new Error('slow');
      }),
    );
    t.equal(mp.scans.size, 0, 'ended, whichever way');
    t.end();
  },
);

void t.test('vmntvnodescan: GETVP references, GETVX locks too, without either nothing is taken', (t) => {
  const { mp } = filled(1);
  for (const [flags, useCount, locked] of [
    [0, 0, 0],
    [VMSC_GETVP, 1, 0],
    [VMSC_GETVP | VMSC_NOWAIT, 1, 0],
    [VMSC_GETVX, 1, VFlag.VXLOCK],
  ] as const) {
    const fast = (_mp: Mount, vp: Vnode): number => {
      t.strictSame([vp.useCount, vp.flag & VFlag.VXLOCK], [0, 0], 'not for the fast function');
      return 0;
    };
    const slow = (_mp: Mount, vp: Vnode): number => {
      t.strictSame([vp.useCount, vp.flag & VFlag.VXLOCK], [useCount, locked], `flags ${flags}`);
      return 0;
    };
    vmntvnodescan(mp, flags, fast, slow);
    const vp = mp.table.get(1);
    t.match(vp, { useCount: 0 }, 'given back');
    t.equal(Number(vp?.flag) & VFlag.VXLOCK, 0, 'unlocked');
  }
  t.end();
});

void t.test('vmntvnodescan: a locked vnode is skipped, with NOWAIT even under GETVX', (t) => {
  const { cache, mp, vnodes } = filled(3);
  cache.vxGet(vnodes[1]);
  const seen: number[] = [];
  const see = (_mp: Mount, { ino }: Vnode): number => seen.push(ino) - seen.length;
  vmntvnodescan(mp, VMSC_GETVX | VMSC_NOWAIT, undefined, see);
  vmntvnodescan(mp, VMSC_GETVP | VMSC_NOWAIT, undefined, see);
  t.strictSame(seen, [1, 3, 1, 3]);
  t.throws(() => vmntvnodescan(mp, VMSC_GETVX, undefined, see), /VX recursion/, 'to wait would be for ever');
  cache.vxPut(vnodes[1]);
  t.end();
});

void t.test('vmntvnodescan: the current vnode is removed by either function, or moved', (t) => {
  for (const flags of [0, VMSC_GETVX]) {
    const { cache, mp } = filled(4);
    const other = newMount(cache, 'b');
    const seen: string[] = [];
    vmntvnodescan(
      mp,
      flags,
      (_mp, vp) => {
        seen.push(`f${vp.ino}`);
        if (vp.ino === 1) cache.vgone(vp);
        return 0;
      },
      (_mp, vp) => {
        seen.push(`s${vp.ino}`);
        if (vp.ino === 2) cache.vgone(vp);
        if (vp.ino === 3) insmntque(vp, other);
        return 0;
      },
    );
    // The slow function isn't called for what the fast one ripped out.
    t.equal(seen.join(' '), 'f1 f2 s2 f3 s3 f4 s4');
    t.equal(mp.queueSize, 1);
    t.equal(other.queueSize, 1);
  }
  t.end();
});

void t.test('vmntvnodescan: others are removed, before and after the current one', (t) => {
  for (const victim of [1, 2, 3, 4, 5]) {
    const { cache, mp, vnodes } = filled(5);
    const seen: number[] = [];
    vmntvnodescan(mp, VMSC_GETVP, undefined, (_mp, vp) => {
      seen.push(vp.ino);
      if (vp.ino === 3 && victim !== 3) cache.vgone(vnodes[victim - 1]);
      return 0;
    });
    t.strictSame(
      seen,
      [1, 2, 3, 4, 5].filter((ino) => ino !== victim || victim <= 3),
      `${victim} removed at 3`,
    );
  }
  t.end();
});

void t.test('vmntvnodescan: ONEPASS ends under constant insertion, after twice as many vnodes', (t) => {
  const { mp } = filled(50);
  let visits = 0;
  const insert = (): number => {
    idleVnode(mp, 1000 + visits);
    return ++visits > 10_000 ? 1 : 0;
  };
  t.equal(vmntvnodescan(mp, VMSC_ONEPASS, insert, undefined), 0, 'by itself');
  t.ok(visits >= 50 && visits <= 102, `${visits} visits for 50 vnodes`);
  visits = 20_000;
  t.equal(vmntvnodescan(mp, 0, insert, undefined), 1, 'without it, on and on');
  t.end();
});

void t.test('vmntvnodescan yields every 10,000 vnodes; what happens meanwhile does not disturb it', (t) => {
  const count = 2 * SCAN_YIELD_VNODES + 50;
  const { cache, mp, vnodes } = filled(count);
  const seen = new Set<number>();
  const slices = vmntvnodescanSlices(mp, 0, undefined, (_mp, { ino }) => {
    if (seen.has(ino)) return 1;
    seen.add(ino);
    return 0;
  });
  t.equal(slices.next().done, false);
  t.equal(seen.size, SCAN_YIELD_VNODES);
  // The one that it stands on goes, with its neighbours; a new one comes.
  for (let i = SCAN_YIELD_VNODES - 2; i < SCAN_YIELD_VNODES + 8; i++) cache.vgone(vnodes[i]);
  idleVnode(mp, count + 1);
  t.equal(slices.next().done, false);
  t.strictSame(slices.next(), { done: true, value: 0 });
  t.equal(seen.size, count + 1 - 8);
  const given = vmntvnodescanSlices(mp, 0, undefined, () => 0);
  given.next();
  t.equal(mp.scans.size, 1, 'its place is kept');
  given.return(0);
  t.equal(mp.scans.size, 0, 'until it is given up');
  t.equal(
    vmntvnodescan(mp, 0, (_mp, vp) => (vp.ino === count + 1 ? 4 : 0), undefined),
    4,
    'at one go',
  );
  t.end();
});

void t.test('vmntvnodescan passes the syncer vnode over, wherever the recycler has put it', (t) => {
  const { mp } = filled(5);
  t.equal(mp.syncer?.type, VType.VNON);
  let visits = 0;
  vmntvnodescan(mp, VMSC_GETVX, undefined, (_mp, vp) => {
    visits++;
    return vp.flag & VFlag.VSYSTEM;
  });
  t.equal(visits, 5);
  t.end();
});
