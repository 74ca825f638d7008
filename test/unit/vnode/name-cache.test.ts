/** The name cache: positive and negative names, its bound, what rename and removal leave behind. */
import t from 'tap';
import { asIno, byteName, ROOT_INO, type ByteName, type Ino } from '../../../src/base/ids.js';
import { Errno, FsError } from '../../../src/base/errno.js';
import { NameCache } from '../../../src/vnode/name-cache.js';
import { createTestCore, type InProcessCore } from '../../harness/test-core.js';
import { idleVnode, newCache, newMount } from './fixture.js';

const caller = { uid: 0, gid: 0, pid: 1 };
const n = byteName;

void t.test('name cache: at most max clean names, the longest unused go first', (t) => {
  const cache = newCache();
  const names = new NameCache(3);
  const dvp = idleVnode(newMount(cache, 'a'), 1);
  for (const name of ['a', 'b', 'c']) names.enter(dvp, n(name), asIno(7), 8, 3);
  t.ok(names.lookup(dvp, n('a')));
  dvp.namesComplete = true;
  names.enter(dvp, n('d'), asIno(0), 0, 0);
  t.strictSame([...(dvp.names?.keys() ?? [])], [n('a'), n('c'), n('d')]);
  t.notOk(dvp.namesComplete, 'a name that exists has gone');
  t.match(names, { size: 3, clean: 3, evictions: 1, hits: 1, negativeHits: 0 });
  t.equal(names.lookup(dvp, n('d'))?.ino, 0);
  t.equal(names.lookup(dvp, n('b')), undefined);
  t.match(names, { negativeHits: 1, misses: 1 });
  t.end();
});

void t.test('name cache: a negative name that goes leaves a complete directory complete', (t) => {
  const names = new NameCache(1);
  const dvp = idleVnode(newMount(newCache(), 'a'), 1);
  dvp.namesComplete = true;
  names.enter(dvp, n('no'), asIno(0), 0, 0);
  names.enter(dvp, n('neither'), asIno(0), 0, 0);
  t.equal(names.evictions, 1);
  t.ok(dvp.namesComplete);
  t.end();
});

void t.test(
  'name cache: names on their way to the store stay, and are bounded again when they are there',
  (t) => {
    const names = new NameCache(2);
    const dvp = idleVnode(newMount(newCache(), 'a'), 1);
    const dirty = ['a', 'b', 'c', 'd'].map((name) => names.insert(dvp, n(name), asIno(5), 8, 3, false));
    t.match(names, { size: 4, clean: 0 });
    for (const entry of dirty) names.unpin(entry);
    t.match(names, { size: 2, clean: 2 });
    names.pin(dirty[3]);
    names.purge(dvp);
    t.match(names, { size: 0, clean: 0 });
    t.equal(dvp.names, undefined);
    t.end();
  },
);

const inoOf = (core: InProcessCore, parent: Ino, name: ByteName): Ino => {
  const vp = core.vfs.lookup(caller, parent, name);
  core.vfs.vrele(vp);
  return vp.ino;
};

const missing = new FsError(Errno.ENOENT);

void t.test('name cache: a rename moves the name, whatever was cached about both ends', (t) => {
  const core = createTestCore();
  const { vfs } = core;
  const dir = (name: string): Ino => {
    const vp = vfs.mkdir(caller, ROOT_INO, n(name), 0o755, 0);
    vfs.vrele(vp);
    return vp.ino;
  };
  const [from, to] = [dir('from'), dir('to')];
  const file = vfs.mknod(caller, from, n('x'), 0o100644, 0, 0);
  vfs.vrele(file);
  t.throws(() => inoOf(core, to, n('y')), missing, 'a negative name, cached');
  for (const settled of [false, true]) {
    if (settled) core.sync();
    vfs.rename(caller, from, n('x'), to, n('y'), 0);
    t.equal(inoOf(core, to, n('y')), file.ino);
    t.throws(() => inoOf(core, from, n('x')), missing);
    core.check();
    vfs.rename(caller, to, n('y'), from, n('x'), 0);
    t.equal(inoOf(core, from, n('x')), file.ino);
    t.throws(() => inoOf(core, to, n('y')), missing);
  }
  core.sync();
  core.check();
  // EXCHANGE of two cached names.
  const other = vfs.mknod(caller, to, n('y'), 0o100644, 0, 0);
  vfs.vrele(other);
  vfs.rename(caller, from, n('x'), to, n('y'), 2);
  t.strictSame([inoOf(core, from, n('x')), inoOf(core, to, n('y'))], [other.ino, file.ino]);
  core.close();
  t.end();
});

void t.test('name cache: many more names than its bound, looked up, listed and missed', (t) => {
  const core = createTestCore({ vnodesMax: 32, pages: 64 });
  const { names } = core.core.vnodes;
  const { vfs } = core;
  t.equal(names.max, 64);
  for (let i = 0; i < 600; i++) {
    vfs.vrele(vfs.mknod(caller, ROOT_INO, n(`f${i}`), 0o100644, 0, 0));
    core.advance();
    if (i % 50 === 0) core.sync();
  }
  core.sync();
  for (let i = 0; i < 600; i++) {
    inoOf(core, ROOT_INO, n(`f${i}`));
    t.throws(() => inoOf(core, ROOT_INO, n(`g${i}`)), missing);
    core.advance();
    if (names.clean > names.max) t.fail(`${names.clean} clean names`);
  }
  t.ok(names.evictions > 900, `${names.evictions} evictions`);
  t.ok(names.size <= names.max, `${names.size} names`);
  t.ok(core.core.vnodes.count <= 32, `${core.core.vnodes.count} vnodes: no name kept one`);
  core.close();
  t.end();
});
