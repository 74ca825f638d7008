/**
 * The exercisers of scripts/fsx on a mount with next to no memory: no difference; and on a mount that is broken on
 * purpose: found, and the log shrinks. VNODEFS_SEED: the first of the seeds.
 */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Result, tryRun } from '../harness/commands.js';
import { faultEnv } from '../harness/fault.js';
import { fullSize, onPlainDirectory, REPOSITORY } from '../harness/mount.js';

const EXERCISER = join(REPOSITORY, 'build/scripts/exerciser/main.js');
const SEED = Number(process.env['VNODEFS_SEED'] ?? Date.now() % 1_000_000);
// Starting processes and mounts takes long on a busy machine.
t.setTimeout(fullSize ? 86_400_000 : 1_800_000);
/** Teams at the same time on one mount: each waits for its turns most of the time. */
const TEAMS = fullSize ? 10 : 4;
const OPS = (fullSize ? 1_000_000 : 20_000) / TEAMS;
const TREE_OPS = (fullSize ? 200_000 : 6_000) / TEAMS;
const FOUND_WITHIN = 10_000;
const skip = onPlainDirectory ? 'about mounts; scripts/fsx --dir exercises a directory' : false;

const exercise = (...args: string[]): Result =>
  tryRun(process.execPath, [EXERCISER, '--json', ...args], { timeoutMs: fullSize ? 86_400_000 : 800_000 });

interface Report {
  operations: number;
  failure?: { index: number; what: string; log: { op: string }[] };
}

const agrees = (ct: Test, ops: number, ...args: string[]): void => {
  const seeds = `${SEED}-${SEED + TEAMS - 1}`;
  const result = exercise('--ops', String(ops), '--seeds', seeds, '--jobs', String(TEAMS), ...args);
  ct.equal(result.status, 0, `seeds ${seeds}`);
  if (result.status !== 0) ct.comment(result.stdout.slice(0, 20_000) + result.stderr);
  else ct.equal((JSON.parse(result.stdout) as Report).operations, ops * TEAMS);
};

await t.test(`file data (seeds from ${SEED})`, { skip }, (ct) => {
  agrees(ct, OPS);
  ct.end();
});

await t.test(`names, links and attributes (seeds from ${SEED})`, { skip }, (ct) => {
  agrees(ct, TREE_OPS, '--tree');
  ct.end();
});

for (const fault of ['read', 'truncate'] as const) {
  await t.test(`a ${fault} that is wrong is found within ${FOUND_WITHIN} operations`, { skip }, (ct) => {
    const environment = Object.entries(faultEnv(fault)).flatMap(([name, value]) => [
      '--daemon-env',
      `${name}=${value}`,
    ]);
    const limits = ['--ops', String(FOUND_WITHIN), '--seeds', String(SEED), '--shrink-seconds', '15'];
    const result = exercise(...limits, ...environment);
    ct.equal(result.status, 1, `seed ${SEED}`);
    const { failure } = JSON.parse(result.stdout) as Report;
    ct.ok(failure, 'there is a difference');
    ct.comment(`operation ${failure?.index}: ${failure?.what}; shrunk to ${failure?.log.length}`);
    // A read that goes wrong by counting reads need not go wrong again in a part of the log.
    if (fault === 'truncate') {
      ct.ok(failure && failure.log.length < failure.index, 'the log has become shorter');
      ct.ok(
        failure?.log.some(({ op }) => op === 'truncate'),
        'and holds the culprit',
      );
    }
    ct.end();
  });
}
