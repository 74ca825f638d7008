/** A large file read from front to back after a new mount, alone and beside a writer that commits all the time. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Prng } from '../../src/base/prng.js';
import { run, start } from '../harness/commands.js';
import { cliOk, type MountedStore, mountStore, onPlainDirectory } from '../harness/mount.js';

const skip = onPlainDirectory ? 'about the daemon' : false;
const BYTES = 24 << 20;
const LIMIT_MS = 60_000;

const chunksReadAhead = (mounted: MountedStore): number => {
  const { mounts } = JSON.parse(cliOk(['status', mounted.mnt, '--json']).stdout) as {
    mounts: { counters: Record<string, number> }[];
  };
  return mounts[0].counters.chunksReadAhead;
};

await t.test('what is read ahead is what was written', { skip }, async (t) => {
  // A small pool: little of the file can stay in it.
  const mounted = mountStore(t, { args: ['--pages', '16MiB', '--sync-interval', '0.05'] });
  const source = join(mounted.base, 'source');
  writeFileSync(source, new Prng(3).fill(new Uint8Array(BYTES)));
  const file = join(mounted.mnt, 'file');
  run('cp', [source, file], { timeoutMs: LIMIT_MS });
  mounted.remount();
  run('cmp', [source, file], { timeoutMs: LIMIT_MS });
  const quiet = chunksReadAhead(mounted);
  t.ok(quiet > 50, `${quiet} of ${BYTES >> 16} chunks were read ahead`);

  mounted.remount();
  // dd writes the same bytes again, in an order of its own, with a commit after each.
  const writer = start(
    'sh',
    [
      '-c',
      'for i in 300 20 340 100 370 5 250 60 383 150; do ' +
        'dd if="$1" of="$2" bs=64K skip=$i seek=$i count=1 conv=notrunc,fsync status=none; done',
      'sh',
      source,
      file,
    ],
    { timeoutMs: LIMIT_MS },
  );
  for (let i = 0; i < 3; i++) {
    run('cmp', [source, file], { timeoutMs: LIMIT_MS });
    run('sh', ['-c', 'dd if="$1" of=/dev/null iflag=direct bs=1M status=none', 'sh', file], {
      timeoutMs: LIMIT_MS,
    });
  }
  t.equal((await writer.done).status, 0);
  run('cmp', [source, file], { timeoutMs: LIMIT_MS });
  mounted.fsck();
});
