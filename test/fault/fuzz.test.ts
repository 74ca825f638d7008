/** Requests that no kernel would send. 20,000 of them, or 200,000 with VNODEFS_FULL=1; scripts/soak/fuzz sends 1,000,000. */
import t from 'tap';
import { fullSize } from '../harness/mount.js';
import { Fuzzer } from './fuzz.js';

const SEED = Number(process.env['VNODEFS_SEED'] ?? Date.now() % 1_000_000);
const ROUNDS = fullSize ? 20 : 2;

for (let round = 0; round < ROUNDS; round++) {
  await t.test(`10,000 fuzzed requests (seed ${SEED + round})`, { timeout: 600_000 }, (t) => {
    const { requests, answers, errnos, malformed, violations } = new Fuzzer(SEED + round).run(10_000);
    t.strictSame(violations, []);
    t.equal(requests, 10_000);
    t.ok(answers > 5000 && errnos['0'] > 500 && malformed > 50, 'some succeed, some are no messages at all');
    t.end();
  });
}
