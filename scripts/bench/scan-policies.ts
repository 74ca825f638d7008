/**
 * A hot set, a scan of files that are used once, the hot set again: how much of it is still in memory, with the
 * recycler and the page cache as they are, and with a plain LRU of the same size, which exists for this comparison
 * only.
 */
import { byteName, ROOT_INO, type Fh, type Ino } from '../../src/base/ids.js';
import { PAGE_BYTES } from '../../src/store/types.js';
import { InProcessCore } from '../../test/harness/test-core.js';

export interface ScanPlan {
  /** Files of the hot set, and how often each is opened and read before the scan. */
  hot: number;
  opens: number;
  /** Files opened and read once. */
  scan: number;
  /** Budgets. Every file has one page. */
  vnodes: number;
  pages: number;
}

/** Shares of the hot set found in memory when it is used again. */
export interface HitRatios {
  vnodes: number;
  pages: number;
}

/** The least recently used goes first, and nothing else counts. */
export class PlainLru {
  readonly #keys = new Set<number>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether the key was there; it is now, and the last to go. */
  use(key: number): boolean {
    const hit = this.#keys.delete(key);
    this.#keys.add(key);
    if (this.#keys.size > this.#max) for (const oldest of this.#keys) return this.#keys.delete(oldest) && hit;
    return hit;
  }
}

const caller = { uid: 0, gid: 0, pid: 1 };
const FILES_PER_DIRECTORY = 1000;
const nothing = { pool: () => undefined, bytes: () => undefined, zeros: () => undefined };

class Tree {
  readonly core: InProcessCore;
  readonly #dirs: Ino[] = [];

  constructor(plan: ScanPlan) {
    this.core = new InProcessCore({ vnodesMax: plan.vnodes, pages: plan.pages, noatime: true });
    for (let i = 0; i < plan.hot + plan.scan; i++) this.#make(i);
    this.core.sync();
  }

  #make(i: number): void {
    const { core } = this;
    const { vfs } = core;
    if (i % FILES_PER_DIRECTORY === 0) {
      const vp = vfs.mkdir(caller, ROOT_INO, byteName(`d${this.#dirs.length}`), 0o755, 0);
      this.#dirs.push(vp.ino);
      vfs.vrele(vp);
    }
    const { vp, open } = vfs.create(caller, this.#dirOf(i), byteName(`f${i}`), 0o644, 2, 0);
    vfs.vrele(vp);
    const data = Buffer.alloc(PAGE_BYTES, i);
    vfs.write(caller, vp.ino, open.fh, 0, data, { fromCache: false, killSuidgid: false });
    vfs.release(open.fh);
    if (i % 8 === 7) core.sync(); // before anything has to wait
    core.advance();
  }

  #dirOf(i: number): Ino {
    return this.#dirs[Math.floor(i / FILES_PER_DIRECTORY)];
  }

  /** Opens, reads and closes file `i`; says what of it had been in memory. */
  use(i: number): { ino: Ino; vnode: boolean; page: boolean } {
    const { vfs, core } = this.core;
    const { vnodes } = core;
    const before = [vnodes.misses, vnodes.bufs.misses];
    const directory = vfs.lookup(caller, ROOT_INO, byteName(`d${Math.floor(i / FILES_PER_DIRECTORY)}`));
    const ofDirectory = vnodes.misses - before[0];
    const vp = vfs.lookup(caller, directory.ino, byteName(`f${i}`));
    vfs.vrele(directory);
    const vnode = vnodes.misses - before[0] === ofDirectory;
    const { ino } = vp;
    const { fh }: { fh: Fh } = vfs.open(caller, ino, 0);
    vfs.vrele(vp);
    const length = vfs.read(ino, fh, 0, PAGE_BYTES, nothing);
    if (length !== PAGE_BYTES) throw new Error(`file ${i}: read ${length} bytes`);
    vfs.release(fh);
    core.poll();
    return { ino, vnode, page: vnodes.bufs.misses === before[1] };
  }
}

/** Runs `plan` on a core in process, and feeds two plain LRUs with the same uses. */
export const compareScan = (plan: ScanPlan): { ours: HitRatios; plainLru: HitRatios } => {
  const tree = new Tree(plan);
  const lru = { vnodes: new PlainLru(plan.vnodes), pages: new PlainLru(plan.pages) };
  const ours = { vnodes: 0, pages: 0 };
  const plain = { vnodes: 0, pages: 0 };
  const use = (i: number, counts: boolean): void => {
    const { ino, vnode, page } = tree.use(i);
    const [lruVnode, lruPage] = [lru.vnodes.use(ino), lru.pages.use(ino)];
    if (!counts) return;
    ours.vnodes += Number(vnode);
    ours.pages += Number(page);
    plain.vnodes += Number(lruVnode);
    plain.pages += Number(lruPage);
  };
  for (let round = 0; round < plan.opens; round++) for (let i = 0; i < plan.hot; i++) use(i, false);
  for (let i = 0; i < plan.scan; i++) use(plan.hot + i, false);
  for (let i = 0; i < plan.hot; i++) use(i, true);
  tree.core.close();
  const share = ({ vnodes, pages }: HitRatios): HitRatios => ({
    vnodes: vnodes / plan.hot,
    pages: pages / plan.hot,
  });
  return { ours: share(ours), plainLru: share(plain) };
};
