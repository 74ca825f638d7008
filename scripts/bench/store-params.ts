/**
 * Which chunk size, SQLite page size and inline limit a new store should have. Each trial is a process of its own on a
 * fresh store; the data trials vary chunk and page size, the small-file trials inline limit and page size (neither
 * depends on the third).
 *
 *   node build/scripts/bench/store-params.js [--dir DIR] [--repeat N] [--json FILE]
 *
 * Prints a table; the best of N (default 2) for each figure, since the noise of a shared machine only ever adds time.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { asIno, byteName, ROOT_INO } from '../../src/base/ids.js';
import { Prng } from '../../src/base/prng.js';
import { createStore } from '../../src/store/mkfs.js';
import { openReader } from '../../src/store/reader.js';
import { TxgEncoder } from '../../src/store/txg-log.js';
import { PAGE_BYTES, type InodeRecord } from '../../src/store/types.js';
import { StoreWriter } from '../../src/store/writer.js';

type Figures = Record<string, number>;
interface Parameters {
  kind: 'data' | 'small';
  chunkBytes: number;
  pageBytes: number;
  inlineMax: number;
}

const KIB = 1024;
const DATA_BYTES = 128 * KIB * KIB;
const DATA_INO = asIno(2);
const SMALL_FILES = 10_000;
const OVERWRITES = 150;

const record = (ino: number, size: number): InodeRecord => ({
  ino: asIno(ino),
  mode: 0o100644,
  uid: 1000,
  gid: 1000,
  nlink: 1,
  size,
  rdev: 0,
  allocPages: Math.ceil(size / PAGE_BYTES),
  flags: 0,
  xattrCount: 0,
  parent: 0,
  nextCookie: 0,
  atimeSec: 1_700_000_000,
  atimeNsec: 123_456_789,
  mtimeSec: 1_700_000_000,
  mtimeNsec: 123_456_789,
  ctimeSec: 1_700_000_000,
  ctimeNsec: 123_456_789,
  btimeSec: 1_700_000_000,
  btimeNsec: 123_456_789,
});

/** One store under test. */
class Trial {
  readonly path: string;
  readonly pool = new Prng(1).fill(new Uint8Array(new SharedArrayBuffer(256 * PAGE_BYTES)));
  readonly ops = new TxgEncoder();
  readonly p: Parameters;
  writer: StoreWriter;
  #txg = 0;
  constructor(dir: string, p: Parameters) {
    this.p = p;
    this.path = join(dir, 'store');
    createStore(this.path, p);
    this.writer = new StoreWriter(this.path);
  }
  commit(barrier: boolean): void {
    const { log, logBytes } = this.ops.take();
    this.writer.commit(++this.#txg, log, logBytes, this.pool, barrier);
  }
  /** Closes everything and drops the file from the host's page cache. */
  chill(): void {
    this.writer.close();
    spawnSync('sync', ['-d', this.path]);
    spawnSync('dd', [`if=${this.path}`, 'iflag=nocache', 'count=0']);
  }
}

const seconds = (work: () => void): number => {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
};

function dataTrial(trial: Trial): Figures {
  const { chunkBytes } = trial.p;
  const pages = Array.from({ length: chunkBytes / PAGE_BYTES }, (_, i) => i);
  const chunks = DATA_BYTES / chunkBytes;
  const perGroup = (32 * KIB * KIB) / chunkBytes;
  const write = seconds(() => {
    for (let i = 0; i < chunks; i++) {
      // Frames start anywhere in the pool, as a page allocator gives them.
      const from = (i * 7) % 128;
      trial.ops.writePages(
        DATA_INO,
        i,
        DATA_BYTES,
        pages,
        pages.map((n) => from + n),
        pages.length,
      );
      if ((i + 1) % perGroup === 0) trial.commit(false);
    }
  });
  const checkpoint = seconds(() => trial.writer.checkpoint('truncate'));
  trial.ops.putInode(record(DATA_INO, DATA_BYTES));
  trial.commit(true);
  const overwrite = (barrier: boolean, groupSize: number, shift: number): number =>
    seconds(() => {
      for (let i = 0; i < OVERWRITES; i++) {
        const page = ((i * 7919 + shift) * 13) % (DATA_BYTES / PAGE_BYTES);
        const index = Math.floor(page / pages.length);
        trial.ops.writePages(DATA_INO, index, DATA_BYTES, [page % pages.length], [(i + shift) % 251], 1);
        if ((i + 1) % groupSize === 0) trial.commit(barrier);
      }
    }) *
    (1e6 / OVERWRITES);
  const batchedUs = overwrite(false, OVERWRITES, 3);
  trial.writer.checkpoint('truncate');
  const overwriteUs = overwrite(false, 1, 1);
  const walBytes = trial.writer.walBytes().unfolded / OVERWRITES;
  trial.writer.checkpoint('passive');
  const barrierUs = overwrite(true, 1, 2);
  const fileMiB = statSync(trial.path).size / KIB / KIB;
  trial.chill();
  return {
    writeGBs: DATA_BYTES / 1e9 / write,
    checkpointGBs: DATA_BYTES / 1e9 / checkpoint,
    batchedUs,
    overwriteUs,
    barrierUs,
    walBytes,
    ...readData(trial.path, chunks),
    fileMiB,
  };
}

function readData(path: string, chunks: number): Figures {
  const reader = openReader(path);
  const all = (): void => {
    for (let i = 0; i < chunks; i++) reader.readChunk(DATA_INO, i);
  };
  const cold = seconds(all);
  const warm = seconds(all);
  const prng = new Prng(3);
  const random = seconds(() => {
    for (let i = 0; i < 1000; i++) reader.readChunk(DATA_INO, prng.int(chunks));
  });
  reader.close();
  return { coldGBs: DATA_BYTES / 1e9 / cold, warmGBs: DATA_BYTES / 1e9 / warm, random4kUs: random * 1000 };
}

/** Sizes of a source tree: most from 200 bytes to 8 KiB, one in twenty up to 64 KiB. */
function sourceTree(): number[] {
  const prng = new Prng(2);
  return Array.from({ length: SMALL_FILES }, () =>
    prng.int(20) === 0 ? 8192 + prng.int(56 * KIB) : Math.round(200 * (8192 / 200) ** prng.next()),
  );
}

function smallTrial(trial: Trial): Figures {
  const sizes = sourceTree();
  const chunkPages = trial.p.chunkBytes / PAGE_BYTES;
  const create = seconds(() => {
    sizes.forEach((size, i) => {
      const ino = asIno(i + 2);
      trial.ops.putInode(record(ino, size));
      trial.ops.putDirent(ROOT_INO, byteName(`source-file-${(i * 7919) % SMALL_FILES}.c`), ino, 8, i + 3);
      const pages = Math.ceil(size / PAGE_BYTES);
      for (let index = 0; index * chunkPages < pages; index++) {
        const count = Math.min(chunkPages, pages - index * chunkPages);
        const list = Array.from({ length: count }, (_, n) => n);
        trial.ops.writePages(
          ino,
          index,
          size,
          list,
          list.map((n) => (i + n) % 256),
          count,
        );
      }
    });
    trial.commit(false);
  });
  const walMiB = trial.writer.walBytes().unfolded / KIB / KIB;
  const checkpoint = seconds(() => trial.writer.checkpoint('truncate'));
  const chmod = seconds(() => {
    sizes.forEach((size, i) => trial.ops.putInode(record(i + 2, size)));
    trial.commit(false);
  });
  const fileMiB = statSync(trial.path).size / KIB / KIB;
  trial.chill();
  const reader = openReader(trial.path);
  const walk = (): void => sizes.forEach((_, i) => void reader.loadInode(asIno(i + 2)));
  const read = (): void =>
    sizes.forEach((size, i) => {
      for (let index = 0; index * trial.p.chunkBytes < size; index++) reader.readChunk(asIno(i + 2), index);
    });
  const perFile = 1e6 / SMALL_FILES;
  const coldStatUs = seconds(walk) * perFile;
  const coldReadUs = seconds(read) * perFile;
  const warmStatUs = seconds(walk) * perFile;
  const warmReadUs = seconds(read) * perFile;
  reader.close();
  return {
    createUs: create * perFile,
    checkpointMs: checkpoint * 1000,
    walMiB,
    chmodUs: chmod * perFile,
    coldStatUs,
    coldReadUs,
    warmStatUs,
    warmReadUs,
    fileMiB,
  };
}

/** GB/s: more is better; all else: less. */
const better = (name: string, a: number, b: number): number =>
  name.endsWith('GBs') ? Math.max(a, b) : Math.min(a, b);

function runTrial(parameters: Parameters, base: string, repeat: number): Figures {
  const best: Figures = {};
  for (let n = 0; n < repeat; n++) {
    const dir = mkdtempSync(join(base, 'vnodefs-bench-'));
    const script = fileURLToPath(import.meta.url);
    const child = spawnSync(process.execPath, [script, '--trial', JSON.stringify(parameters), '--dir', dir], {
      encoding: 'utf8',
      timeout: 120_000,
    });
    rmSync(dir, { recursive: true, force: true });
    if (child.status !== 0) throw new Error(`trial failed: ${child.stderr}`);
    for (const [name, value] of Object.entries(JSON.parse(child.stdout) as Figures)) {
      best[name] = name in best ? better(name, best[name], value) : value;
    }
  }
  return best;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      dir: { type: 'string', default: tmpdir() },
      repeat: { type: 'string', default: '2' },
      json: { type: 'string' },
      trial: { type: 'string' },
    },
  });
  if (values.trial !== undefined) {
    const parameters = JSON.parse(values.trial) as Parameters;
    const trial = new Trial(values.dir, parameters);
    console.log(JSON.stringify(parameters.kind === 'data' ? dataTrial(trial) : smallTrial(trial)));
    return;
  }
  const plan: Parameters[] = [];
  for (const pageBytes of [4096, 8192, 16384]) {
    for (const chunkKiB of [32, 64, 128]) {
      plan.push({ kind: 'data', chunkBytes: chunkKiB * KIB, pageBytes, inlineMax: 0 });
    }
    for (const inlineMax of [0, 512, 1024, 2048, 3500, 4096]) {
      plan.push({ kind: 'small', chunkBytes: 128 * KIB, pageBytes, inlineMax });
    }
  }
  const results = plan.map((p) => ({ ...p, ...runTrial(p, values.dir, Number(values.repeat)) }));
  const round = (row: Record<string, number | string>): Record<string, number | string> =>
    Object.fromEntries(
      Object.entries(row).map(([k, v]) => [
        k,
        typeof v === 'number' && !Number.isInteger(v) ? +v.toPrecision(3) : v,
      ]),
    );
  for (const kind of ['data', 'small'] as const) {
    console.table(results.filter((r) => r.kind === kind).map(({ kind: _kind, ...row }) => round(row)));
  }
  const json = JSON.stringify(results);
  if (values.json === undefined) console.log(json);
  else writeFileSync(values.json, json);
}

main();
