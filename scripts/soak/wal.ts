/** scripts/soak/wal: the write-ahead log stays bounded, and folding it in holds nobody up. See the shell script beside it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mountAt, readMounts } from '../../src/base/mountinfo.js';
import { parseSize } from '../../src/cli/numbers.js';
import type { StepLine, StepOptions } from './wal-step.js';

const CLI = fileURLToPath(new URL('../../../bin/vnodefs.js', import.meta.url));
const STEP = fileURLToPath(new URL('./wal-step.js', import.meta.url));
const SHOW_S = 30;
const MIB = 1 << 20;

const HELP = `usage: scripts/soak/wal [options]
  --minutes N     how long (default 10)
  --hold S        the outside reader holds a read transaction so many seconds (default 20; 0: no reader),
  --pause S       and then none for so many (default 10)
  --wal-max SIZE  the log's file must stay below (default 4608MiB: writers wait at 4 GiB, what they had in memory comes on top)
  --no-bulk       without the program that writes as fast as it can and never syncs
  --dir DIR       where the store goes (default: the directory for temporary files)
  --json FILE     write the figures there`;

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    hold: { type: 'string', default: '20' },
    pause: { type: 'string', default: '10' },
    'wal-max': { type: 'string', default: '4608MiB' },
    'no-bulk': { type: 'boolean', default: false },
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(HELP);
  process.exit(0);
}

/** A second of the run, or a window of them. */
interface Sample {
  seconds: number;
  walBytes: number;
  mainBytes: number;
  reader: string;
  counts: Record<string, number>;
  times: Record<string, number[]>;
}

class Step {
  readonly name: string;
  readonly #child: ChildProcess;
  #lines: StepLine[] = [];
  failed = '';
  state = '';

  constructor(name: string, step: string, path: string, given: Partial<StepOptions>) {
    this.name = name;
    const all: StepOptions = {
      ...{ seed: name.length * 77, fileBytes: 256 * MIB, syncEvery: 0, everyMs: 0, holdMs: 0, pauseMs: 0 },
      ...given,
    };
    this.#child = spawn(process.execPath, [STEP, step, path, JSON.stringify(all)], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const { stdout, stderr } = this.#child;
    if (stdout) {
      createInterface({ input: stdout }).on('line', (text) => {
        const line = JSON.parse(text) as StepLine;
        this.#lines.push(line);
        this.state = line.state;
      });
    }
    stderr?.setEncoding('utf8').on('data', (text: string) => (this.failed += text));
    this.#child.once('exit', (code) => {
      if (code !== 0) this.failed += `exit ${code}`;
    });
  }

  /** What it said since the last time. */
  take(): StepLine[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 60_000);
    await gone;
    clearTimeout(timer);
  }
}

const vnodefs = (...args: string[]): void => {
  const { status, stderr } = spawnSync(process.execPath, [CLI, ...args], {
    encoding: 'utf8',
    timeout: 600_000,
  });
  if (status !== 0) throw new Error(`vnodefs ${args.join(' ')}: exit ${status}: ${stderr}`);
};

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

const quantile = (times: readonly number[], q: number): number => {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted.length === 0 ? NaN : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
};

const takeSample = (seconds: number, store: string, steps: readonly Step[]): Sample => {
  const counts: Sample['counts'] = {};
  const times: Sample['times'] = {};
  for (const step of steps) {
    const lines = step.take();
    counts[step.name] = lines.reduce((sum, { count }) => sum + count, 0);
    times[step.name] = lines.flatMap((line) => line.times);
  }
  const reader = steps.find(({ name }) => name === 'reader')?.state ?? 'none';
  return { seconds, walBytes: sizeOf(`${store}-wal`), mainBytes: sizeOf(store), reader, counts, times };
};

const ms = (value: number): string => (value < 10 ? value.toFixed(2) : value.toFixed(0));

/** The 99th percentile of all in the window and the longest. */
const slow = (window: readonly Sample[], name: string): string => {
  const all = window.flatMap(({ times }) => times[name] ?? []);
  return `${ms(quantile(all, 0.99))} (${ms(quantile(all, 1))})`;
};

const show = (window: readonly Sample[]): void => {
  const last = window[window.length - 1];
  const largest = Math.max(...window.map(({ walBytes }) => walBytes));
  const sum = (name: string): number => window.reduce((n, { counts }) => n + (counts[name] ?? 0), 0);
  console.log(
    `${String(last.seconds).padStart(5)} s  WAL ${Math.round(last.walBytes / MIB)} MiB (at most ${Math.round(largest / MIB)}), ` +
      `store ${Math.round(last.mainBytes / MIB)} MiB, reader ${last.reader}; ms at p99 (longest): request ${slow(window, 'requests')}, ` +
      `write ${slow(window, 'bulk')}, fdatasync ${slow(window, 'synced')}, fsync ${slow(window, 'sync')}, disk ${slow(window, 'disk')}; ` +
      `${sum('bulk')} writes, ${sum('synced')} + ${sum('sync')} syncs`,
  );
};

const startSteps = (base: string, store: string, mnt: string): Step[] => {
  const holdMs = Number(options.hold) * 1000;
  return [
    ...(options['no-bulk'] ? [] : [new Step('bulk', 'write', join(mnt, 'bulk'), {})]),
    new Step('synced', 'write', join(mnt, 'synced'), { syncEvery: 16 }),
    new Step('requests', 'requests', mnt, { everyMs: 5 }),
    new Step('sync', 'sync', join(mnt, 'sync'), { everyMs: 50 }),
    new Step('disk', 'sync', join(base, 'disk'), { everyMs: 50 }),
    ...(holdMs > 0
      ? [new Step('reader', 'read', store, { holdMs, pauseMs: Number(options.pause) * 1000 })]
      : []),
  ];
};

const work = async (base: string, store: string, mnt: string): Promise<string[]> => {
  const walMax = parseSize(options['wal-max'], '--wal-max');
  const steps = startSteps(base, store, mnt);
  const samples: Sample[] = [];
  const started = performance.now();
  const seconds = Number(options.minutes) * 60;
  for (let shown = 0; performance.now() - started < seconds * 1000;) {
    await sleep(1000);
    samples.push(takeSample(Math.round((performance.now() - started) / 1000), store, steps));
    if (samples.length - shown >= SHOW_S) {
      show(samples.slice(shown));
      shown = samples.length;
    }
  }
  await Promise.all(steps.map((step) => step.end()));
  const largest = Math.max(...samples.map(({ walBytes }) => walBytes));
  console.log('all of it:');
  show(samples);
  if (options.json !== undefined) {
    const figures = samples.map(({ times, ...rest }) => ({
      ...rest,
      p99Ms: Object.fromEntries(Object.entries(times).map(([name, all]) => [name, quantile(all, 0.99)])),
      maxMs: Object.fromEntries(Object.entries(times).map(([name, all]) => [name, quantile(all, 1)])),
    }));
    writeFileSync(options.json, JSON.stringify({ options, figures }, null, 1));
  }
  const wrong = steps
    .filter(({ failed }) => failed !== '')
    .map(({ name, failed }) => `${name} failed: ${failed}`);
  if (largest > walMax) wrong.push(`the log grew to ${Math.round(largest / MIB)} MiB`);
  return wrong;
};

const main = async (): Promise<number> => {
  const base = mkdtempSync(join(options.dir, 'vnodefs-wal-'));
  const [store, mnt] = [join(base, 's.db'), join(base, 'mnt')];
  mkdirSync(mnt);
  try {
    vnodefs('mount', store, mnt);
    let wrong: string[];
    try {
      wrong = await work(base, store, mnt);
    } finally {
      vnodefs('umount', mnt, '--timeout', '300');
    }
    vnodefs('fsck', store);
    for (const sentence of wrong) console.error(`wal: ${sentence}`);
    return wrong.length === 0 ? 0 : 1;
  } finally {
    if (mountAt(readMounts(), mnt) === undefined) rmSync(base, { recursive: true, force: true });
  }
};

process.exitCode = await main();
