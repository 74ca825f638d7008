/** `node fuzz-main.js [--requests N] [--seed N]`: see scripts/soak/fuzz. Exits 1 on a violation. */
import { parseArgs } from 'node:util';
import { Fuzzer } from './fuzz.js';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
/** A new store each so often, so that states differ. */
const ROUND = 50_000;
const wanted = Number(values.requests);
const errnos: Record<string, number> = {};
let requests = 0;
let answers = 0;
let malformed = 0;
let violations = 0;
for (let seed = Number(values.seed); requests < wanted && violations === 0; seed++) {
  const result = new Fuzzer(seed).run(Math.min(ROUND, wanted - requests));
  requests += result.requests;
  answers += result.answers;
  malformed += result.malformed;
  violations += result.violations.length;
  for (const [errno, count] of Object.entries(result.errnos)) errnos[errno] = (errnos[errno] ?? 0) + count;
  console.log(`seed ${seed}: ${requests} requests, ${result.violations.length} violations`);
  for (const violation of result.violations) console.log(`  ${violation}`);
}
console.log(`answers by errno: ${JSON.stringify(errnos)}`);
console.log(`${requests} requests, ${answers} answers, ${malformed} malformed, ${violations} violations`);
process.exitCode = violations > 0 ? 1 : 0;
