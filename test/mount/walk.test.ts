/**
 * Memory is bounded by the budgets, whatever is walked: scripts/soak/walk on a small number of files. VNODEFS_FULL=1
 * has a million of them.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { tryRun } from '../harness/commands.js';
import { fullSize, onPlainDirectory } from '../harness/mount.js';

const WALK = fileURLToPath(new URL('../../scripts/soak/walk.js', import.meta.url));
const FILES = fullSize ? 1_000_000 : 100_000;
const LIMIT_MS = fullSize ? 14_400_000 : 900_000;
t.setTimeout(LIMIT_MS + 10_000);

interface Report {
  wrong: string[];
  counters: Record<string, number>;
}

await t.test(
  `${FILES} files created, found, examined and read within 10,000 vnodes and 64 MiB of pages`,
  { skip: onPlainDirectory ? 'about mounts' : false },
  (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'vnodefs-walk-test-'));
    t.teardown(() => rmSync(dir, { recursive: true }));
    const json = join(dir, 'report.json');
    const args = [WALK, String(FILES), '--dir', dir, '--json', json];
    const { status, stdout, stderr } = tryRun(process.execPath, args, { timeoutMs: LIMIT_MS });
    t.equal(status, 0, stderr);
    for (const line of stdout.split('\n')) if (line !== '') t.comment(line);
    const { wrong, counters } = JSON.parse(readFileSync(json, 'utf8')) as Report;
    t.strictSame(
      wrong,
      [],
      'memory below 300 MiB and flat; the kernel remembers about as many inodes as there are vnodes',
    );
    // Made, and walked three times: nearly all of them pass through the cache each time that the kernel asks.
    t.ok(counters['vnodeReclaims'] > 2 * FILES, `${counters['vnodeReclaims']} vnodes reclaimed`);
    t.ok(
      counters['prunedInodes'] > FILES,
      `the kernel was asked to let go of ${counters['prunedInodes']} inodes`,
    );
    t.equal(counters['vnlruNowhereTotal'], 0, 'the recycler always got somewhere');
    t.comment(`longest slice of the recycler: ${counters['vnlruLongestSliceUs']} µs`);
    t.end();
  },
);
