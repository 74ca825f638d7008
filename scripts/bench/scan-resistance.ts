/**
 * What a scan leaves of a hot set: node build/scripts/bench/scan-resistance.js [--hot N] [--opens N] [--scan N]
 * [--vnodes N] [--pages N]. Prints the hit ratios when the hot set is used again, and those of a plain LRU of the same
 * size.
 */
import { parseArgs } from 'node:util';
import { compareScan, type HitRatios } from './scan-policies.js';

const { values } = parseArgs({
  options: {
    hot: { type: 'string', default: '1000' },
    opens: { type: 'string', default: '10' },
    scan: { type: 'string', default: '50000' },
    vnodes: { type: 'string', default: '10000' },
    pages: { type: 'string', default: '16384' },
  },
});
const plan = {
  hot: Number(values.hot),
  opens: Number(values.opens),
  scan: Number(values.scan),
  vnodes: Number(values.vnodes),
  pages: Number(values.pages),
};
const show = (name: string, { vnodes, pages }: HitRatios): void =>
  console.log(
    `${name.padEnd(10)} vnodes ${(vnodes * 100).toFixed(1)} %, pages ${(pages * 100).toFixed(1)} %`,
  );
const { ours, plainLru } = compareScan(plan);
console.log(JSON.stringify(plan));
show('vnodefs', ours);
show('plain LRU', plainLru);
