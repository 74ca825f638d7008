/** The pure parts of what macOS needs, with output of its programs as they document it; macOS itself is not run by us. */
import t from 'tap';
import {
  isOurMount,
  lsofArguments,
  markedSource,
  mountedBy,
  parseLsof,
  parseMountLine,
  readUnmounted,
  unmarkedSource,
  unmountCommand,
} from '../../../src/base/macos/commands.js';
import { darwinErrno, linuxErrno } from '../../../src/base/macos/errno.js';
import {
  darwinRdev,
  linuxOpenFlags,
  linuxRdev,
  linuxXattrFlags,
} from '../../../src/base/macos/open-flags.js';
import { macosOptions } from '../../../src/base/macos/option-string.js';
import { isAppleDouble, shownXattrList, storedXattrName } from '../../../src/base/macos/xattrs.js';
import { Errno } from '../../../src/base/errno.js';

void t.test('errno numbers', (t) => {
  t.strictSame([11, 39, 61, 38, 40, 36].map(darwinErrno), [35, 66, 93, 78, 62, 63]);
  t.strictSame([1, 2, 5, 13, 17, 28, 34].map(darwinErrno), [1, 2, 5, 13, 17, 28, 34]);
  t.equal(darwinErrno(999), 5);
  const mapped = Object.values(Errno).map(darwinErrno);
  t.strictSame(
    Object.values(Errno).filter((linux, i) => linux !== 5 && mapped[i] === 5),
    [],
    'each that we use has its own',
  );
  for (const linux of Object.values(Errno)) t.equal(linuxErrno(darwinErrno(linux)), linux);
  t.equal(linuxErrno(35), 11, 'a lock that is held');
  t.equal(linuxErrno(11), 5, 'EDEADLK is none of ours, and not EAGAIN');
  t.end();
});

void t.test('flags and device numbers', (t) => {
  t.equal(linuxOpenFlags(0x0002 | 0x0200 | 0x0800), 0o2 | 0o100 | 0o200, 'O_RDWR|O_CREAT|O_EXCL');
  t.equal(linuxOpenFlags(0x0001 | 0x0008 | 0x0400), 0o1 | 0o2000 | 0o1000, 'O_WRONLY|O_APPEND|O_TRUNC');
  t.strictSame([0, 1, 2, 4].map(linuxXattrFlags), [0, 0, 1, 2]);
  for (const darwin of [0x05000007, 0x0e012345]) t.equal(darwinRdev(linuxRdev(darwin)), darwin);
  t.end();
});

void t.test('extended attributes and ._ files', (t) => {
  t.equal(storedXattrName('com.apple.FinderInfo'), 'user.com.apple.FinderInfo');
  t.equal(
    shownXattrList('user.com.apple.quarantine\0security.capability\0user.x\0'),
    'com.apple.quarantine\0x\0',
  );
  t.ok(isAppleDouble('._x'));
  t.notOk(isAppleDouble('._'));
  t.end();
});

void t.test('options: a name for the Finder, nothing about case, ._ files let in', (t) => {
  t.ok(macosOptions('/Volumes/My, disk').includes('volname=My_ disk'));
  t.ok(macosOptions('/Volumes/x').includes('volname=x'));
  t.notMatch(macosOptions('/Volumes/x').join(), /noappledouble|noapplexattr|case/);
  t.end();
});

void t.test('diskutil', (t) => {
  t.strictSame(unmountCommand('/Volumes/x', true), ['diskutil', ['unmount', 'force', '/Volumes/x']]);
  t.strictSame(unmountCommand('/Volumes/x', false), ['diskutil', ['unmount', '/Volumes/x']]);
  t.equal(readUnmounted(0, 'Unmount successful for /Volumes/x').outcome, 'done');
  t.equal(
    readUnmounted(1, 'Volume x on disk4 failed to unmount: dissented by PID 99 (bash)').outcome,
    'busy',
  );
  t.equal(readUnmounted(1, 'Unmount failed for /Volumes/x: it was not mounted').outcome, 'not-mounted');
  t.equal(readUnmounted(undefined, '').outcome, 'timed-out');
  t.strictSame(readUnmounted(1, 'Operation not permitted\nmore'), {
    outcome: 'failed',
    reason: 'Operation not permitted',
  });
  t.end();
});

void t.test('mount: ours among others', (t) => {
  const line = `${markedSource('/Users/j/my store.db')} on /Volumes/a (b) on c (macfuse, nodev, nosuid, mounted by j)`;
  const mount = parseMountLine(line);
  t.match(mount, { mountpoint: '/Volumes/a (b) on c', fsType: 'macfuse' });
  if (mount === undefined) return;
  t.ok(isOurMount(mount));
  t.equal(unmarkedSource(mount.source), '/Users/j/my store.db');
  t.equal(mountedBy(mount), 'j');
  const ours = (text: string): boolean => {
    const parsed = parseMountLine(text);
    return parsed !== undefined && isOurMount(parsed);
  };
  t.ok(ours('fuse-t:/x on /Volumes/x (nfs, nodev, nosuid, mounted by j)'), 'FUSE-T');
  t.notOk(
    ours('sshfs on /Volumes/s (macfuse, nodev, nosuid, mounted by j)'),
    'another filesystem of macFUSE',
  );
  t.notOk(ours('server:/x on /Volumes/n (nfs)'));
  t.notOk(ours('/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)'));
  t.equal(parseMountLine('nonsense'), undefined);
  t.end();
});

void t.test('lsof: processes, and how they use the mount', (t) => {
  t.strictSame(lsofArguments('/Volumes/x').slice(-2), ['--', '/Volumes/x']);
  const text = [
    ...['p412', 'cbash', 'u501', 'Lann', 'fcwd', 'a ', 'n/Volumes/x/dir'],
    ...['p500', 'cvim', 'u501', 'Lann', 'f5', 'au', 'n/Volumes/x/a b', 'ftxt', 'a ', 'n/Volumes/x/bin'],
    ...['p501', 'cnone', ''],
  ].join('\n');
  t.strictSame(parseLsof(text), [
    {
      pid: 412,
      command: 'bash',
      uid: 501,
      user: 'ann',
      uses: [{ how: 'cwd', access: ' ', path: '/Volumes/x/dir' }],
    },
    {
      pid: 500,
      command: 'vim',
      uid: 501,
      user: 'ann',
      uses: [
        { how: '5', access: 'u', path: '/Volumes/x/a b' },
        { how: 'txt', access: ' ', path: '/Volumes/x/bin' },
      ],
    },
  ]);
  t.end();
});
