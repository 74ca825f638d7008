/** The bound on extended attributes and symlink targets kept with vnodes. */
import t from 'tap';
import { byteName } from '../../../src/base/ids.js';
import { ValueCache, valueBytes } from '../../../src/vnode/value-cache.js';
import type { Vnode } from '../../../src/vnode/vnode.js';
import { idleVnode, newCache, newMount } from './fixture.js';

const withValue = (vp: Vnode, bytes: number): Vnode => {
  vp.xattrs = new Map([[byteName('user.x'), new Uint8Array(bytes)]]);
  return vp;
};

void t.test('value cache: the longest unused go first, what the store lacks and what is in use stay', (t) => {
  const mp = newMount(newCache(), 'a');
  const values = new ValueCache(5000);
  const vnodes = [1, 2, 3, 4].map((ino) => withValue(idleVnode(mp, ino), 1000));
  for (const vp of vnodes) values.touch(vp);
  t.equal(
    values.bytes,
    vnodes.reduce((sum, vp) => sum + valueBytes(vp), 0),
  );
  vnodes[0].valuesTxg = 1;
  values.touch(vnodes[1]); // used again
  const big = idleVnode(mp, 5);
  big.linkTarget = new Uint8Array(2500);
  values.touch(big);
  t.ok(vnodes[0].xattrs, 'not in the store yet');
  t.equal(vnodes[2].xattrs, undefined);
  t.equal(vnodes[3].xattrs, undefined);
  t.ok(vnodes[1].xattrs, 'used last');
  t.ok(values.bytes <= 5000);
  t.equal(values.evictions, 2);
  const huge = withValue(idleVnode(mp, 6), 9000);
  values.touch(huge);
  t.ok(huge.xattrs, 'in use: it stays till the next call');
  values.touch(withValue(idleVnode(mp, 7), 10));
  t.equal(huge.xattrs, undefined);
  t.end();
});

void t.test('value cache: forgets; a value that shrinks to nothing is not listed', (t) => {
  const mp = newMount(newCache(), 'a');
  const values = new ValueCache(1000);
  const vp = withValue(idleVnode(mp, 1), 100);
  values.touch(vp);
  vp.xattrs = new Map();
  values.touch(vp);
  t.equal(values.bytes, 0);
  values.forget(vp);
  t.equal(values.bytes, 0);
  t.end();
});

void t.test('value cache: many that must stay cost a call no more than a few looks', (t) => {
  const mp = newMount(newCache(100_000), 'a');
  const values = new ValueCache(100);
  const held = Array.from({ length: 20_000 }, (_, i) => withValue(idleVnode(mp, i + 1), 10));
  for (const vp of held) vp.valuesTxg = 1;
  for (const vp of held) values.touch(vp);
  t.equal(values.evictions, 0);
  for (const vp of held) vp.valuesTxg = 0;
  for (let i = 0; i < 1000; i++) values.touch(held[0]);
  t.ok(values.evictions > 19_000, 'and go when the store has them');
  t.end();
});
