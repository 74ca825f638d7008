/** Ends of a mount beside the table's (test/mount/unmount-table.test.ts): each is defined, and listed in native-notes/unmount.md. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ExitCode } from '../../src/cli/exit-codes.js';
import type { MountReport } from '../../src/cli/status.js';
import type { UnmountReport } from '../../src/daemon/unmount-report.js';
import { checkStore } from '../../src/store/fsck.js';
import { run, tryRun, until } from '../harness/commands.js';
import {
  cli,
  cliOk,
  type MountedStore,
  mountedDevice,
  mountStore,
  onPlainDirectory,
  processAlive,
} from '../harness/mount.js';
import { startLoad } from '../harness/mount-load.js';
import { MountUser } from '../harness/mount-user.js';

/** Operations that must succeed after an unmount that was refused. */
const FURTHER = 10_000;
const LONG_MS = 400_000;
const skip = onPlainDirectory ? 'about mounts' : false;
t.setTimeout(2 * LONG_MS);

const requestsOf = ({ mnt }: MountedStore): number => {
  const { mounts } = JSON.parse(cliOk(['status', mnt, '--json']).stdout) as { mounts: MountReport[] };
  return Object.values(mounts[0].requests ?? {}).reduce((sum, count) => sum + count, 0);
};

/** The daemon has ended by itself. */
const ended = async (mounted: MountedStore): Promise<void> => {
  const { pid } = mounted;
  mounted.pid = 0;
  await until('the end of the daemon', () => !processAlive(pid), 60_000);
};

await t.test('after a refused unmount under load all goes on', { skip, timeout: LONG_MS }, async (ct) => {
  const mounted = mountStore(ct);
  const stop = join(mounted.base, 'stop');
  const loads = [1, 2].map((seed) => {
    mkdirSync(join(mounted.mnt, String(seed)));
    return startLoad(join(mounted.mnt, String(seed)), stop, seed, { timeoutMs: LONG_MS });
  });
  ct.teardown(() => {
    writeFileSync(stop, '');
    return Promise.all(loads.map(({ done }) => done));
  });
  await until('load', () => [1, 2].every((seed) => existsSync(`${stop}.${seed}`)), 120_000);
  // Between two files a load has nothing open: one process always has.
  const holder = spawn('sh', ['-c', 'exec sleep 1000 <"$0"', join(mounted.mnt, '1/file-20')], {
    stdio: 'ignore',
  });
  ct.teardown(() => holder.kill('SIGKILL'));
  const before = requestsOf(mounted);
  for (let i = 0; i < 3; i++) ct.equal(cli(['umount', mounted.mnt]).status, ExitCode.BUSY);
  await until('further operations', () => requestsOf(mounted) > before + FURTHER, LONG_MS);
  writeFileSync(stop, '');
  for (const { done } of loads) {
    const { status, stderr } = await done;
    ct.equal(status, 0, `every operation succeeded, every file compared ${stderr.slice(-300)}`);
  }
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  mounted.fsck();
});

await t.test('fusermount3 -u, and -uz while a file is open', { skip }, async (ct) => {
  const mounted = mountStore(ct);
  const { mnt, store } = mounted;
  writeFileSync(join(mnt, 'f'), 'kept');
  run('fusermount3', ['-u', mnt]);
  await ended(mounted);
  ct.strictSame(checkStore(store).findings, []);
  mounted.mount();
  ct.equal(readFileSync(join(mnt, 'f'), 'utf8'), 'kept');
  const holder = spawn('sh', ['-c', 'exec 3<"$0"; echo; read line; cat <&3', join(mnt, 'f')]);
  await once(holder.stdout, 'data');
  run('fusermount3', ['-uz', mnt]);
  ct.equal(mountedDevice(mnt), undefined, 'out of sight at once');
  const answer = once(holder.stdout, 'data');
  holder.stdin.write('\n');
  ct.equal(String((await answer)[0]), 'kept', 'whoever has a file open reads on');
  await ended(mounted);
});

await t.test('the mount point’s parent is deleted', { skip }, async (ct) => {
  const mounted = mountStore(ct);
  const { base, pid } = mounted;
  const below = join(base, 'parent/mnt');
  cliOk(['umount', mounted.mnt]);
  mounted.pid = 0;
  mkdirSync(below, { recursive: true });
  mounted.mnt = below;
  mounted.mount();
  ct.not(mounted.pid, pid);
  writeFileSync(join(below, 'f'), 'x');
  const removed = tryRun('rm', ['-r', '--one-file-system', join(base, 'parent')]);
  ct.match(removed.stderr, /skipping .*mnt.*different device/);
  const whole = tryRun('rm', ['-r', join(base, 'parent')]);
  ct.match(whole.stderr, /cannot remove .*mnt.*busy/, 'the directory of a mount can’t go');
  ct.notOk(existsSync(join(below, 'f')), 'but what is in it');
  writeFileSync(join(below, 'g'), 'x');
  const elsewhere = `umount "$0" && rmdir "$0" && rmdir "$1"`;
  run('unshare', ['--mount', 'sh', '-c', elsewhere, below, join(base, 'parent')]);
  ct.equal(mountedDevice(below), undefined, 'removed in another mount namespace, it is detached here');
  await ended(mounted);
  ct.strictSame(checkStore(mounted.store).findings, []);
});

await t.test('a store on its own mount, or what a daemon needs below it', { skip }, (ct) => {
  const { mnt, base } = mountStore(ct);
  const free = join(base, 'free');
  mkdirSync(free);
  const refused = (args: string[], message: RegExp, env = {}): void => {
    const { status, stderr } = cli(['mount', ...args], { env });
    ct.equal(status, ExitCode.MOUNT, stderr);
    ct.match(stderr, message);
    ct.match(stderr, /^vnodefs: [^\n]+\n$/, 'one sentence');
    ct.equal(mountedDevice(free), undefined);
  };
  refused([join(free, 's.db'), free], /the store \S+ lies inside the mount point/);
  run('mkdir', [join(base, 'same')]);
  run('mount', ['--bind', free, join(base, 'same')]);
  ct.teardown(() => run('umount', [join(base, 'same')]));
  refused([join(base, 'same/s.db'), free], /lies inside the mount point/);
  refused([join(base, 't.db'), free, '--log-file', join(free, 'log')], /the log \S+ lies inside/);
  const runtime = join(free, 'run');
  refused([join(base, 't.db'), free], /the runtime directory \S+ lies inside/, {
    VNODEFS_RUNTIME_DIR: runtime,
  });
  refused([join(mnt, 'u.db'), free, '--join', mnt], /lies in \S+, which the same daemon serves/);
  rmSync(free, { recursive: true });
  ct.end();
});

await t.test('the first close(2) on a mount that has ended', { skip }, async (ct) => {
  const mounted = mountStore(ct);
  run('sh', ['-c', 'head -c 4M /dev/zero >"$0/seed"', mounted.mnt]);
  mounted.remount(); // no file has been closed on it
  const user = new MountUser('first-close', mounted.mnt, 0);
  await until('the reader', () => user.ready);
  const { stdout } = cliOk(['umount', '--force', mounted.mnt, '--json']);
  mounted.pid = 0;
  ct.match(JSON.parse(stdout) as UnmountReport, { outcome: 'unmounted', cutOff: [{ pid: user.child.pid }] });
  user.use();
  await once(user.child, 'exit');
  ct.match(user, { saw: 'ENOTCONN', closed: 'ENOTCONN' });
});

await t.test('remount', { skip }, async (ct) => {
  const mounted = mountStore(ct);
  const { mnt } = mounted;
  const options = (): string => run('findmnt', ['-no', 'OPTIONS', mnt]);
  writeFileSync(join(mnt, 'f'), 'x');
  ct.match(cliOk(['remount', mnt, '-o', 'ro']).stdout, `${mnt} is read-only now\n`);
  ct.match(options(), /^ro,/);
  ct.match(tryRun('touch', [join(mnt, 'g')]).stderr, /Read-only file system/);
  ct.equal(readFileSync(join(mnt, 'f'), 'utf8'), 'x');
  ct.match(JSON.parse(cliOk(['status', mnt, '--json']).stdout), { mounts: [{ state: 'read-only' }] });
  ct.strictSame(JSON.parse(cliOk(['remount', mnt, '-o', 'rw', '--json']).stdout), {
    mountpoint: mnt,
    readOnly: false,
    kernel: true,
  });
  const writer = spawn('sh', ['-c', 'exec sleep 1000 >"$0"', join(mnt, 'w')], { stdio: 'ignore' });
  ct.teardown(() => writer.kill('SIGKILL'));
  run('sh', ['-c', 'until [ -e "$0" ]; do sleep 0.02; done', join(mnt, 'w')]);
  const busy = cli(['remount', mnt, '-o', 'ro']);
  ct.equal(busy.status, ExitCode.BUSY);
  ct.match(busy.stderr, new RegExp(`end sleep \\(pid ${writer.pid} of root, writing ${mnt}/w\\) first`));
  writeFileSync(join(mnt, 'g'), 'nothing has changed');
  const writerEnds = once(writer, 'exit');
  writer.kill('SIGKILL');
  await writerEnds;
  for (const [args, status] of [
    [['remount', mnt], ExitCode.USAGE],
    [['remount', mnt, '-o', 'noatime'], ExitCode.USAGE],
    [['remount', mounted.base, '-o', 'ro'], ExitCode.MOUNT],
  ] as const)
    ct.equal(cli(args).status, status);
  mounted.fsck();
});
