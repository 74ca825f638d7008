/**
 * Runs the seeds, some at a time: each wave on a fresh place. After it the files are read once more, through a new
 * mount, and the store is examined. The first difference ends everything: its log is made short.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TEST_CAPABILITIES } from '../../test/harness/mount.js';
import { type Flag, missing } from '../../test/harness/posix-client.js';
import type { TeamTask } from './exercise.js';
import { inspectFiles } from './file-actor.js';
import { type AnyOp, operationsOf } from './operations.js';
import type { Options } from './options.js';
import { openPlace, type Place } from './place.js';
import { shrinkLog } from './shrink.js';
import { type Outcome, runTeam } from './team.js';
import { inspectTree } from './tree-exercise.js';

export interface Report {
  about: string;
  operations: number;
  seeds: number[];
  seconds: number;
  failure?: { seed: number; index: number; what: string; log?: AnyOp[]; again?: string };
}

export interface Hooks {
  /** `done`: operations so far, of all seeds. */
  progress(done: number): void;
  note(text: string): void;
  /** Ends the run early; what was made is removed. */
  signal: AbortSignal;
}

/** What operations need that not every transport carries. */
const EXERCISED: readonly Flag[] = ['fallocate', 'renameFlags', 'linkedNames'];
const SHRINK_REPLAYS = 1_000;
/** Short logs are compared whole often: the difference shows close to its cause. */
const WHOLE_EVERY_WHEN_SHORT = 25;
/** Commits fall where they will: unless a log failed each of so many times, it gets as many attempts. */
const ATTEMPTS = 3;
/** Longer logs are not replayed just to see whether they fail again. */
const CALIBRATE_MAX = 20_000;

const taskOf = (options: Options, place: Place, prefix: string, seed: number): TeamTask => ({
  kind: options.tree ? 'tree' : 'file',
  dir: place.dir,
  prefix,
  seed,
  count: options.ops,
  ...(options.replay === undefined ? {} : { log: options.replay }),
  processes: options.processes,
  files: options.files,
  bytesMax: options.size,
  io: options.io,
  dropCaches: options.dropCaches,
  wholeEvery: options.wholeEvery,
  // A folder of somebody else's is taken for one that can do everything.
  lacks: options.dir === undefined ? missing(TEST_CAPABILITIES, EXERCISED) : [],
});

const tasksOf = (options: Options, place: Place, seeds: readonly number[]): TeamTask[] =>
  seeds.map((seed) => taskOf(options, place, `s${seed}-`, seed));

/** Reads everything once more with nothing cached: how it differs from the model. */
const lookAgain = (tree: boolean, task: TeamTask, expected: readonly string[]): string | undefined => {
  const found = (tree ? inspectTree : inspectFiles)(task.dir, task.prefix);
  const missing = expected.filter((line) => !found.includes(line));
  const strange = found.filter((line) => !expected.includes(line));
  if (missing.length + strange.length === 0) return undefined;
  return `after a remount: wanted ${missing.slice(0, 3).join(', ')}; got ${strange.slice(0, 3).join(', ')}`;
};

type Failure = NonNullable<Report['failure']>;

const runWave = async (
  options: Options,
  seeds: readonly number[],
  onProgress: (done: number) => void,
  signal: AbortSignal,
): Promise<Failure | undefined> => {
  const place = openPlace(options.dir, options.mountArgs, options.daemonEnv);
  try {
    const tasks = tasksOf(options, place, seeds);
    const done = tasks.map(() => 0);
    const outcomes = await Promise.all(
      tasks.map((task, i) =>
        runTeam(
          task,
          (count) => {
            done[i] = count;
            onProgress(done.reduce((sum, one) => sum + one, 0));
          },
          signal,
        ),
      ),
    );
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.kind !== 'agreed') return { seed: seeds[i], index: outcome.index, what: outcome.what };
    }
    place.remount();
    for (const [i, outcome] of outcomes.entries()) {
      const what = lookAgain(options.tree, tasks[i], outcome.kind === 'agreed' ? outcome.expected : []);
      if (what !== undefined) return { seed: seeds[i], index: options.ops, what };
    }
    place.check();
    return undefined;
  } finally {
    place.dispose();
  }
};

/** Replays logs, each under names of its own, on one place until it breaks. */
class Replayer {
  readonly #options: Options;
  readonly #base: TeamTask;
  readonly #folder = mkdtempSync(join(tmpdir(), 'vnodefs-fsx-'));
  readonly #signal: AbortSignal;
  #place: Place;
  #runs = 0;
  #attempts = 1;

  constructor(options: Options, seed: number, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#place = this.#open();
    this.#base = taskOf(options, this.#place, '', seed);
  }
  #open(): Place {
    return openPlace(this.#options.dir, this.#options.mountArgs, this.#options.daemonEnv);
  }
  /** Sees whether the difference shows every time. */
  async calibrate(log: readonly AnyOp[]): Promise<void> {
    for (let i = 0; i < ATTEMPTS; i++) {
      if ((await this.replay(log)) !== undefined) continue;
      this.#attempts = ATTEMPTS;
      return;
    }
  }
  async replay(log: readonly AnyOp[]): Promise<Exclude<Outcome, { kind: 'agreed' }> | undefined> {
    const file = join(this.#folder, 'log');
    writeFileSync(file, log.map((op) => `${JSON.stringify(op)}\n`).join(''));
    const wholeEvery = log.length <= 2_000 ? WHOLE_EVERY_WHEN_SHORT : this.#base.wholeEvery;
    for (let attempt = 0; attempt < this.#attempts; attempt++) {
      const prefix = `r${this.#runs++}-`;
      const task = { ...this.#base, dir: this.#place.dir, prefix, log: file, wholeEvery };
      const outcome = await runTeam(task, () => undefined, this.#signal);
      if (this.#signal.aborted) return undefined;
      if (outcome.kind === 'broken') {
        this.#place.dispose();
        this.#place = this.#open();
      }
      if (outcome.kind !== 'agreed') return outcome;
    }
    return undefined;
  }
  dispose(): void {
    this.#place.dispose();
    rmSync(this.#folder, { recursive: true });
  }
}

const shrink = async (
  options: Options,
  failure: Failure,
  signal: AbortSignal,
): Promise<Pick<Failure, 'log' | 'again'>> => {
  const task = taskOf(options, { dir: '' } as Place, '', failure.seed);
  const whole = [...operationsOf(task)].slice(0, failure.index + 1);
  const replayer = new Replayer(options, failure.seed, signal);
  try {
    const limits = { replays: SHRINK_REPLAYS, seconds: options.shrinkSeconds };
    if (whole.length <= CALIBRATE_MAX) await replayer.calibrate(whole);
    const log = await shrinkLog(whole, async (part) => (await replayer.replay(part))?.index, limits);
    const again = await replayer.replay(log);
    return { log, again: again?.what ?? 'no difference when it was replayed' };
  } finally {
    replayer.dispose();
  }
};

export const runSeeds = async (options: Options, hooks: Hooks): Promise<Report> => {
  const started = performance.now();
  const report: Report = {
    about: options.dir ?? `vnodefs mount ${options.mountArgs.join(' ')}`,
    operations: 0,
    seeds: [],
    seconds: 0,
  };
  for (let first = 0; first < options.seeds.length && report.failure === undefined; first += options.jobs) {
    const seeds = options.seeds.slice(first, first + options.jobs);
    const before = report.operations;
    const failure = await runWave(options, seeds, (done) => hooks.progress(before + done), hooks.signal);
    if (failure === undefined) {
      report.seeds.push(...seeds);
      report.operations += seeds.length * options.ops;
    } else {
      hooks.note(`seed ${failure.seed}, operation ${failure.index}: ${failure.what}`);
      report.failure = failure;
      if (options.shrink && !hooks.signal.aborted)
        Object.assign(failure, await shrink(options, failure, hooks.signal));
    }
  }
  report.seconds = Math.round((performance.now() - started) / 100) / 10;
  return report;
};
