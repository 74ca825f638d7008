/** Trees to copy: real files of the host, and the oddities that real trees hold too seldom. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { Prng } from '../../src/base/prng.js';
import { run, tryRun } from './commands.js';
import { TEST_CAPABILITIES } from './mount.js';
import { at, O, type PosixClient, S } from './posix-client.js';

/**
 * Copies about `count` entries below `source` into the new directory `target`, a sample spread over the whole
 * tree.
 */
export const sampleTree = (source: string, target: string, count: number): void => {
  fs.mkdirSync(target);
  const list = tryRun('find', ['.', '-xdev', '-print0'], { cwd: source })
    .stdout.split('\0')
    .filter((name) => name !== '');
  const step = Math.max(1, Math.floor(list.length / count));
  const chosen = list.filter((_, i) => i % step === 0).slice(0, count);
  const script = 'tar --no-recursion --null -T - -cf - 2>/dev/null | tar -xpf - -C "$1"';
  tryRun('sh', ['-c', script, 'sh', target], { cwd: source, input: chosen.join('\0'), timeoutMs: 300_000 });
};

/** A tree of source files for git: `count` files in directories of 40, reproducible. */
export const sourceTree = (dir: string, count: number): void => {
  const prng = new Prng(2024);
  for (let i = 0; i < count; i++) {
    const folder = join(dir, `module-${Math.floor(i / 40)}`, i % 3 === 0 ? 'deep/er' : '.');
    fs.mkdirSync(folder, { recursive: true });
    const lines = Array.from(
      { length: 5 + prng.int(120) },
      (_, n) => `line ${n} ${prng.int(1e9).toString(36)}`,
    );
    fs.writeFileSync(join(folder, `file-${i}.txt`), lines.join('\n'));
  }
  fs.symlinkSync('module-0/deep/er', join(dir, 'shortcut'));
  fs.writeFileSync(join(dir, 'run.sh'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
};

const device = (major: number, minor: number): number => (major << 8) | minor;

/** Plants one of everything that the mount under test can hold below the existing directory `dir` (root only). */
export const plantOddities = (posix: PosixClient, dir: string): void => {
  const make = (name: string | Buffer, data: string | Buffer, mode = 0o644): void => {
    const fd = posix.open(at(dir, name), O.WRONLY | O.CREAT | O.TRUNC, mode);
    posix.write(fd, Buffer.from(data as string));
    posix.close(fd);
    posix.chmod(at(dir, name), mode);
  };
  make('setuid', 'x', 0o4755);
  make('setgid', 'x', 0o2755);
  make('secret', 'x', 0o000);
  make('owned', 'x');
  posix.chown(join(dir, 'owned'), 1234, 65533);
  make('empty', '');
  make('linked-a', 'three names, one file');
  posix.link(join(dir, 'linked-a'), join(dir, 'linked-b'));
  posix.mkdir(join(dir, 'sub'), 0o755);
  posix.link(join(dir, 'linked-a'), join(dir, 'sub', 'linked-c'));
  const { byteNames, timesBeforeEpoch } = TEST_CAPABILITIES;
  if (byteNames) make(Buffer.of(0xff, 0x80, 0x20, 0xfe), 'not UTF-8');
  make(Buffer.from('new\nline and "quotes"'), 'odd');
  make('n'.repeat(255), 'longest name');
  make(' leading and trailing ', 'x');
  make('-rf', 'x');
  make('xattrs', 'x');
  posix.setxattr(join(dir, 'xattrs'), 'user.plain', Buffer.from('value'));
  posix.setxattr(join(dir, 'xattrs'), 'user.bytes', Buffer.of(0, 1, 2, 255));
  posix.setxattr(join(dir, 'xattrs'), 'user.empty', Buffer.alloc(0));
  posix.setxattr(join(dir, 'sub'), 'user.on-a-directory', Buffer.from('yes'));
  posix.setxattr(join(dir, 'xattrs'), 'trusted.t', Buffer.from('root'));
  posix.symlink('l'.repeat(4095), join(dir, 'long-symlink'));
  posix.symlink('nowhere', join(dir, 'dangling'));
  if (byteNames) posix.symlink(Buffer.of(0xff, 0x2f, 0xfe), join(dir, 'bytes-symlink'));
  posix.mknod(join(dir, 'fifo'), S.IFIFO | 0o640);
  posix.mknod(join(dir, 'socket'), S.IFSOCK | 0o600);
  posix.mknod(join(dir, 'null'), S.IFCHR | 0o666, device(1, 3));
  posix.mknod(join(dir, 'block'), S.IFBLK | 0o600, device(7, 200));
  posix.mkdir(join(dir, 'sticky'));
  posix.chmod(join(dir, 'sticky'), 0o1777);
  posix.mkdir(join(dir, 'setgid-dir'));
  posix.chmod(join(dir, 'setgid-dir'), 0o2775);
  const sparse = posix.open(join(dir, 'sparse'), O.RDWR | O.CREAT, 0o600);
  for (const where of [0, 3_000_001, 40_000_000]) posix.write(sparse, Buffer.from('island'), where);
  posix.ftruncate(sparse, 64 << 20);
  posix.close(sparse);
  const times: [string, bigint][] = [
    ['empty', timesBeforeEpoch ? -1n : 0n],
    ['setuid', 1n],
    ['owned', 4_102_444_800_123_456_789n],
    ['sub', 1_234_567_890_987_654_321n],
  ];
  for (const [name, time] of times) posix.utimens(join(dir, name), time, time);
  posix.utimens(join(dir, 'dangling'), 77n, 1_500_000_000_000_000_001n, true);
};

/** The host's copy: `cp -a`, which keeps hard links, xattrs, holes and times. */
export const copyTree = (from: string, to: string, timeoutMs = 600_000): void => {
  run('cp', ['-a', from, to], { timeoutMs });
};
