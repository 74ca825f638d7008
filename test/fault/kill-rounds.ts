/** SIGKILL of the daemon at random moments under a mixed load, then the next mount, fsck and a look at everything. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Prng } from '../../src/base/prng.js';
import { checkStore } from '../../src/store/fsck.js';
import { pendingIntents } from '../../src/store/intent-replay.js';
import { until } from '../harness/commands.js';
import { cliOk, MountedStore } from '../harness/mount.js';
import { MixedLoad } from './load.js';

export interface KillOptions {
  rounds: number;
  seed: number;
  /** `waiting`: groups that the intent log had and the store lacked. */
  onRound?: (round: number, wrong: string[], waiting: number) => void;
}

const LOAD_MS = 120_000;

/** Returns what was wrong, with the round's number; empty if nothing. */
export const killRounds = async ({ rounds, seed, onRound }: KillOptions): Promise<string[]> => {
  const random = new Prng(seed);
  // So short an interval that commits fall between any two steps of the load.
  const args = ['--sync-interval', '0.05', '-o', 'rehearsal'];
  const mounted = new MountedStore({ args });
  const all: string[] = [];
  try {
    mounted.mount();
    for (let round = 0; round < rounds; round++) {
      const dir = join(mounted.mnt, `round-${round}`);
      const load = new MixedLoad(dir, join(mounted.base, `progress-${round}`));
      load.start(LOAD_MS, true);
      // On a busy machine the programs take long to start.
      await until('the load to begin', () => load.begun, LOAD_MS);
      await sleep(random.int(800));
      await mounted.kill();
      await load.stop();
      const wrong = checkStore(mounted.store).findings.map(
        ({ rule, message }) => `fsck: ${rule}: ${message}`,
      );
      const waiting = pendingIntents(mounted.store);
      const { stdout } = cliOk(['mount', mounted.store, mounted.mnt, '--json', ...args], {
        timeoutMs: LOAD_MS,
      });
      mounted.pid = (JSON.parse(stdout) as { pid: number }).pid;
      wrong.push(...load.check());
      onRound?.(round, wrong, waiting);
      all.push(...wrong.map((one) => `round ${round}: ${one}`));
      rmSync(dir, { recursive: true, force: true });
    }
    mounted.fsck();
  } finally {
    mounted.dispose();
  }
  return all;
};
