/** The macOS side of the fuse-native transport. Not run by us: see native-notes/macos.md. */
import type { Platform } from '../fuse-native/platform.js';
import { darwinErrno } from './errno.js';
import { darwinRdev, linuxOpenFlags, linuxRdev, linuxXattrFlags } from './open-flags.js';
import { macosOptions } from './option-string.js';
import { shownXattrList, storedXattrName } from './xattrs.js';

export const macosPlatform: Platform = {
  options: (mountpoint) => macosOptions('', mountpoint),
  errno: darwinErrno,
  openFlags: linuxOpenFlags,
  xattrFlags: linuxXattrFlags,
  storedRdev: linuxRdev,
  shownRdev: darwinRdev,
  storedXattr: storedXattrName,
  shownXattrs: (list) => Buffer.from(shownXattrList(Buffer.from(list).toString('utf8')), 'utf8'),
  xattrPositions: true,
};
