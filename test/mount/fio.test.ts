/** fio writes at random, reads back and checks each block's checksum: buffered, direct, through mmap. */
import { join } from 'node:path';
import t from 'tap';
import { has, run } from '../harness/commands.js';
import { fullSize, mountStore } from '../harness/mount.js';

const SIZE = fullSize ? '512m' : '24m';
const variants: [string, string[]][] = [
  ['buffered', ['--ioengine=psync', '--bsrange=1k-64k', '--fsync=200']],
  ['direct', ['--ioengine=psync', '--direct=1', '--bs=4k']],
  ['mmap', ['--ioengine=mmap', '--bs=4k']],
  ['two jobs with large blocks', ['--ioengine=psync', '--bs=256k', '--numjobs=2', '--end_fsync=1']],
];

for (const [name, args] of variants) {
  await t.test(`verified random reads and writes, ${name}`, { skip: has('fio') ? false : 'no fio' }, (ct) => {
    const mounted = mountStore(ct);
    const fio = (...more: string[]): void => {
      const base = [
        '--name=job',
        `--directory=${mounted.mnt}`,
        `--size=${SIZE}`,
        '--verify=crc32c',
        '--verify_fatal=1',
      ];
      run(
        'fio',
        [...base, '--rw=randrw', '--rwmixread=30', '--randseed=11', '--norandommap=0', ...args, ...more],
        {
          timeoutMs: 600_000,
          cwd: mounted.base,
        },
      );
    };
    fio('--do_verify=1');
    ct.pass('written and verified');
    const sums = (): string =>
      run('sh', ['-c', 'cd "$1" && sha1sum job*', 'sh', mounted.mnt], { timeoutMs: 300_000 });
    const before = sums();
    mounted.carryElsewhere();
    ct.equal(sums(), before, 'the same bytes in the carried store');
    ct.match(run('ls', [join(mounted.mnt)]), /job/);
    mounted.fsck();
    ct.end();
  });
}
