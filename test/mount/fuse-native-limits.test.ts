/**
 * What fuse-native can carry and what it can't, on the real binding: the numbers and sizes of
 * native-notes/fuse-native.md. Where the package is not installed: see fuse-native.test.ts.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run, start, until } from '../harness/commands.js';
import { NATIVE, nativePackage, withoutNative } from '../harness/fuse-native.js';
import {
  cliOk,
  fullSize,
  MountedStore,
  type MountOptions,
  mountStore,
  VNODEFS_CAPABILITIES,
} from '../harness/mount.js';
import { codeOf } from '../harness/posix-client.js';
import { RealClient } from '../harness/real-client.js';

// Starting so many daemons takes long on a busy machine.
t.setTimeout(900_000);
const skip = withoutNative;
const ON_NATIVE: MountOptions = { args: NATIVE };
const KERNEL: MountOptions = { args: ['--transport', 'kernel'] };

/** An empty store, not mounted yet. */
const storeOf = (t: Test, options: MountOptions): MountedStore => {
  const mounted = new MountedStore(options);
  t.teardown(() => mounted.dispose());
  cliOk(['mkfs', mounted.store]);
  return mounted;
};

await t.test('inode numbers above 32 bits are not shown as others, and none is given out', { skip }, (t) => {
  const mounted = storeOf(t, ON_NATIVE);
  const last = 2 ** 32 - 1;
  run('sqlite3', [mounted.store, `update counters set next_ino = ${last}`]);
  mounted.mount();
  writeFileSync(join(mounted.mnt, 'last'), 'x');
  t.equal(statSync(join(mounted.mnt, 'last')).ino, last, 'the largest that 32 bits hold');
  t.equal(
    codeOf(() => writeFileSync(join(mounted.mnt, 'more'), 'x')),
    'ENOSPC',
  );
  mounted.unmount();
  const wide = new MountedStore(KERNEL);
  t.teardown(() => wide.dispose());
  wide.store = mounted.store;
  wide.mount();
  writeFileSync(join(wide.mnt, 'wide'), 'beyond');
  t.equal(statSync(join(wide.mnt, 'wide')).ino, last + 1);
  wide.unmount();
  mounted.mount();
  t.strictSame(readdirSync(mounted.mnt).sort(), ['last', 'wide']);
  t.equal(
    codeOf(() => statSync(join(mounted.mnt, 'wide'))),
    'EOVERFLOW',
  );
  mounted.fsck();
  t.end();
});

await t.test('extended attributes in buffers too small: ERANGE, not what lies behind them', { skip }, (t) => {
  const mounted = mountStore(t, ON_NATIVE);
  const client = new RealClient('mount', mounted.mnt, VNODEFS_CAPABILITIES);
  const f = join(mounted.mnt, 'f');
  writeFileSync(f, '');
  client.setxattr(f, 'user.a', Buffer.alloc(100, 'x'));
  t.equal(client.getxattrSize(f, 'user.a'), 100);
  for (const size of [1, 99])
    t.equal(
      codeOf(() => client.getxattr(f, 'user.a', size)),
      'ERANGE',
    );
  t.equal(client.getxattr(f, 'user.a', 100).toString(), 'x'.repeat(100));
  t.equal(
    codeOf(() => client.listxattr(f, 3)),
    'ERANGE',
  );
  t.strictSame(client.listxattr(f, 7), ['user.a']);
  t.end();
});

await t.test('a file made comes without flags: what it was opened for holds all the same', { skip }, (t) => {
  const mounted = mountStore(t, ON_NATIVE);
  const f = join(mounted.mnt, 'f');
  const { O_APPEND, O_CREAT, O_SYNC, O_WRONLY } = constants;
  const fd = openSync(f, O_WRONLY | O_CREAT | O_APPEND);
  writeSync(fd, 'one ');
  writeFileSync(f, 'others ', { flag: 'a' });
  writeSync(fd, 'two');
  t.equal(
    codeOf(() => readSync(fd, Buffer.alloc(1), 0, 1, 0)),
    'EBADF',
    'for writing only',
  );
  closeSync(fd);
  t.equal(readFileSync(f, 'utf8'), 'one others two', 'appending');
  const requests = (): Record<string, number> =>
    (
      JSON.parse(cliOk(['status', mounted.mnt, '--json']).stdout) as {
        mounts: { requests: Record<string, number> }[];
      }
    ).mounts[0].requests;
  t.equal(requests()['fsync'] ?? 0, 0);
  const sync = openSync(join(mounted.mnt, 'synced'), O_WRONLY | O_CREAT | O_SYNC);
  writeSync(sync, 'durable');
  t.ok(requests()['fsync'] >= 1, 'O_SYNC: the kernel asks for it by itself');
  closeSync(sync);
  t.end();
});

await t.test('pages belong to a name: what is written by another shows at the next open', { skip }, (t) => {
  const mounted = mountStore(t, ON_NATIVE);
  const client = new RealClient('mount', mounted.mnt, VNODEFS_CAPABILITIES);
  const [a, b] = [join(mounted.mnt, 'a'), join(mounted.mnt, 'b')];
  writeFileSync(a, 'old');
  client.link(a, b);
  const reader = openSync(a, 'r');
  const read = (): string => {
    const buffer = Buffer.alloc(3);
    readSync(reader, buffer, 0, 3, 0);
    return buffer.toString();
  };
  t.equal(read(), 'old');
  const writer = openSync(b, 'r+');
  writeSync(writer, 'new');
  closeSync(writer);
  t.equal(read(), 'old', 'the defect');
  t.equal(readFileSync(a, 'utf8'), 'new');
  closeSync(reader);
  t.end();
});

await t.test('times below a millisecond are stored, and not shown', { skip }, (t) => {
  const mounted = storeOf(t, KERNEL).mount();
  const f = join(mounted.mnt, 'f');
  mkdirSync(f);
  run('touch', ['-d', '@1234567890.987654321', f]);
  mounted.unmount();
  const native = new MountedStore(ON_NATIVE);
  t.teardown(() => native.dispose());
  native.store = mounted.store;
  native.mount();
  t.equal(statSync(join(native.mnt, 'f'), { bigint: true }).mtimeNs, 1_234_567_890_987_000_000n);
  native.unmount();
  mounted.mount();
  t.equal(statSync(f, { bigint: true }).mtimeNs, 1_234_567_890_987_654_321n);
  t.end();
});

await t.test('builds for x64 only, one for macOS', { skip }, (t) => {
  t.strictSame(readdirSync(join(nativePackage ?? '', 'prebuilds')).sort(), ['darwin-x64', 'linux-x64']);
  t.end();
});

const skipLong = skip || (fullSize ? false : 'takes 25 s: only with VNODEFS_FULL=1');
await t.test('a request may wait longer than the 15 s of the binding', { skip: skipLong }, async (t) => {
  const mounted = mountStore(t, ON_NATIVE);
  const fd = openSync(join(mounted.mnt, 'f'), 'w');
  fstatSync(fd);
  // Another writer holds SQLite's lock: the commit, and with it the fsync, waits.
  const holder = start(
    'sqlite3',
    [mounted.store, 'begin immediate', '.shell echo held >&2; sleep 22', 'rollback'],
    {
      timeoutMs: 60_000,
    },
  );
  await until(
    'the lock',
    () => codeOf(() => run('sqlite3', [mounted.store, 'begin immediate; rollback'])) !== 'no error',
  );
  const writer = start(
    'dd',
    ['if=/dev/zero', `of=${join(mounted.mnt, 'g')}`, 'bs=4k', 'count=1', 'conv=fsync'],
    {
      timeoutMs: 60_000,
    },
  );
  const began = performance.now();
  const { status, stderr } = await writer.done;
  t.equal(status, 0, stderr);
  t.ok(performance.now() - began > 15_000, `waited ${Math.round(performance.now() - began)} ms`);
  await holder.done;
  closeSync(fd);
  mounted.fsck();
});
