/**
 * fuse-native by the real command line: its defects on the real binding (each is what native-notes/fuse-native.md says
 * of it), real work, and its ends. Where the package could not be installed only the sentence about that is tested.
 */
import {
  closeSync,
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
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run, tryRun } from '../harness/commands.js';
import { NATIVE, withoutNative } from '../harness/fuse-native.js';
import { cli, mountEntries, MountedStore, mountStore } from '../harness/mount.js';

const onNative = (t: Test, ...args: string[]): MountedStore => mountStore(t, { args: [...NATIVE, ...args] });

if (withoutNative) {
  await t.test('asking for it says that it is not installed', (t) => {
    const mounted = new MountedStore();
    t.teardown(() => mounted.dispose());
    const { status, stderr } = cli(['mount', mounted.store, mounted.mnt, ...NATIVE]);
    t.equal(status, 4);
    t.match(stderr, /fuse-native can't be used: the package fuse-native is not installed/);
    t.end();
  });
} else {
  const shared = onNative(t);
  let places = 0;
  /** A fresh directory of the mount that the tests share. */
  const place = (): string => {
    const dir = join(shared.mnt, `place-${++places}`);
    mkdirSync(dir);
    return dir;
  };

  await t.test('status says which transport, why, and what it can', (t) => {
    const entry = mountEntries().find(({ mountpoint }) => mountpoint === shared.mnt);
    t.match(entry, { transport: 'fuse-native', transportReason: 'asked for', state: 'running' });
    t.match(entry?.capabilities, { timeStepNs: 1e6, newFileOwner: 'mounter', prune: false });
    t.end();
  });

  await t.test(
    'times: the mtime that utimens loses is recovered, in milliseconds; one time alone is lost',
    (t) => {
      const mnt = place();
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
      const mnt = place();
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
    const dir = place();
    const at = (name: string): string => join(dir, name);
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
    t.strictSame(readdirSync(dir), ['target']);
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
    const mnt = place();
    const bytes = Buffer.concat([Buffer.from(`${mnt}/a`), Buffer.from([0xff])]);
    t.throws(() => writeFileSync(bytes, 'x'), { code: 'EILSEQ' });
    writeFileSync(join(mnt, 'käse ✓'), 'x');
    t.strictSame(readdirSync(mnt), ['käse ✓']);
    t.end();
  });

  await t.test('extended attributes: sizes asked for, ERANGE, empty values; ACLs are refused', (t) => {
    const mnt = place();
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

  await t.test('the store is sound afterwards', (t) => {
    shared.fsck();
    t.end();
  });
}
