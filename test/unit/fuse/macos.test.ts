/** The pure parts of what macOS needs; macOS itself is not run by us. */
import t from 'tap';
import {
  isFuseMount,
  parseLsof,
  parseMountLine,
  readUnmounted,
  unmountCommand,
} from '../../../src/daemon/macos/commands.js';
import { darwinErrno } from '../../../src/fuse/macos/errno.js';
import {
  darwinRdev,
  linuxOpenFlags,
  linuxRdev,
  linuxXattrFlags,
} from '../../../src/fuse/macos/open-flags.js';
import { macosOptions } from '../../../src/fuse/macos/option-string.js';
import { isAppleDouble, shownXattrList, storedXattrName } from '../../../src/fuse/macos/xattrs.js';
import { withPart } from '../../../src/fuse/fuse-native/operations-attributes.js';
import { macosPlatform } from '../../../src/fuse/macos/platform.js';
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
  t.strictSame([...withPart(Uint8Array.of(1, 2, 3), Uint8Array.of(9, 9), 2)], [1, 2, 9, 9]);
  t.strictSame([...withPart(Uint8Array.of(1), Uint8Array.of(9), 3)], [1, 0, 0, 9]);
  t.equal(Buffer.from(macosPlatform.shownXattrs(Buffer.from('user.é\0'))).toString(), 'é\0');
  t.ok(isAppleDouble('._x'));
  t.notOk(isAppleDouble('._'));
  t.end();
});

void t.test('options, unmount, mounts, holders', (t) => {
  t.ok(macosOptions('My, disk', '/Volumes/x').includes('volname=My_ disk'));
  t.ok(macosOptions('', '/Volumes/x').includes('volname=x'));
  t.strictSame(unmountCommand('/Volumes/x', true), ['diskutil', ['unmount', 'force', '/Volumes/x']]);
  t.equal(readUnmounted(0, 'Unmount successful for /Volumes/x').outcome, 'done');
  t.equal(
    readUnmounted(1, 'Volume x on disk4 failed to unmount: dissented by PID 99 (bash)').outcome,
    'busy',
  );
  t.equal(readUnmounted(1, 'Unmount failed for /Volumes/x: it was not mounted').outcome, 'not-mounted');
  t.equal(readUnmounted(undefined, '').outcome, 'timed-out');
  const mount = parseMountLine('/Users/j/my store.db on /Volumes/x (macfuse, nodev, nosuid, mounted by j)');
  t.match(mount, { source: '/Users/j/my store.db', mountpoint: '/Volumes/x', fsType: 'macfuse' });
  t.ok(mount !== undefined && isFuseMount(mount));
  t.equal(parseMountLine('nonsense'), undefined);
  const lsof = 'p412\ncbash\nfcwd\nn/Volumes/x/dir\np500\ncvim\nf5\nn/Volumes/x/a b\nftxt\nn/Volumes/x/bin\n';
  t.strictSame(parseLsof(lsof), [
    { pid: 412, command: 'bash', how: 'cwd', path: '/Volumes/x/dir' },
    { pid: 500, command: 'vim', how: '5', path: '/Volumes/x/a b' },
    { pid: 500, command: 'vim', how: 'txt', path: '/Volumes/x/bin' },
  ]);
  t.end();
});
