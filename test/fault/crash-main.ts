/**
 * `node crash-main.js [--variants N] [--sample N] [--seed N] [--only TEXT] [--sabotage no-sync|early-barrier] [--json
 * FILE]`: records every workload and replays each point of it. Exits 1 on a violation; with --sabotage, when there is
 * none.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { recordWorkload } from './crash-record.js';
import { CrashReplayer, type ReplayResult } from './crash-replay.js';
import { WORKLOADS } from './crash-workloads.js';
import type { Sabotage } from './rig-daemon.js';

const { values } = parseArgs({
  options: {
    variants: { type: 'string', default: '20' },
    sample: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    only: { type: 'string', default: '' },
    sabotage: { type: 'string', default: 'none' },
    json: { type: 'string' },
  },
});
const sabotage = values.sabotage as Sabotage;
if (!['none', 'no-sync', 'early-barrier'].includes(sabotage))
  throw new Error('--sabotage is no-sync or early-barrier');
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const results: ReplayResult[] = [];
console.log(`seed ${values.seed}${sabotage === 'none' ? '' : `, sabotage: ${sabotage}`}`);
for (const workload of WORKLOADS.filter(({ name }) => name.includes(values.only))) {
  const started = Date.now();
  const recording = await recordWorkload(workload, { sabotage });
  const result = new CrashReplayer(recording, {
    variants: Number(values.variants),
    seed: Number(values.seed),
    sampleOneIn: Number(values.sample),
    violationsMax: 5,
    scratch,
  }).run();
  results.push(result);
  const { name, points, images, opened, replayed, groups, changes, violations } = result;
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  console.log(
    `${name}: ${changes} changes, ${groups} groups, ${points} points, ${images} images, ${opened} opened, ` +
      `${replayed} with an intent log, ${violations.length} violations, ${seconds} s`,
  );
  for (const violation of violations) console.log(`  ${violation}`);
}
const sum = (of: (result: ReplayResult) => number): number =>
  results.reduce((total, result) => total + of(result), 0);
const violations = sum((result) => result.violations.length);
console.log(
  `${results.length} workloads, ${sum((r) => r.points)} points, ${sum((r) => r.images)} images, ${violations} violations`,
);
if (values.json !== undefined)
  writeFileSync(values.json, JSON.stringify({ seed: values.seed, sabotage, results }, null, 1));
process.exitCode = violations > 0 === (sabotage === 'none') ? 1 : 0;
