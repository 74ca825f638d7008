/**
 * fuse-native by the real command line: its defects on the real binding (each is what native-notes/fuse-native.md says of it), real
 * work, and its ends. Where the package could not be installed only the sentence about that is tested.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run, tryRun } from '../harness/commands.js';
import {
  cli,
  cliOk,
  fullSize,
  mountedDevice,
  mountEntries,
  MountedStore,
  mountStore,
  processAlive,
} from '../harness/mount.js';
import { compareTrees } from '../harness/tree-compare.js';

const NATIVE = ['--transport', 'fuse-native'];
const installed = ((): boolean => {
  try {
    createRequire(import.meta.url).resolve('fuse-native');
    return true;
  } catch {
    return false;
  }
})();

const onNative = (t: Test, ...args: string[]): MountedStore => mountStore(t, { args: [...NATIVE, ...args] });

if (!installed) {
  await t.test('asking for it says that it is not installed', (t) => {
    const mounted = new MountedStore();
    t.teardown(() => mounted.dispose());
    const { status, stderr } = cli(['mount', mounted.store, mounted.mnt, ...NATIVE]);
    t.equal(status, 4);
    t.match(stderr, /fuse-native can't be used: the package fuse-native is not installed/);
    t.end();
  });
} else {
  await t.test('status says which transport, why, and what it can', (t) => {
    const mounted = onNative(t);
    const entry = mountEntries().find(({ mountpoint }) => mountpoint === mounted.mnt);
    t.match(entry, { transport: 'fuse-native', transportReason: 'asked for', state: 'running' });
    t.match(entry?.capabilities, { timeStepNs: 1e6, newFileOwner: 'mounter', prune: false });
    t.end();
  });

  await t.test(
    'times: the mtime that utimens loses is recovered, in milliseconds; one time alone is lost',
    (t) => {
      const { mnt } = onNative(t);
      const f = join(mnt, 'f');
      writeFileSync(f, 'x');
      run('touch', ['-a', '-m', '-d', '@1000.25', f]);
      utimesSync(f, 5.125, 77.5);
      t.strictSame([statSync(f).atimeMs, statSync(f).mtimeMs], [5125, 77_500], 'both, each its own');
      run('touch', ['-m', '-d', '@3000', f]);
      t.equal(statSync(f).mtimeMs, 77_500, 'the defect: libfuse drops a request with one time alone');
      run('touch', ['-d', '@-20.5', f]);
      t.strictSame([statSync(f).atimeMs, statSync(f).mtimeMs], [0, 0], 'before 1970 shows as 1970');
      t.end();
    },
  );

  await t.test(
    'an unlinked open file: no .fuse_hidden name, links 0, data goes on; its directory stays meanwhile',
    (t) => {
      const { mnt } = onNative(t);
      const dir = join(mnt, 'd');
      mkdirSync(dir);
      writeFileSync(join(dir, 'f'), 'old data');
      const fd = openSync(join(dir, 'f'), 'r+');
      unlinkSync(join(dir, 'f'));
      t.strictSame(readdirSync(dir), []);
      t.equal(fstatSync(fd).nlink, 0);
      writeSync(fd, 'NEW', 0);
      fsyncSync(fd);
      const buffer = Buffer.alloc(8);
      readSync(fd, buffer, 0, 8, 0);
      t.equal(buffer.toString(), 'NEW data');
      t.throws(() => rmdirSync(dir), { code: 'EBUSY' });
      closeSync(fd);
      rmdirSync(dir);
      t.strictSame(readdirSync(mnt), []);
      t.end();
    },
  );

  await t.test('a rename over an open file replaces it in one step', (t) => {
    const mounted = onNative(t);
    const at = (name: string): string => join(mounted.mnt, name);
    writeFileSync(at('target'), 'old');
    const fd = openSync(at('target'), 'r');
    for (let i = 0; i < 20; i++) {
      writeFileSync(at('new'), `new ${i}`);
      renameSync(at('new'), at('target'));
      t.equal(readFileSync(at('target'), 'utf8'), `new ${i}`);
    }
    const buffer = Buffer.alloc(3);
    readSync(fd, buffer, 0, 3, 0);
    t.equal(buffer.toString(), 'old');
    closeSync(fd);
    t.strictSame(readdirSync(mounted.mnt), ['target']);
    mounted.fsck();
    t.end();
  });

  await t.test(
    'names of one file are inodes of their own to the kernel, with one number; coherent with attr_timeout=0',
    (t) => {
      const { mnt } = onNative(t, '-o', 'attr_timeout=0');
      const [a, b] = [join(mnt, 'a'), join(mnt, 'b')];
      writeFileSync(a, 'one');
      linkSync(a, b);
      writeFileSync(b, 'longer than one');
      t.equal(statSync(a).size, 15);
      t.equal(readFileSync(a, 'utf8'), 'longer than one');
      t.equal(statSync(a).ino, statSync(b).ino);
      unlinkSync(b);
      t.equal(lstatSync(a).nlink, 1);
      t.end();
    },
  );

  await t.test('names that are not UTF-8 are refused, never mistaken', (t) => {
    const { mnt } = onNative(t);
    const bytes = Buffer.concat([Buffer.from(`${mnt}/a`), Buffer.from([0xff])]);
    t.throws(() => writeFileSync(bytes, 'x'), { code: 'EILSEQ' });
    writeFileSync(join(mnt, 'käse ✓'), 'x');
    t.strictSame(readdirSync(mnt), ['käse ✓']);
    t.end();
  });

  await t.test('extended attributes: sizes asked for, ERANGE, empty values; ACLs are refused', (t) => {
    const { mnt } = onNative(t);
    const f = join(mnt, 'f');
    writeFileSync(f, '');
    run('setfattr', ['-n', 'user.a', '-v', 'x'.repeat(3000), f]);
    run('setfattr', ['-n', 'user.empty', f]);
    t.match(run('getfattr', ['--only-values', '-n', 'user.a', f]), /^x{3000}$/);
    t.match(run('getfattr', ['-d', '--absolute-names', f]), /user\.empty/);
    t.not(tryRun('setfacl', ['-m', 'u:1:r', f]).status, 0);
    t.end();
  });

  await t.test('set-user-id programs and devices: not where callers are unknown', (t) => {
    const { mnt } = onNative(t, '-o', 'allow_other');
    t.match(run('findmnt', ['-no', 'OPTIONS', mnt]), /nosuid,nodev/);
    mkdirSync(join(mnt, 'theirs'));
    run('chown', ['1234:1235', join(mnt, 'theirs')]);
    writeFileSync(join(mnt, 'theirs/f'), '');
    t.strictSame([statSync(join(mnt, 'theirs/f')).uid, statSync(join(mnt, 'theirs/f')).gid], [1234, 1235]);
    t.end();
  });

  await t.test('real work: cp -a and compare, git clone and fsck, SQLite, fio with verify', (t) => {
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
    const sql =
      'pragma journal_mode; create table a(x); with recursive n(i) as (select 1 union all select i+1 from n where i<2000) insert into a select i from n; delete from a where x%3=0; select count(*) from a; pragma integrity_check';
    t.equal(
      run('sqlite3', [join(mounted.mnt, 'q.db'), sql], { timeoutMs: 60_000 }).trim(),
      'delete\n1334\nok',
    );
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
}
