/** `node kill-main.js [--rounds N] [--seed N]`: see kill-rounds.ts. Exits 1 on a violation. */
import { parseArgs } from 'node:util';
import { killRounds } from './kill-rounds.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '500' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
let withIntents = 0;
const started = Date.now();
console.log(`${values.rounds} kills, seed ${values.seed}`);
const wrong = await killRounds({
  rounds: Number(values.rounds),
  seed: Number(values.seed),
  onRound: (round, found, waiting) => {
    if (waiting > 0) withIntents++;
    for (const one of found) console.log(`round ${round}: ${one}`);
    if ((round + 1) % 50 === 0)
      console.log(`${round + 1} kills, ${((Date.now() - started) / 1000).toFixed(0)} s`);
  },
});
console.log(`${values.rounds} kills, ${withIntents} with an intent log, ${wrong.length} violations`);
process.exitCode = wrong.length === 0 ? 0 : 1;
