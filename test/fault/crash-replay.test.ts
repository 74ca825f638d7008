/**
 * The crash contract by replay, small: a few workloads, sampled points. All of it: scripts/soak/crash. That the replay
 * can fail is shown by two deliberate bugs.
 */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import t from 'tap';
import { fullSize } from '../harness/mount.js';
import { recordWorkload } from './crash-record.js';
import { CrashReplayer, type ReplayResult } from './crash-replay.js';
import { WORKLOADS } from './crash-workloads.js';
import type { Sabotage } from './rig-daemon.js';

const SEED = Number(process.env['VNODEFS_SEED'] ?? Date.now() % 1_000_000);
const CI_WORKLOADS = ['atomic save', 'hard links', 'everything at once'];
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

const replay = async (name: string, sabotage: Sabotage, sampleOneIn: number): Promise<ReplayResult> => {
  const workload = WORKLOADS.find((one) => one.name === name);
  if (workload === undefined) throw new Error(`no workload ${name}`);
  const recording = await recordWorkload(workload, { sabotage });
  const variants = fullSize ? 20 : 4;
  return new CrashReplayer(recording, { variants, seed: SEED, sampleOneIn, violationsMax: 3, scratch }).run();
};

for (const { name } of WORKLOADS.filter((one) => fullSize || CI_WORKLOADS.includes(one.name))) {
  await t.test(`${name} (seed ${SEED})`, { timeout: 3_600_000 }, async (t) => {
    const { points, images, groups, replayed, violations } = await replay(name, 'none', fullSize ? 1 : 40);
    t.comment(`${points} points, ${images} images, ${groups} groups, ${replayed} images with an intent log`);
    t.ok(points > 0 && groups > 3, 'something was replayed');
    t.strictSame(violations, []);
  });
}

for (const sabotage of ['no-sync', 'early-barrier'] as const) {
  await t.test(`with a bug (${sabotage}) the replay finds violations (seed ${SEED})`, async (t) => {
    const { violations } = await replay('append log', sabotage, 10);
    t.ok(violations.length > 0);
    t.match(violations[0], /a barrier that had returned promised/);
  });
}
