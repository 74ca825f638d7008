/** Where the systems that fuse-native runs on differ in what they put into requests and expect in answers. The core speaks Linux. */
import { markedSource } from '../../base/macos/commands.js';
import { darwinErrno } from '../../base/macos/errno.js';
import { darwinRdev, linuxOpenFlags, linuxRdev, linuxXattrFlags } from '../../base/macos/open-flags.js';
import { macosOptions } from '../../base/macos/option-string.js';
import { shownXattrList, storedXattrName } from '../../base/macos/xattrs.js';

export interface Platform {
  /** Mount options beyond those of libfuse itself. */
  options(mountpoint: string): string[];
  /** The source column of the mount table. */
  source(fsname: string): string;
  errno(linux: number): number;
  openFlags(theirs: number): number;
  xattrFlags(theirs: number): number;
  /** Device numbers as stored, from and to those of this system. */
  storedRdev(theirs: number): number;
  shownRdev(stored: number): number;
  /** Names of extended attributes as stored; lists of them, each name followed by NUL, as shown. */
  storedXattr(name: string): string;
  shownXattrs(list: Uint8Array): Uint8Array;
  /** Extended attributes may be read and written in parts. */
  readonly xattrPositions: boolean;
}

const same = <T>(value: T): T => value;

export const linuxPlatform: Platform = {
  options: () => ['big_writes', 'subtype=vnodefs'],
  source: same,
  errno: same,
  openFlags: same,
  xattrFlags: same,
  storedRdev: same,
  shownRdev: same,
  storedXattr: same,
  shownXattrs: same,
  xattrPositions: false,
};

/** Not run by us: see native-notes/macos.md. */
export const macosPlatform: Platform = {
  options: macosOptions,
  source: markedSource,
  errno: darwinErrno,
  openFlags: linuxOpenFlags,
  xattrFlags: linuxXattrFlags,
  storedRdev: linuxRdev,
  shownRdev: darwinRdev,
  storedXattr: storedXattrName,
  shownXattrs: (list) => Buffer.from(shownXattrList(Buffer.from(list).toString('utf8')), 'utf8'),
  xattrPositions: true,
};
