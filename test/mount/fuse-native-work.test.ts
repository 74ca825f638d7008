/** Real work on a mount by fuse-native, and its ends. Where the package is not installed: see fuse-native.test.ts. */
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run } from '../harness/commands.js';
import { NATIVE, withoutNative } from '../harness/fuse-native.js';
import {
  cli,
  cliOk,
  fullSize,
  mountedDevice,
  type MountedStore,
  mountStore,
  processAlive,
} from '../harness/mount.js';
import { compareTrees } from '../harness/tree-compare.js';

// Starting so many daemons takes long on a busy machine.
t.setTimeout(900_000);
const skip = withoutNative;
const onNative = (t: Test): MountedStore => mountStore(t, { args: NATIVE });

await t.test('real work: cp -a and compare, git clone and fsck, SQLite, fio with verify', { skip }, (t) => {
  const mounted = onNative(t);
  const work = join(mounted.base, 'work');
  mkdirSync(join(work, 'sub/empty'), { recursive: true });
  for (let i = 0; i < 200; i++) writeFileSync(join(work, `sub/${i}`), 'x'.repeat(i * 97));
  linkSync(join(work, 'sub/1'), join(work, 'hard'));
  run('ln', ['-s', 'sub/2', join(work, 'soft')]);
  run('find', [work, '-exec', 'touch', '-h', '-d', '@1600000000.123', '{}', '+']);
  run('cp', ['-a', work, join(mounted.mnt, 'work')], { timeoutMs: 120_000 });
  const source = join(mounted.base, 'source');
  const git = (...args: string[]): string =>
    run('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', ...args], { timeoutMs: 120_000 });
  git('init', '-q', source);
  run('cp', ['-r', work, join(source, 'files')]);
  git('-C', source, 'add', '-A');
  git('-C', source, 'commit', '-qm', 'all');
  git('clone', '-q', '--no-local', source, join(mounted.mnt, 'clone'));
  git('-C', join(mounted.mnt, 'clone'), 'fsck', '--strict');
  t.equal(git('-C', join(mounted.mnt, 'clone'), 'status', '--porcelain'), '');
  const sql = [
    'pragma journal_mode',
    'create table a(x)',
    'with recursive n(i) as (select 1 union all select i+1 from n where i<2000) ' +
      'insert into a select i from n',
    'delete from a where x%3=0',
    'select count(*) from a',
    'pragma integrity_check',
  ].join('; ');
  t.equal(run('sqlite3', [join(mounted.mnt, 'q.db'), sql], { timeoutMs: 60_000 }).trim(), 'delete\n1334\nok');
  const size = fullSize ? '256m' : '8m';
  run(
    'fio',
    [
      '--name=v',
      `--directory=${mounted.mnt}`,
      '--rw=randrw',
      '--bs=4k',
      `--size=${size}`,
      '--verify=crc32c',
      '--do_verify=1',
      '--verify_fatal=1',
      '--fsync=200',
      '--randseed=7',
      '--output=/dev/null',
    ],
    { timeoutMs: 240_000 },
  );
  mounted.remount();
  t.strictSame(compareTrees(work, join(mounted.mnt, 'work')).differences, []);
  mounted.fsck();
  t.end();
});

await t.test(
  'unmount: busy stays, a plain umount ends the daemon, so does SIGTERM with open files',
  { skip },
  async (t) => {
    const mounted = onNative(t);
    const fd = openSync(join(mounted.mnt, 'f'), 'w');
    const busy = cli(['umount', mounted.mnt]);
    t.equal(busy.status, 6);
    t.match(busy.stderr, /is busy/);
    writeSync(fd, 'kept');
    const { pid } = mounted;
    process.kill(pid, 'SIGTERM');
    for (let i = 0; i < 600 && processAlive(pid); i++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    t.notOk(processAlive(pid), 'the daemon has gone');
    t.equal(mountedDevice(mounted.mnt), undefined);
    closeSync(fd);
    mounted.pid = 0;
    mounted.mount();
    t.equal(readFileSync(join(mounted.mnt, 'f'), 'utf8'), 'kept');
    const second = mounted.pid;
    run('umount', [mounted.mnt]);
    for (let i = 0; i < 600 && processAlive(second); i++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    t.notOk(processAlive(second));
    mounted.pid = 0;
    cliOk(['fsck', mounted.store]);
    t.notOk(existsSync(`${mounted.store}-wal`));
  },
);
