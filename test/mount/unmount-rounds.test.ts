/** A few rounds of mount, load, forced unmount beside another mount; scripts/soak/unmount plays 200. */
import t from 'tap';
import { fullSize, onPlainDirectory } from '../harness/mount.js';
import { unmountRounds } from './unmount-rounds.js';

const ROUNDS = fullSize ? 200 : 3;
const LIMIT_MS = fullSize ? 3_600_000 : 600_000;

t.setTimeout(LIMIT_MS);
const skip = onPlainDirectory ? 'about mounts' : false;

await t.test(
  `nothing is left after ${ROUNDS} forced unmounts under load`,
  { skip, timeout: LIMIT_MS },
  async (ct) => {
    ct.strictSame(await unmountRounds({ rounds: ROUNDS }), []);
  },
);
