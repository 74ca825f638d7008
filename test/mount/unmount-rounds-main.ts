/** `node unmount-rounds-main.js [--rounds N]`: see unmount-rounds.ts. Exits 1 if anything was left. */
import { parseArgs } from 'node:util';
import { unmountRounds } from './unmount-rounds.js';

const SHOWN_EVERY = 20;

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '200' } } });
const wrong = await unmountRounds({
  rounds: Number(values.rounds),
  onRound: (round, { descriptors, threads, rssMiB }, seconds) => {
    if (round % SHOWN_EVERY !== 0 && round !== Number(values.rounds) - 1) return;
    const figures = `${descriptors} descriptors, ${threads} threads, ${rssMiB.toFixed(1)} MiB`;
    console.log(`round ${round}: ${figures} (${seconds.toFixed(1)} s)`);
  },
});
for (const sentence of wrong) console.log(sentence);
console.log(`${values.rounds} rounds, ${wrong.length} times something was wrong`);
process.exitCode = wrong.length === 0 ? 0 : 1;
