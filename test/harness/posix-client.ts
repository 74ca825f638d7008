/**
 * The one interface through which the posix suite and the tree model reach a filesystem: synchronous calls shaped like
 * libc's. Three implementations: a directory of the host and a vnodefs mount (real-client.ts), and the core in process
 * (core-client.ts).
 *
 * Every call throws an `Error` whose `code` is the errno's name (`ENOENT`), as Node's own file system calls do.
 * Paths are absolute. A path or name that isn't UTF-8 is a Buffer.
 */
import { constants } from 'node:fs';
import type { TransportCapabilities } from '../../src/vfs/capabilities.js';

export type Path = string | Buffer;
export type TargetName = 'plain' | 'mount' | 'core';

/** open(2) flags of this architecture; O_TMPFILE and O_PATH aren't in Node's table. */
export const O = {
  RDONLY: constants.O_RDONLY,
  WRONLY: constants.O_WRONLY,
  RDWR: constants.O_RDWR,
  CREAT: constants.O_CREAT,
  EXCL: constants.O_EXCL,
  TRUNC: constants.O_TRUNC,
  APPEND: constants.O_APPEND,
  DIRECT: constants.O_DIRECT,
  DIRECTORY: constants.O_DIRECTORY,
  NOFOLLOW: constants.O_NOFOLLOW,
  SYNC: constants.O_SYNC,
  DSYNC: constants.O_DSYNC,
  NONBLOCK: constants.O_NONBLOCK,
  NOATIME: constants.O_NOATIME,
  TMPFILE: 0o20000000 | constants.O_DIRECTORY,
} as const;

/** File types of st_mode. */
export const S = {
  IFMT: 0o170000,
  IFSOCK: 0o140000,
  IFLNK: 0o120000,
  IFREG: 0o100000,
  IFBLK: 0o060000,
  IFDIR: 0o040000,
  IFCHR: 0o020000,
  IFIFO: 0o010000,
} as const;

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;
export const FALLOC_KEEP_SIZE = 1;
export const FALLOC_PUNCH_HOLE = 2;
export const FALLOC_COLLAPSE_RANGE = 8;
export const FALLOC_ZERO_RANGE = 16;
export const FALLOC_INSERT_RANGE = 32;
export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

/** st_* as numbers; times in nanoseconds since the epoch, perhaps negative. */
export interface FileStat {
  ino: number;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** As st_rdev of glibc (makedev encoding). */
  rdev: number;
  size: number;
  /** In 512-byte units. */
  blocks: number;
  atimeNs: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
  /** Of birth: statx(2). */
  btimeNs: bigint;
}

export interface Dirent {
  name: Buffer;
  ino: number;
  /** DT_*: S_IFMT bits >> 12. */
  type: number;
  /** d_off: where a seek continues after this entry. */
  cookie: bigint;
}

export interface FsStat {
  blocks: number;
  blocksFree: number;
  blocksAvailable: number;
  files: number;
  filesFree: number;
  blockBytes: number;
}

/** Nanoseconds since the epoch, or what utimensat(2) calls UTIME_NOW and UTIME_OMIT. */
export type TimeArgument = bigint | 'now' | 'omit';

/** What a target can't do is false, and the suite skips the cases that need it, with the capability as the reason. */
export interface Capabilities extends Omit<
  TransportCapabilities,
  'newFileOwner' | 'timeStepNs' | 'stableCookies'
> {
  /** Someone checks permissions (the kernel; with default_permissions not the core). */
  permissions: boolean;
  /** FIFOs can be opened (the kernel does that, not the filesystem). */
  openSpecial: boolean;
  /** d_off increases by position in the directory: entries added after a cookie was taken come after it. */
  orderedCookies: boolean;
  /** A directory's link count is 2 + its subdirectories. */
  directoryLinks: boolean;
  /** What is tested is what programs see: running one, standing in a directory, another filesystem to go to. */
  processes: boolean;
  /** Bytes of the largest file: EFBIG beyond. */
  maxFileBytes: number;
  /** New files belong to who makes them, whoever mounted. */
  callers: boolean;
  /** Times are told and shown in nanoseconds. */
  exactTimes: boolean;
}

/** A capability that is there or not. */
export type Flag = {
  [K in keyof Capabilities]: Capabilities[K] extends boolean ? K : never;
}[keyof Capabilities];
/** Those of `needs` that are not there. */
export const missing = (capabilities: Capabilities, needs: readonly Flag[]): Flag[] =>
  needs.filter((flag) => !capabilities[flag]);

/** What a transport's own declaration means for the suite. */
export const capabilitiesOf = (transport: TransportCapabilities): Omit<Capabilities, OfTarget> => {
  const { newFileOwner, timeStepNs, stableCookies, ...same } = transport;
  return {
    ...same,
    callers: newFileOwner === 'caller',
    exactTimes: timeStepNs === 1,
    orderedCookies: stableCookies,
  };
};

/** Those that have nothing to do with the transport. */
type OfTarget = 'permissions' | 'processes' | 'openSpecial' | 'directoryLinks' | 'maxFileBytes';

export interface PosixClient {
  readonly target: TargetName;
  /** Directory below which tests work, no slash at its end. */
  readonly root: string;
  readonly capabilities: Capabilities;

  /** Sets the file mode creation mask; returns the old one. */
  umask(mask: number): number;
  /** Runs `work` with these effective ids and no other groups; back to root afterwards. */
  asUser<T>(uid: number, gid: number, work: () => T): T;

  open(path: Path, flags: number, mode?: number): number;
  close(fd: number): void;
  /** Up to `length` bytes; at `position`, or at the file offset, which then moves. Empty at end of file. */
  read(fd: number, length: number, position?: number): Buffer;
  write(fd: number, data: Uint8Array, position?: number): number;
  truncate(path: Path, size: number): void;
  ftruncate(fd: number, size: number): void;
  /** SEEK_*; returns the new offset. */
  lseek(fd: number, offset: bigint, whence: number): bigint;
  fallocate(fd: number, mode: number, offset: number, length: number): void;
  copyFileRange(srcFd: number, srcOffset: number, dstFd: number, dstOffset: number, length: number): number;
  fsync(fd: number): void;
  fdatasync(fd: number): void;
  /** syncfs(2) of the filesystem of `fd`. */
  syncfs(fd: number): void;
  /** Writes the file's data back and drops it from the kernel's cache, so that the next read asks the filesystem. */
  evict(fd: number): void;

  stat(path: Path): FileStat;
  lstat(path: Path): FileStat;
  fstat(fd: number): FileStat;
  statfs(path: Path): FsStat;
  access(path: Path, mask: number): void;
  chmod(path: Path, mode: number): void;
  fchmod(fd: number, mode: number): void;
  /** -1 leaves an id as it is. */
  chown(path: Path, uid: number, gid: number): void;
  lchown(path: Path, uid: number, gid: number): void;
  utimens(path: Path, atime: TimeArgument, mtime: TimeArgument, nofollow?: boolean): void;
  futimens(fd: number, atime: TimeArgument, mtime: TimeArgument): void;

  mkdir(path: Path, mode?: number): void;
  rmdir(path: Path): void;
  unlink(path: Path): void;
  rename(from: Path, to: Path, flags?: number): void;
  /** Doesn't follow a symlink at the end of `existing`. */
  link(existing: Path, path: Path): void;
  /** linkat(2) with AT_EMPTY_PATH: gives an O_TMPFILE a name. */
  linkFd(fd: number, path: Path): void;
  symlink(target: Path, path: Path): void;
  readlink(path: Path): Buffer;
  /** `mode` with its type bits; `rdev` as glibc's makedev. */
  mknod(path: Path, mode: number, rdev?: number): void;

  /** Names without `.` and `..`, in the order of the directory. */
  readdir(path: Path): Buffer[];
  /** getdents64(2): entries from the descriptor's position, `.` and `..` too; empty at the end. */
  getdents(fd: number, bytes: number): Dirent[];

  /** FS_IOC_GETFLAGS and FS_IOC_SETFLAGS of a file or directory: FS_*_FL. */
  getFlags(path: Path): number;
  setFlags(path: Path, flags: number): void;

  /** The l*xattr(2) calls. `size` undefined: as large as needed; 0 asks for the size only. */
  setxattr(path: Path, name: string, value: Uint8Array, flags?: number): void;
  getxattr(path: Path, name: string, size?: number): Buffer;
  getxattrSize(path: Path, name: string): number;
  listxattr(path: Path, size?: number): string[];
  removexattr(path: Path, name: string): void;
}

/** An error as Node's fs throws: `code` is the errno's name. */
export class PosixError extends Error {
  override readonly name = 'PosixError';
  readonly code: string;
  constructor(code: string, call: string) {
    super(`${code}: ${call}`);
    this.code = code;
  }
}

/** The errno's name; Node calls number 95 ENOTSUP, we EOPNOTSUPP. */
export const errorCode = (error: unknown): string => {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (code === 'ENOTSUP') return 'EOPNOTSUPP';
  return typeof code === 'string' ? code : `not an errno: ${String(error)}`;
};

/** {@link errorCode} of what `work` throws, or `no error`. */
export const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'no error';
  } catch (error) {
    return errorCode(error);
  }
};

/** `dir/name`, where `name` may be bytes. */
export const at = (dir: Path, name: Path): Path =>
  typeof dir === 'string' && typeof name === 'string'
    ? `${dir}/${name}`
    : Buffer.concat([Buffer.from(dir as string), Buffer.from('/'), Buffer.from(name as string)]);

export const NS = 1_000_000_000n;
/** Nanoseconds to whole seconds (floor) and 0..999,999,999. */
export const splitNs = (ns: bigint): { sec: bigint; nsec: bigint } => {
  const nsec = ((ns % NS) + NS) % NS;
  return { sec: (ns - nsec) / NS, nsec };
};
