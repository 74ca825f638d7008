/** Damaged stores: 100, or 2,000 with VNODEFS_FULL=1; scripts/soak/damage does 10,000. What counts as a violation: damage-one.ts. */
import t from 'tap';
import { fullSize } from '../harness/mount.js';
import { damageSoak } from './damage-soak.js';

const SEED = Number(process.env['VNODEFS_SEED'] ?? Date.now() % 1_000_000);
const STORES = fullSize ? 2000 : 100;

await t.test(`${STORES} damaged stores (seed ${SEED})`, { timeout: 3_600_000 }, async (t) => {
  const { stores, outcomes, silent, violations } = await damageSoak({
    seed: SEED,
    stores: STORES,
    jobs: 1,
    timeoutMs: 120_000,
  });
  t.comment(JSON.stringify(outcomes), `values changed unnoticed: ${silent}`);
  t.strictSame(violations, []);
  t.equal(stores, STORES);
  t.ok(outcomes['fsck findings'] > 0 && outcomes['repair clean'] > 0, 'damage was found and repaired');
});
