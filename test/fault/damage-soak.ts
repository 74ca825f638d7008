/** Runs damaged stores in processes of their own: one that crashes or hangs is a violation of its seed, and the rest goes on. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { makeBases } from './damage-base.js';
import type { DamageResult } from './damage-one.js';
import { childEnvironment } from '../harness/environment.js';

/** Descriptors of lock files are kept for a process's life, so a worker does only so many. */
const SEEDS_PER_WORKER = 200;
const worker = fileURLToPath(new URL('./damage-worker.js', import.meta.url));

export interface DamageTotals {
  stores: number;
  /** `fsck`, `mount`, `repair` and their outcomes. */
  outcomes: Record<string, number>;
  silent: number;
  lost: number;
  violations: { seed: number; base: string; kind: string; what: string }[];
}

export interface DamageOptions {
  seed: number;
  stores: number;
  jobs: number;
  /** A store that takes longer hangs. */
  timeoutMs: number;
  onResult?: (result: DamageResult) => void;
}

export const damageSoak = async (options: DamageOptions): Promise<DamageTotals> => {
  const totals: DamageTotals = { stores: 0, outcomes: {}, silent: 0, lost: 0, violations: [] };
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'vnodefs-damage-'));
  const bases = makeBases(dir);
  let next = options.seed;
  const end = options.seed + options.stores;
  const work = async (): Promise<void> => {
    while (next < end) {
      const first = next;
      const count = Math.min(SEEDS_PER_WORKER, end - next);
      next += count;
      await runRange(dir, bases, first, count, options, totals);
    }
  };
  try {
    await Promise.all(Array.from({ length: options.jobs }, work));
    return totals;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

/** All seeds of a range; a process that ends early is started again after the seed it fell over. */
const runRange = async (
  dir: string,
  bases: readonly string[],
  first: number,
  count: number,
  options: DamageOptions,
  totals: DamageTotals,
): Promise<void> => {
  for (let seed = first; seed < first + count;) {
    const { done, trouble } = await runWorker(dir, bases, seed, first + count - seed, options, totals);
    seed += done;
    if (trouble === '') return;
    totals.stores++;
    totals.violations.push({ seed, base: '?', kind: '?', what: trouble });
    seed++;
  }
};

const runWorker = (
  dir: string,
  bases: readonly string[],
  first: number,
  count: number,
  options: DamageOptions,
  totals: DamageTotals,
): Promise<{ done: number; trouble: string }> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [worker, dir, String(first), String(count), ...bases], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: childEnvironment(),
    });
    let done = 0;
    let stderr = '';
    let hung = false;
    const restart = (): NodeJS.Timeout =>
      setTimeout(() => {
        hung = true;
        child.kill('SIGKILL');
      }, options.timeoutMs);
    let timer = restart();
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-2000)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      clearTimeout(timer);
      timer = restart();
      done++;
      const result = JSON.parse(line) as DamageResult;
      add(totals, result);
      options.onResult?.(result);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (done === count && code === 0) resolve({ done, trouble: '' });
      else resolve({ done, trouble: hung ? 'hang' : `crash: code ${code}, signal ${signal}: ${stderr}` });
    });
  });

const add = (totals: DamageTotals, result: DamageResult): void => {
  const { seed, base, kind } = result;
  totals.stores++;
  for (const key of ['fsck', 'mount', 'repair'] as const) {
    const outcome = `${key} ${result[key]}`;
    totals.outcomes[outcome] = (totals.outcomes[outcome] ?? 0) + 1;
  }
  if (result.silent) totals.silent++;
  if (result.lost > 0) totals.lost++;
  for (const what of result.violations) totals.violations.push({ seed, base, kind, what });
};
