/**
 * Random operations on a small tree, against the model in memory: on a plain directory (which checks the model), the
 * core, and a mount. VNODEFS_SEED replays one seed, or some (1,2,5); VNODEFS_OPS sets the length of each sequence.
 */
import t, { type Test } from 'tap';
import { coreExists, openCoreTarget } from '../harness/core-target.js';
import { fullSize, lacks, mountStore, VNODEFS_CAPABILITIES } from '../harness/mount.js';
import { openPlainTarget } from '../harness/plain-target.js';
import type { Path, PosixClient } from '../harness/posix-client.js';
import { RealClient } from '../harness/real-client.js';
import { runModel } from './tree-runner.js';

const given = process.env['VNODEFS_SEED'];
const SEEDS = given !== undefined ? given.split(',').map(Number) : [1, 2, 3, Date.now() % 1_000_000];
const COUNT = Number(process.env['VNODEFS_OPS'] ?? (fullSize ? 20_000 : 2_000));
/** With tiny budgets: invariants are checked at each step. */
const TINY_SEEDS = given !== undefined || !fullSize ? SEEDS : Array.from({ length: 20 }, (_, i) => i + 1);
const TINY_COUNT = Number(process.env['VNODEFS_OPS'] ?? (fullSize ? 100_000 : 2_000));
/** So few that its halves are used in turns. */
const INTENT_BYTES = 96 << 10;
/** Operations between two crashes. */
const CRASH_EVERY = 50;
const FULL_SIZE = { wholeEvery: 20_000, keepsTree: true };
if (fullSize) t.setTimeout(4 * 3600_000);

/** A plain directory that makes files one byte too short. */
class Forgetful extends RealClient {
  override truncate(path: Path, size: number): void {
    super.truncate(path, size > 4096 ? size - 1 : size);
  }
}

const agree = (ct: Test, client: PosixClient): void => {
  for (const seed of SEEDS) {
    const report = runModel(client, seed, COUNT);
    ct.equal(report, undefined, `seed ${seed}, ${COUNT} operations`);
    if (report !== undefined) ct.comment(report);
  }
};

await t.test('plain directory', (ct) => {
  const target = openPlainTarget();
  ct.teardown(() => target.close());
  agree(ct, target.client);
  ct.end();
});

await t.test('a filesystem that forgets a truncation is found, and the log shrinks', (ct) => {
  const target = openPlainTarget();
  ct.teardown(() => target.close());
  const broken = new Forgetful('plain', target.client.root, target.client.capabilities);
  const report = runModel(broken, 1, 1_000) ?? '';
  ct.match(report, /"op":"truncate"/, 'the log holds the culprit');
  ct.ok(Number(/shrunk to (\d+)/.exec(report)?.[1]) <= 4, report.split('\n')[1]);
  ct.end();
});

await t.test('the core', { skip: coreExists ? false : 'no core in this tree' }, async (ct) => {
  const target = await openCoreTarget();
  agree(ct, target.client);
  target.close();
});

await t.test(
  'the core with next to no memory',
  { skip: coreExists ? false : 'no core in this tree' },
  async (ct) => {
    if (fullSize) ct.setTimeout(4 * 3600_000);
    for (const seed of TINY_SEEDS) {
      // 8 vnodes and 16 pages: less than one directory of the model. (Chunks of 16 KiB: punching a hole may need two.)
      const budgets = { pages: 16, vnodesMax: 8, mkfs: { chunkBytes: 16_384 } };
      const target = await openCoreTarget({
        ...budgets,
        churn: seed,
        ...(fullSize && { askStoreEvery: 400 }),
      });
      // A hundred thousand steps would take hours if the store were asked at each, or the tree compared as often.
      const onStep = (): void => target.check({ asksStore: !fullSize });
      const report = runModel(target.client, seed, TINY_COUNT, { onStep, ...(fullSize && FULL_SIZE) });
      ct.equal(report, undefined, `seed ${seed}, ${TINY_COUNT} operations`);
      if (report !== undefined) ct.comment(report);
      target.close();
    }
  },
);

await t.test('the core with an intent log, crashed again and again', async (ct) => {
  for (const seed of SEEDS) {
    const target = await openCoreTarget({ pages: 128, vnodesMax: 32, churn: seed, intents: INTENT_BYTES });
    let steps = 0;
    let brought = 0;
    const onStep = (): void => {
      if (++steps % CRASH_EVERY === 0) brought += target.checkCrash();
    };
    const report = runModel(target.client, seed, COUNT, { onStep });
    ct.equal(report, undefined, `seed ${seed}, ${COUNT} operations`);
    if (report !== undefined) ct.comment(report);
    ct.ok(brought > 0, `the intent log brought ${brought} groups in ${steps / CRASH_EVERY} crashes`);
    target.close();
  }
});

await t.test('a mount', { skip: lacks('renameFlags', 'linkedNames') }, (ct) => {
  const mounted = mountStore(ct);
  agree(ct, new RealClient('mount', mounted.mnt, VNODEFS_CAPABILITIES));
  mounted.fsck();
  ct.end();
});
