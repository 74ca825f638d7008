/**
 * The command line and the daemon's main thread on real mounts, served by the memory dispatcher: what is tested is
 * mounting, unmounting, and every way in which a mount ends. Everything that touches a mount is a child process with a
 * time limit.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { ExitCode } from '../../src/cli/exit-codes.js';
import { identify, isAlive } from '../../src/daemon/process-identity.js';
import { childEnvironment } from '../harness/environment.js';
import type { MountReport } from '../../src/cli/status.js';

const SCRIPT = fileURLToPath(new URL('../support/memory-cli.js', import.meta.url));
const LIMIT_MS = 30_000;

interface Result {
  code: number | null;
  out: string;
  err: string;
}

const setUp = (t: Test) => {
  const dir = mkdtempSync(join(tmpdir(), 'vnodefs-cli-')); // short: sockets are below it
  mkdirSync(join(dir, 'm'));
  const env = childEnvironment({ VNODEFS_RUNTIME_DIR: join(dir, 'run'), VNODEFS_LOG_DIR: join(dir, 'log') });
  const m = join(dir, 'm');
  const store = join(dir, 's.db');
  const vnodefs = (...args: string[]): Result => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], {
      env,
      encoding: 'utf8',
      timeout: LIMIT_MS,
    });
    return { code: status, out: stdout, err: stderr };
  };
  const sh = (command: string): Result => {
    const { status, stdout, stderr } = spawnSync('sh', ['-c', command], {
      encoding: 'utf8',
      timeout: LIMIT_MS,
    });
    return { code: status, out: stdout, err: stderr };
  };
  const report = (): MountReport[] =>
    (JSON.parse(vnodefs('status', '--json').out) as { mounts: MountReport[] }).mounts.filter(
      ({ mountpoint }) => mountpoint === m,
    );
  const mount = (): number => {
    const { code, out, err } = vnodefs('mount', store, m, '--json');
    t.equal(code, ExitCode.OK, err);
    return (JSON.parse(out) as { pid: number }).pid;
  };
  /** A process whose working directory is on the mount. */
  const hold = async (): Promise<ChildProcess> => {
    const child = spawn('sh', ['-c', 'cd "$0" && echo in && exec sleep 60 >/dev/null', m], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    return child;
  };
  t.teardown(() => {
    while (isMounted(m)) if (spawnSync('umount', ['-l', m]).status !== 0) return;
    rmSync(dir, { recursive: true, force: true });
  });
  return { dir, env, m, store, vnodefs, sh, report, mount, hold };
};

const isMounted = (m: string): boolean => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${m} `);
const gone = async (pid: number): Promise<boolean> => {
  for (let i = 0; i < 600 && isAlive(identify(pid)); i++) await sleep(20);
  return !isAlive(identify(pid));
};
const noEntries = (dir: string): boolean =>
  readdirSync(join(dir, 'run'), { recursive: true, encoding: 'utf8' }).every(
    (name) => !/json|sock/.test(name),
  );

void t.test('mount, use, status, sync, umount', async (t) => {
  const { dir, m, store, vnodefs, sh, report } = setUp(t);
  const made = vnodefs('mount', store, m);
  t.equal(made.code, ExitCode.OK, made.err);
  t.match(made.out, /^made and mounted \S+s\.db on \S+ \(pid \d+, log \S+\.log\)\n$/);
  t.match(sh(`echo hi >${m}/a && cat ${m}/a`), { code: 0, out: 'hi\n' });
  const [{ pid, state, transport, logFile }] = report();
  t.match({ state, transport }, { state: 'running', transport: 'kernel' });
  t.match(readFileSync(String(logFile), 'utf8'), /"msg":"mounted"/);
  t.match(vnodefs('status', m), { code: 0, out: /open handles: 0/ });
  t.match(vnodefs('sync', m), { code: 0, out: /is on disk/ });
  t.match(vnodefs('mount', store, m), { code: ExitCode.MOUNT, err: /already has a vnodefs mount of/ });
  mkdirSync(join(dir, 'm2'));
  t.match(vnodefs('mount', store, join(dir, 'm2')), {
    code: ExitCode.STORE_IN_USE,
    err: /unmount it first\n$/,
  });
  t.notOk(isMounted(join(dir, 'm2')));
  t.match(vnodefs('umount', m), { code: 0, out: /^unmounted / });
  t.notOk(isMounted(m));
  t.ok(await gone(Number(pid)));
  t.ok(noEntries(dir));
});

void t.test('a busy mount says who, and goes on', async (t) => {
  const { m, vnodefs, sh, mount, hold } = setUp(t);
  mount();
  const child = await hold();
  t.match(vnodefs('umount', m), {
    code: ExitCode.BUSY,
    err: new RegExp(`end sleep \\(pid ${child.pid} of root, cwd ${m}\\)`),
  });
  t.match(sh(`echo x >${m}/x && cat ${m}/x`), { code: 0, out: 'x\n' });
  child.kill('SIGKILL');
  await once(child, 'close');
  t.equal(vnodefs('umount', m).code, 0);
});

void t.test(
  'a daemon killed: the stale mount is seen, and cleared by the next mount or by umount',
  async (t) => {
    const { m, store, vnodefs, sh, report, mount } = setUp(t);
    const pid = mount();
    process.kill(pid, 'SIGKILL');
    t.ok(await gone(pid));
    t.match(sh(`ls ${m}`).err, /not connected/);
    t.match(report(), [{ state: 'stale', pid }]);
    t.match(vnodefs('sync', m), { code: ExitCode.MOUNT, err: /is gone: clear it with/ });
    const again = vnodefs('mount', store, m);
    t.match(again, {
      code: 0,
      out: new RegExp(`^cleared the stale mount of ${store} \\(daemon ${pid} is gone\\)`),
    });
    const [{ pid: second }] = report();
    process.kill(Number(second), 'SIGKILL');
    t.ok(await gone(Number(second)));
    t.match(vnodefs('umount', m), { code: 0, out: /cleared the stale mount/ });
    t.notOk(isMounted(m));
    t.strictSame(report(), []);
  },
);

void t.test('a plain umount(8) ends the daemon; a lazy one when the last file is closed', async (t) => {
  const { dir, m, vnodefs, sh, report, mount, hold } = setUp(t);
  const first = mount();
  t.equal(sh(`umount ${m}`).code, 0);
  t.ok(await gone(first));
  t.ok(noEntries(dir));
  const second = mount();
  const child = await hold();
  t.equal(sh(`umount -l ${m}`).code, 0);
  t.match(report(), [{ state: 'detached', pid: second }]);
  t.match(vnodefs('umount', m, '--timeout', '0.2'), { code: ExitCode.TIMED_OUT, err: /has not ended yet/ });
  child.kill('SIGKILL');
  t.ok(await gone(second));
  t.ok(noEntries(dir));
});

void t.test('SIGTERM, also when busy, and Ctrl-C in the foreground', async (t) => {
  const { dir, env, m, store, mount, hold } = setUp(t);
  const idle = mount();
  process.kill(idle, 'SIGTERM');
  t.ok(await gone(idle));
  const busy = mount();
  const child = await hold();
  process.kill(busy, 'SIGTERM');
  t.ok(await gone(busy));
  t.notOk(isMounted(m));
  child.kill('SIGKILL');
  const foreground = spawn(process.execPath, [SCRIPT, 'mount', store, m, '--foreground'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(foreground.stdout, 'data')) as [Buffer];
  t.match(line.toString(), /^mounted /);
  foreground.kill('SIGINT');
  t.strictSame(await once(foreground, 'close'), [0, null]);
  t.notOk(isMounted(m));
  t.ok(noEntries(dir));
});

void t.test('the form of mount(8), read-only, and a store that is none', (t) => {
  const { m, store, vnodefs, sh } = setUp(t);
  t.match(vnodefs(store, m, '-o', 'ro,noauto'), { code: ExitCode.STORE, err: /mount without ro/ });
  t.equal(vnodefs('mkfs', store, '--label', 'x').code, 0);
  t.equal(vnodefs(store, m, '-n', '-o', 'ro,noauto,user,nosuid,fsname=data').code, 0);
  t.match(sh(`grep ' ${m} ' /proc/mounts`).out, /^data \S+ fuse\.vnodefs ro,nosuid,/);
  t.match(sh(`echo >${m}/a`), { err: /Read-only/ });
  t.equal(vnodefs('umount', m).code, 0);
  t.match(vnodefs('fsck', store), { code: 0, out: /is clean/ });
  sh(`echo rubbish >${store}.bad`);
  t.match(vnodefs('mount', `${store}.bad`, m), { code: ExitCode.STORE, err: /^vnodefs: [^\n]+\n$/ });
  t.notOk(isMounted(m));
  t.end();
});
