/** `node damage-main.js [--stores N] [--seed N] [--jobs N] [--json FILE]`: see scripts/soak/damage. Exits 1 on a violation. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { damageSoak } from './damage-soak.js';

const { values } = parseArgs({
  options: {
    stores: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    jobs: { type: 'string', default: '2' },
    json: { type: 'string' },
  },
});
console.log(`seed ${values.seed}`);
const started = Date.now();
let done = 0;
const totals = await damageSoak({
  seed: Number(values.seed),
  stores: Number(values.stores),
  jobs: Number(values.jobs),
  timeoutMs: 120_000,
  onResult: ({ seed, base, kind, violations, lost, repair }) => {
    if (++done % 500 === 0) console.log(`${done} stores, ${((Date.now() - started) / 1000).toFixed(0)} s`);
    for (const what of violations) console.log(`VIOLATION seed ${seed} (${base}, ${kind}): ${what}`);
    if (repair === 'remaining') console.log(`not repaired: seed ${seed} (${base}, ${kind})`);
    if (lost > 0) console.log(`lost by the repair: seed ${seed} (${base}, ${kind}): ${lost} files`);
  },
});
const { stores, outcomes, silent, lost, violations } = totals;
console.log(
  Object.entries(outcomes)
    .sort()
    .map(([name, count]) => `${name}: ${count}`)
    .join(', '),
);
console.log(
  `${stores} damaged stores, ${violations.length} violations; values changed unnoticed: ${silent}; repairs that lost files: ${lost}`,
);
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(totals, null, 1));
process.exitCode = violations.length > 0 ? 1 : 0;
