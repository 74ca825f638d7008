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
import { Command } from 'commander';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Prng } from '../../src/base/prng.js';
import { isRoot, unmountBelow, WORKSPACE_PREFIX } from './mounts.js';
import { positive, refuse } from './options.js';
import { parseSize } from './parse.js';
import { Processes } from './processes.js';
import { BINDFS_OPTIONS, BindfsTarget } from './rival-targets.js';
import { runAll, selectGroups, type Trial } from './runner.js';
import { formatValue, median } from './stats.js';
import { PlainTarget, type Target } from './target.js';
import type { Group, Step } from './workload.js';
import { BLOCK, COLD_PART, fioGroups } from './workloads-fio.js';

const CHUNK_BYTES = 64 << 10;
const GROUP_CHUNKS = (32 << 20) / CHUNK_BYTES;
const PAGE_KIB = [64, 16, 8];
const TIMEOUT_MS = 120_000;
const RIVALS_FIGURES = ['sequential write 1 MiB, fsync at end', 'random read 4 KiB, cold'];

const storeOf = (place: string): string => join(place, 'ceiling.db');

/** Inserts `bytes` of chunks in transactions of 32 MiB, the last of them synced. Returns MB/s. */
function insert(place: string, bytes: number, pageKiB: number): number {
  for (const suffix of ['', '-wal', '-shm']) rmSync(storeOf(place) + suffix, { force: true });
  const db = new Database(storeOf(place));
  db.pragma(`page_size = ${pageKiB * 1024}`);
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
  const blocks = Math.ceil(bytes / COLD_PART / BLOCK);
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

const alone = (name: string, unit: string, caches: Step['caches'], words: readonly string[]): Step => ({
  figure: { name, unit, better: 'higher' },
  caches,
  needed: true,
  // Node's own pages must come back before anything is timed.
  prepare: async ({ processes }) => void (await processes.run(process.execPath, ['-e', ''])),
  run: async ({ processes, root, settings }) => {
    const script = fileURLToPath(import.meta.url);
    const args = [script, '--trial', root, `${settings.sizeBytes}`, ...words];
    return Number((await processes.run(process.execPath, args)).stdout);
  },
});

/** Done in a plain directory. The last store written is the one that is read. */
const sqliteAlone: Group = {
  name: 'SQLite alone',
  variant: {},
  usesSources: false,
  steps: [
    ...PAGE_KIB.map((kib) =>
      alone(`sequential write, pages of ${kib} KiB`, 'MB/s', 'dropped', ['insert', `${kib}`]),
    ),
    alone('random read 4 KiB, cold', 'ops/s', 'cold', ['read']),
  ],
};

async function measure(
  processes: Processes,
  dir: string,
  sizeBytes: number,
  rounds: number,
): Promise<Trial[]> {
  // The kernel's list of mounts holds no symbolic links.
  const workspace = mkdtempSync(join(realpathSync(dir), `${WORKSPACE_PREFIX}${process.pid}-`));
  const run = async (target: Target, groups: readonly Group[], round: number): Promise<Trial[]> => {
    const { trials, failures } = await runAll({
      processes,
      workspace,
      targets: [target],
      groups,
      rounds: 1,
      settings: { sizeBytes, files: 0 },
      sources: { tar: '', repository: '' },
      mayDropCaches: true,
      onProgress: (text) => {
        if (process.stderr.isTTY) process.stderr.write(`\r\x1b[Kround ${round} of ${rounds}: ${text}`);
      },
    });
    if (failures.length > 0) throw new Error(`${failures[0].figure}: ${failures[0].message}`);
    return trials;
  };
  const bindfs = new BindfsTarget(processes, BINDFS_OPTIONS, true);
  const rivals = selectGroups(fioGroups, (figure) => RIVALS_FIGURES.includes(figure));
  const all: Trial[] = [];
  try {
    for (let round = 1; round <= rounds; round++) {
      all.push(...(await run(new PlainTarget(), [sqliteAlone], round)));
      all.push(...(await run(bindfs, rivals, round)));
    }
    return all;
  } finally {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    await unmountBelow(processes, workspace);
    rmSync(workspace, { recursive: true, force: true });
  }
}

const main = async (): Promise<void> => {
  const { rounds, size, dir, json } = new Command('sqlite-ceiling')
    .option('--rounds <n>', 'trials of each figure; the median is shown', positive, 3)
    .option('--size <bytes>', 'size of the file, as 512MiB', refuse(parseSize), 512 * 2 ** 20)
    .option('--dir <folder>', 'work in this folder, which chooses the disk', tmpdir())
    .option('--json <file>', 'write every trial to this file')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse()
    .opts<{ rounds: number; size: number; dir: string; json: string | undefined }>();
  if (!isRoot()) {
    console.error('sqlite-ceiling: only root may drop the caches: run it as root.');
    process.exitCode = 2;
    return;
  }
  const processes = new Processes(TIMEOUT_MS);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => processes.abort());
  try {
    const trials = await measure(processes, dir, size, rounds);
    const nameOf = ({ target, figure }: Trial): string =>
      `${target === 'plain' ? 'SQLite alone' : target}: ${figure}`;
    for (const name of new Set(trials.map(nameOf))) {
      const values = trials.filter((trial) => nameOf(trial) === name).map(({ value }) => value);
      console.log(`${name.padEnd(60)} ${formatValue(median(values)).padStart(8)}`);
    }
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(trials, null, 2)}\n`);
  } catch (error) {
    console.error(`sqlite-ceiling: ${(error as Error).message}`);
    process.exitCode = 1;
  }
};

const [flag, place, size, trial, pageKiB] = process.argv.slice(2);
if (flag !== '--trial') await main();
else
  console.log(
    trial === 'insert' ? insert(place, Number(size), Number(pageKiB)) : readCold(place, Number(size)),
  );
