/** Names and inodes that were read ahead show nothing but what a read at that moment would have shown. */
import t, { type Test } from 'tap';
import { FsError } from '../../../src/base/errno.js';
import { asIno, byteName, type Ino, ROOT_INO } from '../../../src/base/ids.js';
import { Prng } from '../../../src/base/prng.js';
import { LookAhead } from '../../../src/store/look-ahead.js';
import { openReader } from '../../../src/store/reader.js';
import { createTestCore, type InProcessCore } from '../../harness/test-core.js';

const CALLER = { uid: 0, gid: 0, pid: 1 };
const FILES = 300;
const nameOf = (i: number) => byteName(`f-${String(i).padStart(4, '0')}`);

/** Mode by name; what isn't there isn't in it. */
type Model = Map<string, number>;

const make = (core: InProcessCore, model: Model, i: number): void => {
  const { vp, open } = core.patiently(() => core.vfs.create(CALLER, ROOT_INO, nameOf(i), 0o600, 2, 0));
  core.vfs.vrele(vp);
  core.vfs.release(open.fh);
  model.set(nameOf(i), 0o600);
};

const modeOf = (core: InProcessCore, i: number): number | undefined => {
  try {
    const vp = core.vfs.lookup(CALLER, ROOT_INO, nameOf(i));
    const mode = vp.mode & 0o7777;
    core.vfs.vrele(vp);
    return mode;
  } catch (error) {
    if (error instanceof FsError) return undefined;
    throw error;
  }
};

const inoOf = (core: InProcessCore, i: number): Ino => {
  const vp = core.vfs.lookup(CALLER, ROOT_INO, nameOf(i));
  core.vfs.vrele(vp);
  return vp.ino;
};

const agrees = (t: Test, core: InProcessCore, model: Model, from = 0, to = FILES + 20): void => {
  for (let i = from; i < to; i++) {
    const mode = modeOf(core, i);
    if (mode === model.get(nameOf(i))) continue;
    t.fail(`${nameOf(i)}: ${mode}, not ${model.get(nameOf(i))}`);
    return;
  }
  t.pass('agrees');
};

await t.test('lookups in order, before and after commits that change what lies ahead', (t) => {
  const core = createTestCore({ vnodesMax: 40, pages: 64 });
  const model: Model = new Map();
  for (let i = 0; i < FILES; i += 2) make(core, model, i);
  core.sync();
  core.recycleAll();
  agrees(t, core, model);
  core.recycleAll();
  agrees(t, core, model, 0, 60);
  // What follows has been read ahead by now.
  const vp = core.vfs.setattr(CALLER, inoOf(core, 80), undefined, { mode: 0o755 });
  core.vfs.vrele(vp);
  model.set(nameOf(80), 0o755);
  core.vfs.unlink(CALLER, ROOT_INO, nameOf(82));
  model.delete(nameOf(82));
  make(core, model, 83);
  agrees(t, core, model, 60, 70);
  core.sync();
  core.recycleAll();
  agrees(t, core, model, 70);
  core.close();
  t.end();
});

await t.test('at random', (t) => {
  const core = createTestCore({ vnodesMax: 40, pages: 64, churn: 5 });
  const model: Model = new Map();
  const random = new Prng(4);
  for (let i = 0; i < FILES; i += 3) make(core, model, i);
  for (let round = 0; round < 40; round++) {
    for (let n = random.int(12); n > 0; n--) {
      const i = random.int(FILES);
      if (!model.has(nameOf(i))) make(core, model, i);
      else if (random.int(2) === 0) {
        core.patiently(() => core.vfs.unlink(CALLER, ROOT_INO, nameOf(i)));
        model.delete(nameOf(i));
      } else {
        const mode = random.int(0o1000);
        const ino = inoOf(core, i);
        core.vfs.vrele(core.patiently(() => core.vfs.setattr(CALLER, ino, undefined, { mode })));
        model.set(nameOf(i), mode);
      }
    }
    const from = random.int(FILES);
    agrees(t, core, model, from, Math.min(FILES + 20, from + random.int(150)));
  }
  core.close();
  t.end();
});

await t.test('one statement for many names', (t) => {
  const core = createTestCore();
  const model: Model = new Map();
  for (let i = 0; i < FILES; i++) make(core, model, i);
  core.sync();
  const reader = openReader(core.store);
  for (let i = 0; i < 5; i++) t.ok(reader.lookupDirent(ROOT_INO, nameOf(i)));
  core.vfs.unlink(CALLER, ROOT_INO, nameOf(7));
  core.sync();
  t.ok(reader.lookupDirent(ROOT_INO, nameOf(7)), 'until it hears of the commit');
  reader.onCommit();
  t.equal(reader.lookupDirent(ROOT_INO, nameOf(7)), undefined);
  reader.close();
  core.close();
  t.end();
});

await t.test('the range that is known', (t) => {
  const ahead = new LookAhead();
  const [dir, other] = [asIno(5), asIno(6)];
  const name = byteName;
  t.notOk(ahead.knows(dir, name('a')));
  t.equal(ahead.wanted(dir, name('a')), 0, 'the first alone');
  const wanted = ahead.wanted(dir, name('b'));
  t.ok(wanted > 0, 'the second brings more');
  ahead.keepNames(dir, name('b'), [{ name: name('c'), ino: asIno(9), type: 8, cookie: 3 }], false);
  t.ok(ahead.knows(dir, name('bb')));
  t.equal(ahead.dirent(dir, name('bb')), undefined);
  t.equal(ahead.dirent(dir, name('c'))?.ino, 9);
  t.notOk(ahead.knows(dir, name('d')), 'past the last');
  t.notOk(ahead.knows(dir, name('aa')), 'before the first');
  t.notOk(ahead.knows(other, name('c')));
  t.equal(ahead.wanted(other, name('m')), 0, 'another directory meanwhile');
  t.ok(ahead.wanted(dir, name('d')) > wanted, 'more and more');
  t.ok(ahead.wanted(other, name('n')) > 0, 'each by itself');
  ahead.keepNames(dir, name('d'), [], true);
  t.ok(ahead.knows(dir, name('zzz')), 'to the end');
  ahead.forget();
  t.notOk(ahead.knows(dir, name('zzz')));
  t.equal(ahead.wanted(other, name('a')), 0, 'backwards');
  for (let i = 100; i < 200; i++) ahead.wanted(asIno(i), name('a'));
  t.equal(ahead.wanted(dir, name('zzzz')), 0, 'so many others have come that this one is forgotten');
  ahead.turnOff();
  t.equal(ahead.wanted(other, name('b')), 0);
  t.end();
});
