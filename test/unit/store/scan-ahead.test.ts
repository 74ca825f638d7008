/** A listing that goes on from rows that were read before it asked shows nothing but what is there at that moment. */
import t from 'tap';
import { asIno, byteName, type ByteName, type Ino, ROOT_INO } from '../../../src/base/ids.js';
import { Prng } from '../../../src/base/prng.js';
import { ScanAhead } from '../../../src/store/scan-ahead.js';
import type { DirentRecord } from '../../../src/store/types.js';
import { createTestCore, type InProcessCore } from '../../harness/test-core.js';

const CALLER = { uid: 0, gid: 0, pid: 1 };
/** More than are read at once, and ahead. */
const FILES = 4000;
const STEPS = 400;

/** Directories and what is in them, in the order in which it was made: a listing's. */
class Tree {
  readonly core: InProcessCore = createTestCore();
  readonly directories: { ino: Ino; names: Map<ByteName, number> }[] = [];
  #made = 0;

  mkdir(name: string): void {
    const vp = this.core.vfs.mkdir(CALLER, ROOT_INO, byteName(name), 0o755, 0);
    this.directories.push({ ino: vp.ino, names: new Map() });
    this.core.vfs.vrele(vp);
  }

  make(d: number): void {
    const { ino, names } = this.directories[d];
    const name = byteName(`f-${++this.#made}`);
    this.core.vfs.vrele(this.core.patiently(() => this.core.vfs.mknod(CALLER, ino, name, 0o100600, 0, 0)));
    names.set(name, this.#made);
  }

  remove(d: number, name: ByteName): void {
    const { ino, names } = this.directories[d];
    this.core.patiently(() => this.core.vfs.unlink(CALLER, ino, name));
    names.delete(name);
  }

  /** Gets another name, and so another place. */
  rename(d: number, name: ByteName): void {
    const { ino, names } = this.directories[d];
    const newName = byteName(`f-${++this.#made}`);
    this.core.patiently(() => this.core.vfs.rename(CALLER, ino, name, ino, newName, 0));
    names.delete(name);
    names.set(newName, this.#made);
  }
}

/** One reader of a directory. */
class Listing {
  readonly #tree: Tree;
  readonly #d: number;
  #cookie = 2;
  /** Of the last name that was listed. */
  #made = 0;
  listed = 0;

  constructor(tree: Tree, d: number) {
    this.#tree = tree;
    this.#d = d;
  }

  restart(): void {
    this.#cookie = 2;
    this.#made = 0;
  }

  /** Lists the next `count` names; returns what should have been listed, if it was something else. */
  step(count: number): string | undefined {
    const { ino, names } = this.#tree.directories[this.#d];
    const found: ByteName[] = [];
    let cookie = this.#cookie;
    this.#tree.core.vfs.readdir(CALLER, ino, cookie, (name, _ino, _type, next) => {
      if (found.length === count) return false;
      found.push(name);
      cookie = next;
      return true;
    });
    const expected = [...names.entries()].filter(([, made]) => made > this.#made).slice(0, count);
    this.#cookie = cookie;
    this.#made = expected.at(-1)?.[1] ?? this.#made;
    this.listed += found.length;
    const [got, wanted] = [found.join(), expected.map(([name]) => name).join()];
    return got === wanted ? undefined : `${got.slice(0, 100)} instead of ${wanted.slice(0, 100)}`;
  }
}

for (const seed of [1, 2, 3, 4]) {
  await t.test(`listings, changes and commits at random, seed ${seed}`, (ct) => {
    const random = new Prng(seed);
    const tree = new Tree();
    const { core } = tree;
    tree.mkdir('large');
    tree.mkdir('small');
    for (let i = 0; i < FILES; i++) tree.make(0);
    for (let i = 0; i < 50; i++) tree.make(1);
    core.sync();
    core.recycleAll();
    const listings = [new Listing(tree, 0), new Listing(tree, 0), new Listing(tree, 1)];
    const anyOf = (names: ReadonlyMap<ByteName, number>): ByteName =>
      [...names.keys()][random.int(names.size)];
    let ahead = 0;
    const wrong: string[] = [];
    for (let step = 0; step < STEPS && wrong.length === 0; step++) {
      const d = random.int(8) === 0 ? 1 : 0;
      const { names } = tree.directories[d];
      switch (random.int(12)) {
        case 0:
          tree.make(d);
          break;
        case 1:
          tree.remove(d, anyOf(names));
          break;
        case 2:
          tree.rename(d, anyOf(names));
          break;
        case 3:
          if (random.int(4) === 0) core.sync();
          else core.advance();
          break;
        case 4:
          if (random.int(8) === 0) listings[random.int(3)].restart();
          break;
        default: {
          const listing = listings[random.int(10) === 0 ? 1 + random.int(2) : 0];
          const what = listing.step(1 + random.int(400));
          if (what !== undefined) wrong.push(`step ${step}: ${what}`);
        }
      }
      if (random.int(3) > 0 && core.core.lookAhead()) ahead++;
      if (random.int(60) === 0) listings[0].restart();
    }
    ct.same(wrong, []);
    ct.ok(ahead > 3, 'rows were read ahead');
    ct.ok(listings[0].listed > FILES, 'and listed');
    core.close();
    ct.end();
  });
}

const rows = (from: number, to: number): DirentRecord[] =>
  Array.from({ length: to - from }, (_, i) => ({
    name: byteName(`f-${from + i}`),
    ino: asIno(from + i),
    type: 8,
    cookie: from + i,
  }));
const cookies = (found: readonly DirentRecord[] | undefined): number[] | undefined =>
  found?.map(({ cookie }) => cookie);

await t.test('what is known, and what is wanted', (ct) => {
  const scan = new ScanAhead();
  const [parent, other] = [asIno(5), asIno(6)];
  ct.equal(scan.take(parent, 2, 10), undefined);
  scan.keep({ parent, after: 2 }, rows(3, 13), false);
  ct.equal(scan.wanted(4), undefined, 'a first answer may be the last');
  ct.same(cookies(scan.take(parent, 7, 3)), [8, 9, 10]);
  ct.equal(scan.wanted(2), undefined, 'two are ahead');
  ct.same(scan.wanted(4), { parent, after: 12 });
  scan.add(rows(13, 15), true);
  ct.equal(scan.wanted(100), undefined, 'nothing comes any more');
  ct.same(cookies(scan.take(parent, 10, 10)), [11, 12, 13, 14]);
  ct.equal(scan.take(parent, 5, 10), undefined, 'those are given up');
  ct.same(cookies(scan.take(parent, 14, 10)), []);
  ct.equal(scan.take(other, 14, 10), undefined);
  scan.forget();
  ct.equal(scan.take(parent, 14, 10), undefined);
  ct.equal(scan.wanted(100), undefined);
  ct.end();
});
