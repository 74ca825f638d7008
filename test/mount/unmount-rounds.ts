/**
 * Rounds of mount, load, forced unmount in a daemon that serves a second mount under load all the time: after each
 * round nothing may be left of it, and the daemon's descriptors, threads and memory must not grow.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { UnmountReport } from '../../src/daemon/unmount-report.js';
import { checkStore } from '../../src/store/fsck.js';
import { type Running, until } from '../harness/commands.js';
import { cli, cliOk, forceUnmount, mountedDevice, processAlive } from '../harness/mount.js';
import { startLoad } from '../harness/mount-load.js';

const LOAD_MS = 4 * 3_600_000;
const WAIT_MS = 60_000;
/** Descriptors and threads of a syncer go when its thread has ended, a moment after the report. */
const SETTLE_MS = 10_000;
/** What the garbage collector's sawtooth may look like between two halves of the rounds. */
const FLAT_MIB = 16;
const LOADS_PER_ROUND = 2;

interface Resources {
  descriptors: number;
  threads: number;
  rssMiB: number;
}

export interface Rounds {
  rounds: number;
  /** Called after each. */
  onRound?: (round: number, resources: Resources, seconds: number) => void;
}

const resourcesOf = (pid: number): Resources => ({
  descriptors: readdirSync(`/proc/${pid}/fd`).length,
  threads: readdirSync(`/proc/${pid}/task`).length,
  rssMiB: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? NaN) / 1024,
});

class Round {
  readonly #base: string;
  readonly #beside: string;
  readonly mnt: string;
  readonly #store: string;
  readonly wrong: string[] = [];

  constructor(base: string, beside: string, round: number) {
    this.#base = base;
    this.#beside = beside;
    this.mnt = join(base, 'round');
    this.#store = join(base, `round-${round}.db`);
  }

  async play(): Promise<void> {
    cliOk(['mount', this.#store, this.mnt, '--join', this.#beside]);
    const stop = join(this.#base, 'stop-round');
    const seeds = Array.from({ length: LOADS_PER_ROUND }, (_, i) => i + 1);
    const loads = seeds.map((seed): Running => {
      mkdirSync(join(this.mnt, String(seed)));
      return startLoad(join(this.mnt, String(seed)), stop, seed);
    });
    await until('load on the mount', () => seeds.every((seed) => existsSync(`${stop}.${seed}`)), WAIT_MS);
    this.#unmount(loads.length);
    for (const { done } of loads) {
      const { status, stderr } = await done;
      if (status === 0 || !/EIO|ENOTCONN|ECONNABORTED|EROFS|ENOENT/.test(stderr))
        this.wrong.push(`a load was not cut off: exit ${status} ${stderr.slice(-200)}`);
    }
    for (const seed of seeds) rmSync(`${stop}.${seed}`);
    if (mountedDevice(this.mnt) !== undefined) this.wrong.push('still mounted');
    const { findings } = checkStore(this.#store);
    if (findings.length > 0) this.wrong.push(`fsck: ${JSON.stringify(findings.slice(0, 3))}`);
    for (const suffix of ['', '-wal', '-shm', '-intent']) rmSync(`${this.#store}${suffix}`, { force: true });
  }

  #unmount(users: number): void {
    const { status, stdout, stderr } = cli(['umount', '--force', '--timeout', '60', this.mnt, '--json']);
    if (status !== 0) {
      this.wrong.push(`umount --force: exit ${status}: ${stderr.trim()}`);
      return;
    }
    const { outcome, cutOff } = JSON.parse(stdout) as UnmountReport;
    if (outcome !== 'unmounted' || cutOff.length > users)
      this.wrong.push(`${outcome}, cut off ${JSON.stringify(cutOff)}`);
  }
}

const median = (values: number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];

const memoryGrowth = (rssMiB: number[]): string[] => {
  if (rssMiB.length < 8) return []; // the first rounds warm the daemon up
  const quarter = rssMiB.length >> 2;
  const grown = median(rssMiB.slice(-quarter)) - median(rssMiB.slice(quarter, 2 * quarter));
  return grown > FLAT_MIB ? [`memory grew by ${grown.toFixed(1)} MiB in the second half`] : [];
};

/** Returns what was wrong, one sentence each. */
export const unmountRounds = async ({ rounds, onRound }: Rounds): Promise<string[]> => {
  const base = mkdtempSync(join(tmpdir(), 'vnodefs-rounds-'));
  const [beside, mnt, stop] = ['beside', 'round', 'stop'].map((name) => join(base, name));
  mkdirSync(beside);
  mkdirSync(mnt);
  // Small budgets: what the load fills (names, vnodes, pages) is full before memory is compared.
  const budgets = ['--pages', '8MiB', '--vnodes', '1000'];
  const mounted = cliOk(['mount', join(base, 'beside.db'), beside, '--json', ...budgets]);
  const { pid } = JSON.parse(mounted.stdout) as { pid: number };
  const load = startLoad(beside, stop, 9, { timeoutMs: LOAD_MS });
  const wrong: string[] = [];
  const rssMiB: number[] = [];
  try {
    let usual: Resources | undefined;
    for (let round = 0; round < rounds; round++) {
      const startMs = performance.now();
      const played = new Round(base, beside, round);
      await played.play();
      wrong.push(...played.wrong.map((text) => `round ${round}: ${text}`));
      const grown = (): boolean => {
        const { descriptors, threads } = resourcesOf(pid);
        return usual !== undefined && (descriptors > usual.descriptors || threads > usual.threads);
      };
      await until('the round’s descriptors and threads to go', () => !grown(), SETTLE_MS).catch(
        () => undefined,
      );
      const now = resourcesOf(pid);
      if (grown()) wrong.push(`round ${round}: ${JSON.stringify(now)} after ${JSON.stringify(usual)}`);
      usual ??= now;
      rssMiB.push(now.rssMiB);
      onRound?.(round, now, (performance.now() - startMs) / 1000);
    }
    writeFileSync(stop, '');
    const { status, stderr } = await load.done;
    if (status !== 0) wrong.push(`the load on the other mount: exit ${status}: ${stderr.slice(-300)}`);
    cliOk(['umount', beside]);
    if (processAlive(pid)) wrong.push('the daemon is left');
    return [...wrong, ...memoryGrowth(rssMiB)];
  } finally {
    writeFileSync(stop, '');
    await load.done;
    for (const one of [mnt, beside]) forceUnmount(one);
    rmSync(base, { recursive: true, force: true, maxRetries: 3 });
  }
};
