/** Several mounts in one daemon: `vnodefs mount --join`. */
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ExitCode } from '../../src/cli/exit-codes.js';
import type { MountReport } from '../../src/cli/status.js';
import { run, until } from '../harness/commands.js';
import {
  cli,
  cliOk,
  forceUnmount,
  MountedStore,
  mountedDevice,
  mountStore,
  onPlainDirectory,
  processAlive,
} from '../harness/mount.js';
import { startLoad } from '../harness/mount-load.js';

const reportOf = ({ mnt }: MountedStore): MountReport => {
  const { mounts } = JSON.parse(cliOk(['status', mnt, '--json']).stdout) as { mounts: MountReport[] };
  return mounts[0];
};

const joinTo = (t: Test, first: MountedStore): MountedStore => {
  const second = mountStore(t, { join: first });
  t.equal(second.pid, first.pid, 'one daemon');
  return second;
};

const write = (mounted: MountedStore, name: string, text: string): void =>
  void run('sh', ['-c', 'printf %s "$2" >"$1"', 'sh', join(mounted.mnt, name), text]);
const read = (mounted: MountedStore, name: string): string => run('cat', [join(mounted.mnt, name)]);

/** What the daemon said about its memory when a mount had ended. */
const memoryAfter = (logFile: string | null): Record<string, unknown>[] =>
  readFileSync(String(logFile), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"msg":"memory after the mount"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** What `status --json` says about the vnode cache, pages, names and throttling, among others. */
const COUNTERS = [
  ...['vnodeAllocations', 'vnodeReclaims', 'vnodeHits', 'vnodeMisses', 'vnodesDead'],
  ...[0, 1, 2, 3].map((pass) => `vnodeReclaimsPass${pass}`),
  ...['vnlruSlices', 'vnlruNowhere', 'vnlruNowhereTotal', 'vnlruWaits', 'vnlruWaitUs', 'vnlruLongestSliceUs'],
  ...['kernelLookups', 'prunedInodes', 'pruneNotifications', 'pruneRefusals', 'pruneSkipped'],
  ...['nameHits', 'nameNegativeHits', 'nameMisses', 'nameEvictions', 'valueBytes', 'valueEvictions'],
  ...['bufHits', 'bufMisses', 'bufEvictions', 'bufEvictionsHot', 'throttles', 'throttleUs'],
];

// Starting so many daemons takes long on a busy machine.
t.setTimeout(900_000);
const skip = onPlainDirectory ? 'about mounts' : false;

await t.test('two mounts, and each ends by itself', { skip }, (t) => {
  const first = new MountedStore({ args: ['--vnodes', '2000', '--pages', '8MiB'] });
  const second = new MountedStore({ join: first });
  for (const mounted of [first, second]) t.teardown(() => mounted.dispose());
  cliOk(['mkfs', first.store]);
  copyFileSync(first.store, second.store); // its identity too
  for (const mounted of [first, second]) mounted.mount();
  t.equal(second.pid, first.pid, 'one daemon');
  write(first, 'a', 'one');
  write(second, 'a', 'two');
  t.equal(read(first, 'a') + read(second, 'a'), 'onetwo');
  const [one, two] = [reportOf(first), reportOf(second)];
  t.match([one.state, two.state], ['running', 'running']);
  t.not(one.fsid, two.fsid, 'fsids are unique, even of a store and its copy');
  t.equal(two.vnodes?.max, 2000, 'budgets are shared');
  t.equal(one.logFile, two.logFile);
  cliOk(['sync', second.mnt]);
  const { pid } = first;
  cliOk(['umount', first.mnt]);
  t.equal(mountedDevice(first.mnt), undefined);
  t.ok(processAlive(pid), 'the daemon lives on');
  t.equal(read(second, 'a'), 'two');
  write(second, 'b', 'three');
  const third = new MountedStore({ join: second });
  third.store = first.store;
  t.teardown(() => third.dispose());
  third.mount();
  t.equal(read(third, 'a'), 'one', 'mounted again, elsewhere, in the same daemon');
  t.equal(reportOf(third).fsid, one.fsid, 'the fsid is that of the store');
  first.pid = 0;
  third.unmount();
  cliOk(['umount', second.mnt]);
  t.notOk(processAlive(pid), 'the daemon ends with its last mount');
  second.pid = 0;
  t.match(memoryAfter(two.logFile).at(-1), { vnodes: 0, pages: 0, dirtyPages: 0 });
  for (const { store } of [first, second]) cliOk(['fsck', store]);
  t.end();
});

await t.test('what a join refuses', { skip }, (t) => {
  const first = mountStore(t);
  const other = new MountedStore();
  t.teardown(() => other.dispose());
  const refused = (store: string, joined: string, ...more: string[]) =>
    cli(['mount', store, other.mnt, '--join', joined, ...more]);
  const daemonWide = [
    ['--pages', '1MiB'],
    ['--vnodes', '99'],
    ['--transport', 'kernel'],
    ['--log-file', '/dev/null'],
    ['--foreground'],
    ['-o', 'ro,poll_us=1'],
  ];
  for (const more of daemonWide) {
    t.match(refused(other.store, first.mnt, ...more), {
      status: ExitCode.USAGE,
      stderr:
        /^vnodefs: \S+( poll_us=)? is the whole daemon's: give it where \S+ is mounted, not with --join\n$/,
    });
  }
  t.match(refused(join(first.mnt, 's.db'), first.mnt), {
    status: ExitCode.MOUNT,
    stderr: /lies in \S+, which the same daemon serves/,
  });
  t.match(refused(first.store, first.mnt), { status: ExitCode.STORE_IN_USE, stderr: /is in use/ });
  t.match(refused(other.store, other.base), { status: ExitCode.MOUNT, stderr: /no vnodefs is mounted on/ });
  t.notOk(existsSync(other.store), 'nothing was made');
  t.equal(mountedDevice(other.mnt), undefined);
  writeFileSync(other.store, 'not a store, but longer than a header of SQLite would be: '.repeat(20));
  t.match(refused(other.store, first.mnt), { status: ExitCode.STORE, stderr: /\n$/ });
  t.equal(reportOf(first).state, 'running', 'none of it harmed the daemon');
  t.end();
});

await t.test('SIGTERM ends all mounts', { skip }, async (t) => {
  const first = mountStore(t);
  const second = joinTo(t, first);
  write(second, 'a', 'kept');
  process.kill(first.pid, 'SIGTERM');
  await until('the end of the daemon', () => !processAlive(first.pid), 120_000);
  for (const mounted of [first, second]) {
    t.equal(mountedDevice(mounted.mnt), undefined);
    mounted.pid = 0;
  }
  second.pid = 0;
  cliOk(['fsck', second.store]);
});

await t.test('one of two is cut off under load', { skip }, async (t) => {
  const first = mountStore(t, { args: ['--vnodes', '500', '--pages', '4MiB'] });
  const second = joinTo(t, first);
  const stop = join(first.base, 'stop');
  const load = (mounted: MountedStore, seed: number) =>
    startLoad(mounted.mnt, stop, seed, { timeoutMs: 300_000 });
  const loads = [load(first, 1), load(second, 2)];
  await until('load on both', () => [1, 2].every((seed) => existsSync(`${stop}.${seed}`)), 120_000);
  const { logFile } = reportOf(second);
  forceUnmount(first.mnt);
  t.not((await loads[0].done).status, 0, 'whoever used the mount that was cut off is told');
  await until('the end of the mount', () => memoryAfter(logFile).length === 1, 60_000);
  const created = (): number => {
    const { requests } = reportOf(second);
    return requests?.['CREATE'] ?? requests?.['create'] ?? NaN; // fuse-native has names of its own
  };
  const before = created();
  await until('more work on the other', () => created() > before + 20, 120_000);
  writeFileSync(stop, '');
  const { status, stderr } = await loads[1].done;
  t.equal(status, 0, stderr);
  cliOk(['sync', second.mnt]);
  cliOk(['status', second.mnt, '--check']);
  const { vnodes, pages, state, counters } = reportOf(second);
  for (const name of COUNTERS) t.type(counters?.[name], 'number', name);
  t.ok(Number(counters?.['vnodeAllocations']) > 20);
  t.equal(state, 'running');
  t.ok(Number(vnodes?.resident) <= 500 && Number(pages?.resident) <= 1024, 'within the budgets');
  t.equal(
    Number(vnodes?.resident) - Number(vnodes?.ofMount),
    1,
    'the other mount has nothing left: only a syncer vnode',
  );
  first.pid = 0;
  const { pid } = second;
  cliOk(['umount', second.mnt]);
  second.pid = 0;
  t.notOk(processAlive(pid));
  t.match(memoryAfter(logFile).at(-1), { vnodes: 0, pages: 0, dirtyPages: 0 });
  for (const { store } of [first, second]) cliOk(['fsck', store]);
});
