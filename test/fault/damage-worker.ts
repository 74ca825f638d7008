/** `node damage-worker.js DIR FIRST COUNT BASES…`: damages copies of the bases with COUNT seeds from FIRST; a line of JSON for each. */
import { mkdtempSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { copyStore } from './damage-base.js';
import { runDamage } from './damage-one.js';
import { walkStore } from './damage-walk.js';

const [dir, first, count, ...bases] = process.argv.slice(2);
const scratch = mkdtempSync(join(dir, 'worker-'));
try {
  const sound = new Map(
    bases.map((base) => {
      // Closing a store folds its log in, and the base must keep it.
      const copy = join(scratch, 'sound');
      copyStore(base, copy);
      const walked = walkStore(copy);
      rmSync(copy);
      return [base, walked];
    }),
  );
  for (const [base, { errors, wrong }] of sound) {
    if (errors.length + wrong.length > 0)
      throw new Error(`${base} is not sound: ${[...errors, ...wrong].join('; ')}`);
  }
  for (let seed = Number(first); seed < Number(first) + Number(count); seed++) {
    writeSync(1, `${JSON.stringify(runDamage(seed, bases, sound, scratch))}\n`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
