/** 20 SIGKILLs under a mixed load (500: scripts/soak/kill). */
import t from 'tap';
import { fullSize, onPlainDirectory } from '../harness/mount.js';
import { killRounds } from './kill-rounds.js';

const SEED = Number(process.env['VNODEFS_SEED'] ?? Date.now() % 1_000_000);

await t.test(
  `killed at random moments (seed ${SEED})`,
  { skip: onPlainDirectory ? 'about the daemon' : false, timeout: 7_200_000 },
  async (t) => {
    t.strictSame(await killRounds({ rounds: fullSize ? 500 : 20, seed: SEED }), []);
  },
);
