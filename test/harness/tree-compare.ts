/**
 * Compares two trees as a user of `cp -a`, `tar` or `rsync -aHAX` would: type, mode, owner, link count, size, mtime to
 * the nanosecond (or to the step of the mount under test), symlink targets, device numbers, extended attributes,
 * content, and which names are links to one file. Not compared: inode numbers, atime, ctime, sizes of directories.
 * Sparse files cost only their data.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { kernelCapabilities } from '../../src/fuse/kernel/capabilities.js';
import {
  at,
  capabilitiesOf,
  errorCode,
  O,
  type Path,
  type PosixClient,
  S,
  SEEK_DATA,
} from './posix-client.js';
import { TIME_STEP_NS } from './mount.js';
import { RealClient } from './real-client.js';

const DIFFERENCES_MAX = 40;
const BLOCK = 4096;
const READ_BYTES = 1 << 20;
const ZERO_BLOCK = Buffer.alloc(BLOCK);

const posix: PosixClient = new RealClient('plain', '/', {
  ...capabilitiesOf(kernelCapabilities()),
  permissions: true,
  openSpecial: true,
  orderedCookies: false,
  directoryLinks: true,
  processes: true,
  maxFileBytes: Number.MAX_SAFE_INTEGER,
});

/** Hash of the file's blocks that aren't zero, with their places: the same whatever is a hole. */
const contentHash = (path: Path, size: number): string => {
  const hash = createHash('sha1');
  const fd = fs.openSync(path, O.RDONLY);
  try {
    const buffer = Buffer.alloc(Math.min(READ_BYTES, Math.max(size, 1)));
    let position = 0;
    while (position < size) {
      if (size > READ_BYTES) {
        try {
          const data = Number(posix.lseek(fd, BigInt(position), SEEK_DATA));
          position = Math.max(position, data - (data % BLOCK));
        } catch (error) {
          if (errorCode(error) === 'ENXIO') break;
          throw error;
        }
      }
      const n = fs.readSync(fd, buffer, 0, buffer.length, position);
      if (n === 0) break;
      for (let i = 0; i < n; i += BLOCK) {
        const block = buffer.subarray(i, Math.min(i + BLOCK, n));
        if (block.equals(ZERO_BLOCK.subarray(0, block.length))) continue;
        hash.update(`${position + i}:`).update(block);
      }
      position += n;
    }
  } finally {
    fs.closeSync(fd);
  }
  return hash.digest('hex');
};

/** The step of time that both trees can show. */
const step = (ns: bigint): bigint => ns / TIME_STEP_NS;

export interface Comparison {
  /** Names looked at in the first tree. */
  entries: number;
  /** One line each, at most 40. */
  differences: string[];
}

/** `ignoreXattr` names what may differ, as the host's own labels. */
export const compareTrees = (
  left: string,
  right: string,
  ignoreXattr: (name: string) => boolean = () => false,
): Comparison => {
  const result: Comparison = { entries: 0, differences: [] };
  /** For each tree: inode → the first name seen. */
  const groups = [new Map<number, string>(), new Map<number, string>()];
  const differ = (path: Path, what: string, a: unknown, b: unknown): void => {
    if (result.differences.length >= DIFFERENCES_MAX) return;
    result.differences.push(
      `${Buffer.from(path as string).toString()}: ${what}: ${String(a)} / ${String(b)}`,
    );
  };
  const xattrs = (path: Path): string =>
    posix
      .listxattr(path)
      .filter((name) => !ignoreXattr(name))
      .sort()
      .map((name) => `${name}=${posix.getxattr(path, name).toString('hex')}`)
      .join(' ');

  const compareEntry = (a: Path, b: Path, relative: string): void => {
    result.entries++;
    const [x, y] = [posix.lstat(a), posix.lstat(b)];
    const type = x.mode & S.IFMT;
    for (const key of ['mode', 'uid', 'gid', 'nlink', 'mtimeNs'] as const) {
      const [ours, theirs] = key === 'mtimeNs' ? [step(x[key]), step(y[key])] : [x[key], y[key]];
      if (ours !== theirs)
        differ(
          a,
          key,
          key === 'mode' ? x.mode.toString(8) : x[key],
          key === 'mode' ? y.mode.toString(8) : y[key],
        );
    }
    if (type !== S.IFDIR && x.size !== y.size) differ(a, 'size', x.size, y.size);
    if ((type === S.IFCHR || type === S.IFBLK) && x.rdev !== y.rdev) differ(a, 'rdev', x.rdev, y.rdev);
    const [xa, ya] = [xattrs(a), xattrs(b)];
    if (xa !== ya) differ(a, 'xattrs', xa, ya);
    if (type === S.IFLNK && !posix.readlink(a).equals(posix.readlink(b))) {
      differ(a, 'target', posix.readlink(a), posix.readlink(b));
    }
    if (type !== S.IFDIR && x.nlink > 1) {
      const first = [groups[0].get(x.ino), groups[1].get(y.ino)];
      if (first[0] !== first[1]) differ(a, 'linked with', first[0], first[1]);
      if (first[0] === undefined) groups[0].set(x.ino, relative);
      if (first[1] === undefined) groups[1].set(y.ino, relative);
      if (first[0] !== undefined) return;
    }
    if (type === S.IFREG && x.size === y.size && contentHash(a, x.size) !== contentHash(b, y.size)) {
      differ(a, 'content', 'sha1', 'differs');
    }
    if (type === S.IFDIR && (y.mode & S.IFMT) === S.IFDIR) compareDirectories(a, b, relative);
  };

  const compareDirectories = (a: Path, b: Path, relative: string): void => {
    const [inA, inB] = [a, b].map(
      (path) => new Set(posix.readdir(path).map((name) => name.toString('latin1'))),
    );
    for (const name of inB) if (!inA.has(name)) differ(a, 'only in the second tree', '', name);
    for (const name of [...inA].sort()) {
      const bytes = Buffer.from(name, 'latin1');
      if (!inB.has(name)) differ(a, 'only in the first tree', name, '');
      else compareEntry(at(a, bytes), at(b, bytes), `${relative}/${name}`);
    }
  };

  compareEntry(left, right, '');
  return result;
};
