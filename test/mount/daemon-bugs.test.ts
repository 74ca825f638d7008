/**
 * A daemon with a bug never leaves a mount that hangs: an exception in the dispatcher, one in the syncer, and a
 * dispatcher that stops answering, each put into a real daemon (test/harness/fault.ts) with a process that waits for
 * it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import type { UnmountReport } from '../../src/daemon/unmount-report.js';
import { replayIntentLog } from '../../src/store/intent-replay.js';
import { checkStore } from '../../src/store/fsck.js';
import { run, start, until } from '../harness/commands.js';
import { openCoreTarget } from '../harness/core-target.js';
import { FAULT_OFFSET, type Fault, faultEnv } from '../harness/fault.js';
import { cli, forceUnmount, mountedDevice, onPlainDirectory, REPOSITORY } from '../harness/mount.js';
import { childEnvironment } from '../harness/environment.js';

const CLI = join(REPOSITORY, 'bin/vnodefs.js');
const ENDS_MS = 60_000;
const LINES = 40;
const CUT = /not connected|connection abort|Input\/output error|EIO|ENOTCONN|ECONNABORTED/;
t.setTimeout(900_000);
const skip = onPlainDirectory ? 'about the daemon' : false;

interface Daemon {
  base: string;
  mnt: string;
  store: string;
  /** The syncer's fault begins when this file is there. */
  when: string;
  child: ChildProcess;
  /** Lines of `lines`, each synced: most of them by the intent log, which is made after some barriers. */
  lines: number;
  log(): string;
}

/** Mounted by a daemon with this fault; `kept` is synced, `far` has FAULT_OFFSET bytes and more. */
const mountFaulty = async (ct: Test, fault: Fault, options: string, lines = 0): Promise<Daemon> => {
  const base = mkdtempSync(join(tmpdir(), 'vnodefs-bug-'));
  const [mnt, store, logFile, when] = ['m', 's.db', 'log', 'when'].map((name) => join(base, name));
  mkdirSync(mnt);
  const args = ['mount', store, mnt, '--foreground', '--log-file', logFile, '-o', options];
  const child = spawn(process.execPath, [CLI, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: childEnvironment({ ...faultEnv(fault), VNODEFS_TEST_FAULT_WHEN: when }),
  });
  ct.teardown(() => {
    forceUnmount(mnt);
    child.kill('SIGKILL');
    rmSync(base, { recursive: true, force: true });
  });
  await once(createInterface({ input: child.stdout }), 'line');
  run('sh', ['-c', `truncate -s ${2 * FAULT_OFFSET} "$0/far"; echo kept >"$0/kept"; sync "$0/kept"`, mnt]);
  run('sh', ['-c', 'for i in $(seq $1); do echo $i >>"$0/lines"; sync "$0/lines"; done', mnt, `${lines}`]);
  return { base, mnt, store, when, child, lines, log: () => readFileSync(logFile, 'utf8') };
};

/** A process that sits in a read which the fault hits. */
const readFar = ({ mnt }: Daemon) =>
  start(
    'dd',
    [`if=${join(mnt, 'far')}`, 'of=/dev/null', 'bs=4096', `skip=${FAULT_OFFSET / 4096 + 64}`, 'count=1'],
    {
      timeoutMs: 120_000,
    },
  );

/** The daemon ends with 1, nothing is mounted, and the store holds what was synced. */
const endsSafely = async (ct: Test, { child, mnt, store, lines }: Daemon): Promise<void> => {
  await until('the end of the daemon', () => child.exitCode !== null || child.signalCode !== null, ENDS_MS);
  ct.strictSame([child.exitCode, child.signalCode], [1, null], 'exit code 1');
  ct.equal(mountedDevice(mnt), undefined, 'detached');
  ct.strictSame(checkStore(store).findings, [], 'fsck is clean');
  // On a slow disk barriers are the store's: then the log has nothing.
  ct.comment(`${replayIntentLog(store).groups} groups by the intent log`);
  ct.strictSame(checkStore(store).findings, [], 'and still');
  const target = await openCoreTarget({ store });
  if (lines > 0) {
    const all = target.client.open('lines', constants.O_RDONLY);
    const wanted = Array.from({ length: lines }, (_, i) => `${i + 1}\n`).join('');
    ct.equal(target.client.read(all, 10_000, 0).toString(), wanted);
    target.client.close(all);
  }
  const fd = target.client.open('kept', constants.O_RDONLY);
  ct.equal(target.client.read(fd, 10, 0).toString(), 'kept\n');
  target.client.close(fd);
  target.close();
};

await t.test('a broken invariant in the dispatcher', { skip, timeout: 240_000 }, async (ct) => {
  const daemon = await mountFaulty(ct, 'invariant', 'sync_interval=600', LINES);
  const { status, stderr } = await readFar(daemon).done;
  ct.not(status, 0, 'who used the mount is told');
  ct.match(stderr, CUT);
  await endsSafely(ct, daemon);
  ct.match(daemon.log(), /breakInvariant.*fatal: broken by the test/);
});

await t.test('an exception in the syncer', { skip, timeout: 240_000 }, async (ct) => {
  const daemon = await mountFaulty(ct, 'syncer', 'rw');
  writeFileSync(daemon.when, '');
  const { status, stderr } = await start('sh', ['-c', 'echo more >"$0/more"; sync "$0/more"', daemon.mnt], {
    timeoutMs: 120_000,
  }).done;
  ct.not(status, 0, 'fsync does not succeed');
  ct.match(stderr, CUT);
  await endsSafely(ct, daemon);
  ct.match(daemon.log(), /fatal: broken by the test/);
});

await t.test(
  'a dispatcher that is stuck: the watchdog cuts it off',
  { skip, timeout: 240_000 },
  async (ct) => {
    const daemon = await mountFaulty(ct, 'stuck', 'watchdog=15,sync_interval=600', LINES);
    const { status, stderr } = await readFar(daemon).done;
    ct.not(status, 0, 'who waited for it is told');
    ct.match(stderr, CUT);
    await endsSafely(ct, daemon);
    ct.match(
      daemon.log(),
      /"stack":\["spinForEver [^\n]*the dispatcher does not answer/,
      'its stack is logged',
    );
    ct.match(daemon.log(), /fatal: the dispatcher has not answered for \d/);
  },
);

await t.test('a dispatcher that is stuck: umount --force', { skip, timeout: 240_000 }, async (ct) => {
  const daemon = await mountFaulty(ct, 'stuck', 'watchdog=0,sync_interval=600', LINES);
  const reader = readFar(daemon);
  await until('the reader to be blocked', () => /spin|R/.test(threadStates(daemon.child.pid)), ENDS_MS);
  const { status, stdout, stderr } = cli(['umount', '--force', '--timeout', '4', '--json', daemon.mnt]);
  ct.equal(status, 1, 'not all could be saved');
  ct.match(stderr, /^vnodefs: \S+ is unmounted, but its last changes could not be saved .*\n$/);
  const report = JSON.parse(stdout) as UnmountReport;
  ct.match(report, { outcome: 'unmounted', cutOff: [{ command: 'dd', pid: reader.pid }] });
  ct.match((await reader.done).stderr, CUT, 'nobody stays blocked in the kernel');
  await endsSafely(ct, daemon);
});

/** `R` among the states of the process's threads: one is running. */
function threadStates(pid: number | undefined): string {
  return run('sh', ['-c', `cat /proc/${pid}/task/*/stat | sed 's/.*) \\(.\\) .*/\\1/'`]);
}
