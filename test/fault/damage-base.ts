/** Stores to damage: small, with one of everything, in several SQLite page sizes; some with a write-ahead log left beside them. */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Prng } from '../../src/base/prng.js';
import { asIno, byteName, type Ino, ROOT_INO } from '../../src/base/ids.js';
import { createStore } from '../../src/store/mkfs.js';
import type { Attributes } from '../../src/vfs/api.js';
import { InProcessCore } from '../harness/test-core.js';

const CALLER = { uid: 1000, gid: 100, pid: 1 };
const O_RDWR = 2;

/** Makes the stores below `dir` and returns their paths. */
export const makeBases = (dir: string): string[] =>
  [1024, 4096, 8192].flatMap((pageBytes) =>
    [false, true].map((withLog) =>
      makeBase(join(dir, `base-${pageBytes}${withLog ? '-logged' : ''}`), pageBytes, withLog),
    ),
  );

const makeBase = (path: string, pageBytes: number, withLog: boolean): string => {
  mkdirSync(join(path, '..'), { recursive: true });
  const made = `${path}.made`;
  createStore(made, { pageBytes, chunkBytes: 8192, nowSec: 1_700_000_000, uuid: '0'.repeat(32) });
  const core = new InProcessCore({ store: made, pages: 8192, vnodesMax: 4096 });
  fill(core, new Prng(pageBytes));
  core.sync();
  // While the connections are open nothing is folded in.
  if (withLog) copyStore(made, path);
  core.abandon();
  if (!withLog) copyStore(made, path);
  return path;
};

/** The store and its log, as they lie on the disk. */
export const copyStore = (from: string, to: string): void => {
  for (const suffix of ['', '-wal']) if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix);
};

const fill = (core: InProcessCore, random: Prng): void => {
  const { vfs } = core;
  const inoOf = (vp: Attributes): Ino => {
    const { ino } = vp;
    vfs.vrele(vp);
    return ino;
  };
  const file = (parent: Ino, name: string, bytes: number, at = 0): Ino => {
    const { vp, open } = vfs.create(CALLER, parent, byteName(name), 0o644, O_RDWR, 0o022);
    const ino = inoOf(vp);
    const data = random.fill(new Uint8Array(bytes));
    const plain = { fromCache: false, killSuidgid: false };
    if (bytes > 0) vfs.write(CALLER, ino, open.fh, at, data, plain);
    vfs.release(open.fh);
    return ino;
  };
  const dirs = [ROOT_INO];
  for (let i = 0; i < 8; i++)
    dirs.push(inoOf(vfs.mkdir(CALLER, random.pick(dirs), byteName(`dir-${i}`), 0o755, 0)));
  const files: Ino[] = [];
  for (let i = 0; i < 60; i++) {
    const size = random.pick([0, 40, 300, 4000, 5000, 9000, 20_000]);
    files.push(
      file(random.pick(dirs), `file-${i}-${'x'.repeat(random.int(60))}`, size, i % 10 === 0 ? 50_000 : 0),
    );
    if (i % 20 === 19) core.sync();
  }
  for (let i = 0; i < 10; i++) {
    inoOf(vfs.link(CALLER, random.pick(files), random.pick(dirs), byteName(`hard-${i}`)));
    inoOf(vfs.symlink(CALLER, random.pick(dirs), byteName(`link-${i}`), Buffer.from(`target/${i}`)));
    vfs.setxattr(
      CALLER,
      random.pick(files),
      byteName(`user.x${i}`),
      random.fill(new Uint8Array(50 * i)),
      0,
      false,
    );
  }
  inoOf(vfs.mknod(CALLER, ROOT_INO, byteName('fifo'), 0o010644, 0, 0));
  const source = vfs.open(CALLER, files[0], O_RDWR);
  const clone = vfs.create(CALLER, ROOT_INO, byteName('clone'), 0o644, O_RDWR, 0);
  vfs.copyFileRange(CALLER, files[0], source.fh, 0, clone.vp.ino, clone.open.fh, 0, 1 << 20);
  vfs.vrele(clone.vp);
  vfs.release(source.fh);
  vfs.release(clone.open.fh);
  for (let i = 0; i < 150; i++) file(dirs[1], `many-${i}`, 0);
  core.sync();
  const held = vfs.create(CALLER, ROOT_INO, byteName('unlinked'), 0o600, O_RDWR, 0);
  vfs.vrele(held.vp);
  vfs.unlink(CALLER, ROOT_INO, byteName('unlinked'));
  vfs.setattr(CALLER, asIno(files[1]), undefined, { mode: 0o600 });
};
