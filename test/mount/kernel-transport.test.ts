/**
 * The kernel transport on a real mount: a child process serves the in-memory filesystem, this one uses it; as root, and
 * as an ordinary user through fusermount3. Every use of the mount is a child process with a timeout, so that a hang
 * fails the test instead of hanging it.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { MountError } from '../../src/fuse/kernel/mount-error.js';
import { mountKernel, unmountKernel } from '../../src/fuse/kernel/mount.js';
import { mountAt, readMounts, type MountEntry } from '../../src/base/mountinfo.js';
import { setReadAhead } from '../../src/fuse/kernel/read-ahead.js';
import { childEnvironment } from '../harness/environment.js';

const findMount = (mountpoint: string): MountEntry | undefined => mountAt(readMounts(), mountpoint);

const DAEMON = fileURLToPath(new URL('../support/memory-daemon.js', import.meta.url));
const NOBODY = 65534;
const isRoot = process.geteuid?.() === 0;
const STEP_MS = 20_000;

/** Runs a shell script against a mount; returns its output. Throws if it fails or takes too long. */
const shell = (script: string, mountpoint: string, uid?: number): string => {
  const user = uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  const command = [...user, 'sh', '-ec', script, 'sh', mountpoint];
  return execFileSync(command[0], command.slice(1), {
    encoding: 'utf8',
    timeout: STEP_MS,
    killSignal: 'SIGKILL',
  });
};

interface Daemon {
  child: ChildProcess;
  ready: string;
  /** Sends a command; resolves with the next line said. */
  tell: (command: string) => Promise<string>;
  /** Unmounts in order; resolves with the last line, and the exit code. */
  finish: () => Promise<{ summary: string; code: number | null }>;
}

const start = async (mountpoint: string, options: object, uid?: number): Promise<Daemon> => {
  const user = uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  const command = [...user, process.execPath, DAEMON, mountpoint, JSON.stringify(options)];
  const child = spawn(command[0], command.slice(1), {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: childEnvironment(),
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const lines = createInterface({ input: child.stdout });
  let last = '';
  const ready = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no daemon after ${STEP_MS} ms: ${last}`)), STEP_MS);
    lines.on('line', (line) => {
      last = line;
      if (!line.startsWith('ready')) return;
      clearTimeout(timer);
      resolve(line);
    });
    void exited.then((code) => reject(new Error(`the daemon ended (${code}): ${last}`)));
  });
  return {
    child,
    ready,
    tell: (command) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no answer to ${command}`)), STEP_MS);
        lines.once('line', (line) => {
          clearTimeout(timer);
          resolve(line);
        });
        child.stdin.write(`${command}\n`);
      }),
    finish: async () => {
      child.stdin.write('end\n');
      const timer = setTimeout(() => child.kill('SIGKILL'), STEP_MS);
      const code = await exited;
      clearTimeout(timer);
      return { summary: last, code };
    },
  };
};

const everything = `
cd "$1"
mkdir d && echo hello > d/f && cat d/f
mv d/f d/g && ln d/g d/h && ln -s h d/s && cat d/s
ls -a d | tr '\\n' ' '; echo
stat -c '%h %a %U %s' d/g
chmod 4711 d/g && stat -c %a d/g
touch -d '2001-02-03 04:05:06.789Z' d/g && stat -c %y d/g
head -c 3000000 /dev/urandom > big && cp big big2 && cmp big big2 && sync big2
truncate -s 100 big && stat -c %s big
echo more >> d/h && cat d/g
test ! -e nothing; test ! -e nothing
for i in $(seq 300); do echo $i > d/n$i; done
ls -l d | wc -l
rm -r d big big2
test -z "$(ls -A .)"
`;
const wanted = (user: string): string[] => [
  'hello',
  'hello',
  '. .. g h s ',
  `2 644 ${user} 6`,
  '4711',
  '2001-02-03 04:05:06.789000000 +0000',
  '100',
  'hello',
  'more',
  '304',
];

const scratch = (t: Test): string => {
  const dir = mkdtempSync(join(tmpdir(), 'vnodefs-mount-'));
  chmodSync(dir, 0o755);
  t.teardown(() => {
    const mounted = findMount(dir) !== undefined;
    if (mounted) spawnSync('umount', ['-l', dir]);
    rmSync(dir, { recursive: true, force: true });
    if (mounted) throw new Error(`a mount was left on ${dir}`);
  });
  return dir;
};

await t.test('as root', { skip: isRoot ? false : 'needs root' }, async (t) => {
  for (const options of [{}, { writebackCache: false, attrTtlMs: 0, entryTtlMs: 0, pollUs: 0 }]) {
    const dir = scratch(t);
    const daemon = await start(dir, options);
    t.match(daemon.ready, /^ready 7\.\d+ .*PARALLEL_DIROPS/);
    t.match(findMount(dir), { fsType: 'fuse.vnodefs', source: 'memory, of the \\tests', mountpoint: dir });
    t.ok(setReadAhead(dir, 1024));
    const device = findMount(dir)?.device ?? '';
    t.equal(readFileSync(`/sys/class/bdi/${device}/read_ahead_kb`, 'utf8').trim(), '1024');
    t.same(
      shell(`umask 022; export TZ=UTC LC_ALL=C; ${everything}`, dir).trimEnd().split('\n'),
      wanted('root'),
    );
    const { summary, code } = await daemon.finish();
    t.equal(code, 0);
    const told = JSON.parse(summary) as { cause: string; handles: number; counters: Record<string, number> };
    t.match(told, { cause: 'unmounted', handles: 0 });
    t.match(told.counters, { malformedRequests: 0, unexpectedErrors: 0, refusedReplies: 0, deferredNow: 0 });
    t.equal(findMount(dir), undefined);
  }
});

await t.test('as an ordinary user', async (t) => {
  const uid = isRoot ? NOBODY : undefined;
  const dir = scratch(t);
  if (isRoot) {
    chmodSync('/dev/fuse', 0o666);
    chownSync(dir, NOBODY, NOBODY);
  }
  const daemon = await start(dir, {}, uid);
  t.match(findMount(dir), { fsType: 'fuse.vnodefs', source: 'memory, of the \\tests' });
  t.same(
    shell(`umask 022; export TZ=UTC LC_ALL=C; ${everything}`, dir, uid).trimEnd().split('\n'),
    wanted(isRoot ? 'nobody' : userInfo().username),
  );
  if (isRoot) t.throws(() => shell('ls "$1" 2>/dev/null', dir), 'allow_other is off: root may not enter');
  const { summary, code } = await daemon.finish();
  t.equal(code, 0);
  t.match(JSON.parse(summary), { cause: 'unmounted' });
  t.equal(findMount(dir), undefined);
});

await t.test('notifications', { skip: isRoot ? false : 'needs root' }, async (t) => {
  const dir = scratch(t);
  const daemon = await start(dir, {});
  shell('cd "$1"; for i in $(seq 400); do echo $i > n$i; done; cat n7', dir);
  t.equal(await daemon.tell('invalidate 8'), 'notified 0');
  t.equal(shell('cat "$1/n7"', dir), '7\n', 'read again');
  t.equal(await daemon.tell('forget n7'), 'notified 0');
  t.equal(await daemon.tell('forget missing'), 'notified 2', 'ENOENT');
  t.equal(shell('cat "$1/n7"', dir), '7\n', 'looked up again');
  t.equal(await daemon.tell('prune 401'), 'notified 0');
  t.equal(shell('cat "$1/n8"', dir), '8\n');
  const { summary } = await daemon.finish();
  const told = JSON.parse(summary) as { requests: Record<string, number>; lookups: number };
  t.ok(told.lookups < 20, `the kernel gave back all but ${told.lookups}`);
});

await t.test('a daemon that is killed leaves no hang', { skip: isRoot ? false : 'needs root' }, async (t) => {
  const dir = scratch(t);
  const daemon = await start(dir, {});
  daemon.child.kill('SIGKILL');
  await new Promise((resolve) => daemon.child.once('exit', resolve));
  t.throws(() => shell('ls "$1" 2>/dev/null', dir), 'ENOTCONN, at once');
  const options = { fsname: 'x', allowOther: false, readOnly: false, nosuid: true, nodev: true };
  t.throws(() => mountKernel({ ...options, mountpoint: dir, noexec: false, noatime: false }), {
    code: 'stale-mountpoint',
  });
  await unmountKernel(dir, { lazy: true });
  t.equal(findMount(dir), undefined);
});

await t.test('aborted', { skip: isRoot ? false : 'needs root' }, async (t) => {
  const dir = scratch(t);
  const daemon = await start(dir, {});
  const minor = findMount(dir)?.device.split(':')[1] ?? '';
  const control = '/sys/fs/fuse/connections';
  const mountedControl = !existsSync(`${control}/${minor}`);
  if (mountedControl) execFileSync('mount', ['-t', 'fusectl', 'none', control]);
  t.teardown(() => {
    if (mountedControl) spawnSync('umount', [control]);
  });
  const exited = new Promise<number | null>((resolve) => daemon.child.once('exit', resolve));
  writeFileSync(`${control}/${minor}/abort`, '1');
  t.equal(await exited, 0, 'the daemon ends by itself');
  await unmountKernel(dir, { lazy: true });
});

await t.test('errors', async (t) => {
  const options = {
    fsname: 'x',
    allowOther: false,
    readOnly: false,
    nosuid: true,
    nodev: true,
    noexec: false,
    noatime: false,
  };
  const dir = scratch(t);
  const file = join(dir, 'file');
  writeFileSync(file, '');
  const fails = (mountpoint: string, code: string): void => {
    t.throws(() => mountKernel({ ...options, mountpoint }), { name: 'MountError', code });
  };
  fails(join(dir, 'missing'), 'bad-mountpoint');
  fails(file, 'bad-mountpoint');
  fails(join(file, 'below'), 'bad-mountpoint');
  await t.rejects(unmountKernel(dir, { lazy: false }), MountError);
  t.end();
});
