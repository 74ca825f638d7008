/**
 * The host's disk full in the middle of a copy, and one whose writes fail now and then, under the mixed load: writers
 * hear of it, what was confirmed is there, and once the cause is gone the daemon goes on by itself. Full size:
 * VNODEFS_FULL=1 (a copy of 1 GiB).
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createStore } from '../../src/store/mkfs.js';
import { run, start, tryRun, until } from '../harness/commands.js';
import { cliOk, fullSize, MountedStore, mountStore, onPlainDirectory } from '../harness/mount.js';
import { FaultDisk } from './disk.js';
import { MixedLoad } from './load.js';

const skip = onPlainDirectory ? 'about the daemon' : false;
const COPY_MIB = fullSize ? 1024 : 96;
const HOST_MIB = fullSize ? 500 : 48;
const FAULTS = fullSize ? 100 : 8;
const LOAD_MS = fullSize ? 1_500_000 : 600_000;
if (fullSize) t.setTimeout(3 * LOAD_MS);

interface Status {
  state: string;
  reason: string;
}
const statusOf = (mounted: MountedStore): Status =>
  (JSON.parse(cliOk(['status', mounted.mnt, '--json']).stdout) as { mounts: Status[] }).mounts[0];

/** Waits until the load has confirmed something new: the mount works. */
const progress = async (load: MixedLoad): Promise<void> => {
  const names = ['files', 'log', 'save', 'moves'] as const;
  const before = names.map((name) => load.confirmed(name));
  await until('progress', () => names.every((name, i) => load.confirmed(name) > before[i]), 120_000);
};

/** A mounted store whose files are in `place`. With less memory than the copy, so that the disk must take it. */
const mountedIn = (t: Test, place: string): MountedStore => {
  const mounted = new MountedStore({ args: ['--pages', '48MiB'] });
  mounted.store = join(place, 'store.db');
  t.teardown(() => mounted.dispose());
  return mounted.mount();
};

await t.test('the host is full in the middle of a copy', { skip, timeout: LOAD_MS }, async (t) => {
  const outer = new MountedStore();
  const host = join(outer.base, 'host');
  mkdirSync(host);
  t.teardown(() => outer.dispose());
  run('mount', ['-t', 'tmpfs', '-o', `size=${HOST_MIB}m`, 'tmpfs', host]);
  t.teardown(() => tryRun('umount', ['-l', host]));
  const source = join(outer.base, 'source');
  run('sh', ['-c', `dd if=/dev/urandom of="$1" bs=1M count=${COPY_MIB} status=none`, 'sh', source], {
    timeoutMs: LOAD_MS,
  });

  const mounted = mountedIn(t, host);
  const load = new MixedLoad(join(mounted.mnt, 'load'), join(outer.base, 'progress'));
  load.start(LOAD_MS);
  t.teardown(() => load.stop());
  await until('the load to begin', () => load.begun, 60_000);
  const copy = await start('cp', [source, join(mounted.mnt, 'copy')], { timeoutMs: LOAD_MS }).done;
  t.not(copy.status, 0, 'the copy fails');
  t.match(copy.stderr, /No space left on device/);
  await until('the load to hear of it', () => load.troubled.length > 0, 60_000);
  const { state, reason } = statusOf(mounted);
  t.match({ state, reason }, { state: 'failing', reason: /full/ });

  run('mount', ['-o', `remount,size=${HOST_MIB + 4 * COPY_MIB}m`, host]);
  await until('the daemon to go on', () => statusOf(mounted).state === 'running', 60_000);
  await progress(load);
  run('cp', [source, join(mounted.mnt, 'again')], { timeoutMs: LOAD_MS });
  await load.stop();
  t.strictSame(load.check(), [], 'what was confirmed is there');
  mounted.remount();
  t.strictSame(load.check(), []);
  run('cmp', [source, join(mounted.mnt, 'again')], { timeoutMs: LOAD_MS });
  const log = readFileSync(/log[: ]+(\S+?)\)/.exec(mounted.printed)?.[1] ?? '', 'utf8');
  t.match(log, /takes no writes/, 'the log says so');
  t.match(log, /takes writes again/);
  mounted.fsck();
});

await t.test('one write in a thousand fails', { skip, timeout: LOAD_MS }, async (t) => {
  const disk = await FaultDisk.start({ seed: Number(process.env['VNODEFS_SEED'] ?? 5) });
  t.teardown(() => disk.end());
  const mounted = mountedIn(t, disk.path);
  await disk.command({ command: 'record', on: false });
  const load = new MixedLoad(join(mounted.mnt, 'load'), join(disk.base, 'progress'));
  await disk.faults(
    { op: 'write', file: 'any', kind: 'fail', oneIn: 2000 },
    { op: 'write', file: 'any', kind: 'tear', oneIn: 2000 },
    { op: 'fsync', file: 'any', kind: 'fail', oneIn: 300 },
  );
  load.start(LOAD_MS);
  t.teardown(() => load.stop());
  await until('the load to begin', () => load.begun, 60_000);
  for (let injected = 0; injected < FAULTS;) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    injected = Object.values(await disk.counts()).reduce((sum, n) => sum + n, 0);
  }
  await until('the programs to hear of it', () => load.troubled.length > 0, 60_000);
  t.comment(JSON.stringify(await disk.counts()));
  await disk.faults();
  await progress(load);
  t.equal(statusOf(mounted).state, 'running');
  await load.stop();
  t.strictSame(load.check(), []);
  mounted.remount();
  t.strictSame(load.check(), []);
  mounted.fsck();
});

await t.test(
  'a store that is taken away, and another program that holds it',
  { skip, timeout: LOAD_MS },
  async (t) => {
    const mounted = mountStore(t, { args: ['--sync-interval', '0.2'] });
    const file = join(mounted.mnt, 'file');
    const put = (text: string): number | null =>
      tryRun('sh', ['-c', 'printf %s "$2" > "$1" && sync "$1"', 'sh', file, text], { timeoutMs: 30_000 })
        .status;
    t.equal(put('one'), 0);
    run('mv', [mounted.store, `${mounted.store}.away`]);
    t.not(put('two'), 0, 'no success for what would be lost');
    t.match(statusOf(mounted), { state: 'failing', reason: /removed or renamed/ });
    t.match(readFileSync(file, 'latin1'), /^(one|two|)$/, 'reading goes on');
    run('mv', [`${mounted.store}.away`, mounted.store]);
    await until('the daemon to go on', () => statusOf(mounted).state === 'running', 60_000);
    t.equal(put('three'), 0);

    const holder = start('sqlite3', [mounted.store, 'BEGIN IMMEDIATE', '.shell sleep 8', 'COMMIT'], {
      timeoutMs: 30_000,
    });
    await until('the other program to hold the lock', () => existsSync(`/proc/${holder.pid}`));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    writeFileSync(file, 'four');
    await holder.done;
    await until('the daemon to go on', () => put('five') === 0, 60_000);
    t.equal(readFileSync(file, 'latin1'), 'five');
    mounted.fsck();
  },
);

await t.test('a store cannot be made on a full disk, and nothing is left of it', { skip }, async (t) => {
  const disk = await FaultDisk.start();
  t.teardown(() => disk.end());
  await disk.command({ command: 'limit', bytes: 50_000 });
  t.throws(() => createStore(disk.store), { code: 'no-space' });
  t.notOk(existsSync(disk.store));
  await disk.command({ command: 'limit', bytes: null });
  createStore(disk.store);
  t.ok(existsSync(disk.store));
  rmSync(disk.store);
});
