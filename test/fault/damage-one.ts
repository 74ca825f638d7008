/**
 * One damaged store, wholly determined by its seed: fsck, a read-only mount, a mount for writing, a repair.
 *
 * A *wrong success* of fsck is: no findings, but the store can't be mounted, or reading all of it gives an error or
 * something that can't be so (a listing, a type, a size or a link count that doesn't fit). Values that nothing else in
 * the store speaks of (file bytes, names, times, owners, permissions, attribute values) have no checksum in this
 * format, nor in SQLite's: a change there can't be noticed. It is counted as `silent`.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FsError } from '../../src/base/errno.js';
import { Prng } from '../../src/base/prng.js';
import { asIno, byteName, ROOT_INO } from '../../src/base/ids.js';
import { checkStore } from '../../src/store/fsck.js';
import { Repair } from '../../src/store/repair.js';
import { StoreError } from '../../src/store/store-error.js';
import { WouldBlock } from '../../src/vfs/api.js';
import { InProcessCore } from '../harness/test-core.js';
import { copyStore } from './damage-base.js';
import { damage } from './damage-kinds.js';
import { walkStore, type Walked } from './damage-walk.js';

/** What the invariants say of stored data, which is damaged here: a charge that isn't the sum of the chunks, bytes past a file's end. */
const OF_THE_STORE = /^file \d+: (allocPages|bytes past)/;
const CALLER = { uid: 1000, gid: 100, pid: 1 };

export interface DamageResult {
  seed: number;
  base: string;
  kind: string;
  /** What fsck said: `refused`: the file can't be opened as a store. */
  fsck: 'refused' | 'clean' | 'findings';
  /** Of the read-only mount. */
  mount: 'refused' | 'whole' | 'errors';
  /** Clean, but values differ from what was stored. */
  silent: boolean;
  repair: 'refused' | 'clean' | 'remaining' | 'none';
  /** Files that could be read before the repair and not after it. */
  lost: number;
  violations: string[];
}

/** `sound`: what {@link walkStore} says of the undamaged bases. */
export const runDamage = (
  seed: number,
  bases: readonly string[],
  sound: ReadonlyMap<string, Walked>,
  scratch: string,
): DamageResult => {
  const random = new Prng(seed);
  const base = random.pick(bases);
  const dir = join(scratch, `seed-${seed}`);
  mkdirSync(dir, { recursive: true });
  try {
    const store = join(dir, 'store');
    copyStore(base, store);
    const kind = damage(store, random);
    const run = new DamageRun(seed, base, kind, random);
    run.examine(dir, store, sound.get(base));
    return run.result;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

class DamageRun {
  readonly result: DamageResult;
  readonly #random: Prng;

  constructor(seed: number, base: string, kind: string, random: Prng) {
    this.#random = random;
    this.result = {
      seed,
      base: base.slice(base.lastIndexOf('/') + 1),
      kind,
      fsck: 'refused',
      mount: 'refused',
      silent: false,
      repair: 'none',
      lost: 0,
      violations: [],
    };
  }

  examine(dir: string, store: string, sound: Walked | undefined): void {
    const { result } = this;
    for (const name of ['mounted', 'written', 'repaired']) copyStore(store, join(dir, name));
    const report = this.#guard('fsck', () => checkStore(store));
    if (report !== undefined) result.fsck = report.clean ? 'clean' : 'findings';
    const walked = this.#guard('mount', () => walkStore(join(dir, 'mounted')));
    if (walked !== undefined) result.mount = walked.errors.length === 0 ? 'whole' : 'errors';
    if (result.fsck === 'clean') this.#judgeClean(walked, sound);
    this.#guard('writing', () => this.#write(join(dir, 'written')));
    if (result.fsck !== 'refused') this.#guard('repair', () => this.#repair(join(dir, 'repaired'), walked));
  }

  #violation(what: string): void {
    this.result.violations.push(what);
  }

  /** Refusing a store with a sentence is right; any other exception is a crash. */
  #guard<T>(what: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (error instanceof StoreError || error instanceof FsError) return undefined;
      this.#violation(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      return undefined;
    }
  }

  #judgeClean(walked: Walked | undefined, sound: Walked | undefined): void {
    if (walked === undefined) {
      this.#violation('wrong success: clean, but it can not be mounted');
      return;
    }
    for (const error of walked.errors.slice(0, 3)) this.#violation(`wrong success: clean, but ${error}`);
    for (const wrong of walked.wrong.slice(0, 3)) this.#violation(`wrong success: clean, but ${wrong}`);
    if (sound === undefined) return;
    const text = ({ tree, contents }: Walked): string =>
      JSON.stringify([[...tree].sort(), [...contents].sort()]);
    this.result.silent = text(walked) !== text(sound);
  }

  #write(store: string): void {
    const core = new InProcessCore({ store, pages: 128, vnodesMax: 64 });
    try {
      for (let i = 0; i < 60; i++) {
        try {
          this.#change(core, i);
        } catch (error) {
          if (!(error instanceof FsError) && !(error instanceof WouldBlock)) throw error;
        }
        if (this.#random.int(4) === 0) core.core.txgs.barrier(core.core.txgs.latest, () => undefined);
        core.advance();
      }
      core.check({ except: OF_THE_STORE });
    } finally {
      core.abandon();
    }
  }

  #change({ vfs }: InProcessCore, i: number): void {
    const random = this.#random;
    const ino = asIno(1 + random.int(90));
    const name = byteName(
      random.pick(['dir-1', `file-${random.int(60)}`, `many-${random.int(150)}`, `new-${i}`, 'clone']),
    );
    const plain = { fromCache: false, killSuidgid: false };
    const withFile = (work: (fh: Parameters<typeof vfs.release>[0]) => void): void => {
      const { fh } = vfs.open(CALLER, ino, 2);
      try {
        work(fh);
      } finally {
        vfs.release(fh);
      }
    };
    const changes: (() => void)[] = [
      () =>
        withFile((fh) =>
          vfs.write(CALLER, ino, fh, random.int(30_000), new Uint8Array(random.int(9000)), plain),
        ),
      () => withFile((fh) => vfs.fallocate(CALLER, ino, fh, 3, random.int(9000), 1 + random.int(20_000))),
      () => vfs.vrele(vfs.setattr(CALLER, ino, undefined, { size: random.int(20_000) })),
      () => vfs.vrele(vfs.setattr(CALLER, ino, undefined, { size: 0 })),
      () => vfs.unlink(CALLER, random.pick([ino, ROOT_INO]), name),
      () => vfs.rmdir(CALLER, ROOT_INO, name),
      () => vfs.rename(CALLER, ino, name, asIno(1 + random.int(10)), byteName(`moved-${i}`), 0),
      () => vfs.vrele(vfs.mkdir(CALLER, ino, name, 0o755, 0)),
      () => vfs.vrele(vfs.link(CALLER, ino, ROOT_INO, byteName(`linked-${i}`))),
      () => vfs.setxattr(CALLER, ino, byteName('user.new'), new Uint8Array(20), 0, false),
    ];
    random.pick(changes)();
  }

  #repair(store: string, walked: Walked | undefined): void {
    const session = new Repair(store);
    try {
      this.result.repair = 'refused';
      const { after } = session.repair();
      this.result.repair = after.clean ? 'clean' : 'remaining';
      if (!after.clean) return;
    } finally {
      session.close();
    }
    const again = checkStore(store);
    if (!again.clean) this.#violation(`repaired, but a second fsck says: ${again.findings[0].message}`);
    const repaired = walkStore(store);
    for (const error of [...repaired.errors, ...repaired.wrong].slice(0, 3))
      this.#violation(`repaired and clean, but ${error}`);
    const kept = new Set(repaired.contents.values());
    for (const digest of walked?.contents.values() ?? []) if (!kept.has(digest)) this.result.lost++;
  }
}
