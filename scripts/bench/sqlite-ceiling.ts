/**
 * What SQLite reaches with nothing above it (no mount, no daemon, no thread beside it), and bindfs with everything:
 *
 *   node build/scripts/bench/sqlite-ceiling.js [--rounds N] [--size BYTES] [--dir DIR] [--json FILE]
 *
 * A filesystem in a SQLite file can't write faster than its rows can be inserted and synced, nor read a part of a chunk
 * before SQLite has read all of it. Trials in turns, medians; each in a process of its own. As root only, since cold
 * reads need the caches dropped; bindfs and fio must be installed (scripts/bench/run does that).
 */
import Database from 'better-sqlite3';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Prng } from '../../src/base/prng.js';
import { dropCaches } from './machine.js';
import { isRoot, unmountBelow, WORKSPACE_PREFIX } from './mounts.js';
import { parseFio, parseSize } from './parse.js';
import { Processes } from './processes.js';
import { BINDFS_OPTIONS, BindfsTarget } from './rival-targets.js';
import { formatValue, median } from './stats.js';

const CHUNK_BYTES = 64 << 10;
const BLOCK_BYTES = 4096;
const GROUP_CHUNKS = (32 << 20) / CHUNK_BYTES;
/** Cold random reads do this part of the file, as in scripts/bench/run. */
const COLD_PART = 16;
const PAGE_BYTES = [8192, 16384, 65536];
const TIMEOUT_MS = 120_000;

const storeOf = (place: string): string => join(place, 'ceiling.db');

/** Inserts `bytes` of chunks in transactions of 32 MiB, the last of them synced. Returns MB/s. */
function insert(place: string, bytes: number, pageBytes: number): number {
  for (const suffix of ['', '-wal', '-shm']) rmSync(storeOf(place) + suffix, { force: true });
  const db = new Database(storeOf(place));
  db.pragma(`page_size = ${pageBytes}`);
  db.pragma('auto_vacuum = INCREMENTAL');
  db.pragma('journal_mode = WAL');
  db.pragma('wal_autocheckpoint = 0');
  db.pragma('cache_size = -32768');
  db.exec('CREATE TABLE chunk(id INTEGER PRIMARY KEY, data BLOB NOT NULL)');
  const statement = db.prepare('INSERT INTO chunk(id, data) VALUES (?, ?)');
  const data = new Prng(1).fill(Buffer.alloc(CHUNK_BYTES));
  const chunks = Math.ceil(bytes / CHUNK_BYTES);
  const started = performance.now();
  for (let id = 1; id <= chunks;) {
    const end = Math.min(chunks, id + GROUP_CHUNKS - 1);
    db.pragma(`synchronous = ${end === chunks ? 'FULL' : 'NORMAL'}`);
    db.exec('BEGIN');
    for (; id <= end; id++) statement.run(id, data);
    db.exec('COMMIT');
  }
  const ms = performance.now() - started;
  db.close();
  return (chunks * CHUNK_BYTES) / 1e3 / ms;
}

/** Blocks at random, each from a chunk that is fetched unless it has been already. Returns blocks a second. */
function readCold(place: string, bytes: number): number {
  const db = new Database(storeOf(place), { readonly: true });
  const statement = db.prepare('SELECT data FROM chunk WHERE id = ?').pluck();
  const prng = new Prng(3);
  const chunks = Math.ceil(bytes / CHUNK_BYTES);
  const blocks = Math.ceil(bytes / COLD_PART / BLOCK_BYTES);
  const fetched = new Set<number>();
  const started = performance.now();
  for (let i = 0; i < blocks; i++) {
    const id = 1 + prng.int(chunks);
    if (!fetched.has(id) && statement.get(id) !== undefined) fetched.add(id);
  }
  const ms = performance.now() - started;
  db.close();
  return blocks / (ms / 1e3);
}

type Trials = Map<string, number[]>;

class Ceiling {
  readonly #processes: Processes;
  readonly #place: string;
  readonly #bytes: number;
  readonly #trials: Trials;

  constructor(processes: Processes, place: string, bytes: number, trials: Trials) {
    this.#processes = processes;
    this.#place = place;
    this.#bytes = bytes;
    this.#trials = trials;
  }

  #add(name: string, value: number): void {
    this.#trials.set(name, [...(this.#trials.get(name) ?? []), value]);
  }

  async #child(trial: string, pageBytes: number): Promise<number> {
    const script = fileURLToPath(import.meta.url);
    const words = [
      '--trial',
      trial,
      '--dir',
      this.#place,
      '--size',
      `${this.#bytes}`,
      '--page',
      `${pageBytes}`,
    ];
    return Number((await this.#processes.run(process.execPath, [script, ...words])).stdout);
  }

  /** The caches are cold, and the programs that are to be measured warm. */
  async #chill(): Promise<void> {
    await this.#processes.run('sync', []);
    await dropCaches(this.#processes);
    await this.#processes.run('fio', ['--version']);
    await this.#processes.run(process.execPath, ['-e', '']);
  }

  async sqlite(): Promise<void> {
    for (const pageBytes of [...PAGE_BYTES].reverse()) {
      const name = `sequential write, MB/s: SQLite, pages of ${pageBytes / 1024} KiB`;
      this.#add(name, await this.#child('insert', pageBytes));
      await this.#processes.run('sync', []);
    }
    await this.#chill();
    this.#add('random read cold, a second: SQLite', await this.#child('read', PAGE_BYTES[0]));
    rmSync(storeOf(this.#place));
  }

  async bindfs(): Promise<void> {
    const target = new BindfsTarget(this.#processes, BINDFS_OPTIONS, true);
    const place = join(this.#place, 'bindfs');
    mkdirSync(place);
    const mounted = await target.open(place, {});
    const fio = async (...args: string[]): Promise<string> => {
      const common = ['--name=ceiling', '--ioengine=psync', '--invalidate=0', '--fallocate=none'];
      const file = [
        `--filename=${join(mounted.root, 'data')}`,
        `--size=${this.#bytes}`,
        '--output-format=json',
      ];
      return (await this.#processes.run('fio', [...common, ...file, ...args])).stdout;
    };
    try {
      const wrote = parseFio(await fio('--rw=write', '--bs=1M', '--end_fsync=1'), 'write');
      this.#add('sequential write, MB/s: bindfs', wrote.bytesPerSecond / 1e6);
      await mounted.remount();
      await this.#chill();
      const part = `--io_size=${Math.ceil(this.#bytes / COLD_PART / BLOCK_BYTES) * BLOCK_BYTES}`;
      const read = parseFio(await fio('--rw=randread', '--bs=4k', part), 'read');
      this.#add('random read cold, a second: bindfs', read.opsPerSecond);
    } finally {
      await mounted.close();
    }
    rmSync(place, { recursive: true });
  }
}

async function measure(dir: string, bytes: number, rounds: number): Promise<Trials> {
  const processes = new Processes(TIMEOUT_MS);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => processes.abort());
  // The kernel's list of mounts holds no symbolic links.
  const place = mkdtempSync(join(realpathSync(dir), `${WORKSPACE_PREFIX}${process.pid}-`));
  const trials: Trials = new Map();
  const ceiling = new Ceiling(processes, place, bytes, trials);
  try {
    for (let round = 0; round < rounds; round++) {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[Kround ${round + 1} of ${rounds}`);
      const order = [() => ceiling.sqlite(), () => ceiling.bindfs()];
      for (const step of round % 2 === 0 ? order : order.reverse()) await step();
    }
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    return trials;
  } finally {
    await unmountBelow(processes, place);
    rmSync(place, { recursive: true, force: true });
  }
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    size: { type: 'string', default: '512MiB' },
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    trial: { type: 'string' },
    page: { type: 'string', default: '8192' },
  },
});
const bytes = parseSize(values.size);
if (values.trial !== undefined) {
  const { trial, dir, page } = values;
  console.log(trial === 'insert' ? insert(dir, bytes, Number(page)) : readCold(dir, bytes));
} else if (!isRoot()) {
  console.error('sqlite-ceiling: only root may drop the caches: run it as root.');
  process.exitCode = 2;
} else {
  const trials = await measure(values.dir, bytes, Number(values.rounds));
  for (const [name, all] of [...trials].sort(([a], [b]) => (a < b ? 1 : -1)))
    console.log(`${name.padEnd(60)} ${formatValue(median(all)).padStart(8)}`);
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify(Object.fromEntries(trials), null, 2)}\n`);
}
