/**
 * PosixClient over a directory of the host: the oracle (`plain`) or a vnodefs mount (`mount`), which another process
 * serves. node:fs where it passes everything on unchanged, otherwise libc.
 */
import * as fs from 'node:fs';
import { check, cString, libc } from './libc.js';
import {
  type Capabilities,
  type Dirent,
  type FileStat,
  type FsStat,
  type Path,
  type PosixClient,
  splitNs,
  type TargetName,
  type TimeArgument,
} from './posix-client.js';

const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
const AT_SYMLINK_NOFOLLOW = 0x100;
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const POSIX_FADV_DONTNEED = 4;
const UTIME_NOW = 0x3fffffffn;
const UTIME_OMIT = 0x3ffffffen;
const XATTR_BYTES_MAX = 65536;

const statOf = (s: fs.BigIntStats): FileStat => ({
  ino: Number(s.ino),
  mode: Number(s.mode),
  nlink: Number(s.nlink),
  uid: Number(s.uid),
  gid: Number(s.gid),
  rdev: Number(s.rdev),
  size: Number(s.size),
  blocks: Number(s.blocks),
  atimeNs: s.atimeNs,
  mtimeNs: s.mtimeNs,
  ctimeNs: s.ctimeNs,
  btimeNs: s.birthtimeNs,
});

/** struct timespec[2]. */
const timespecs = (atime: TimeArgument, mtime: TimeArgument): Buffer => {
  const buffer = Buffer.alloc(32);
  [atime, mtime].forEach((time, i) => {
    const { sec, nsec } =
      time === 'now'
        ? { sec: 0n, nsec: UTIME_NOW }
        : time === 'omit'
          ? { sec: 0n, nsec: UTIME_OMIT }
          : splitNs(time);
    buffer.writeBigInt64LE(sec, i * 16);
    buffer.writeBigInt64LE(nsec, i * 16 + 8);
  });
  return buffer;
};

/** struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name. */
const parseDirents = (buffer: Buffer): Dirent[] => {
  const entries: Dirent[] = [];
  for (let pos = 0; pos < buffer.length;) {
    const reclen = buffer.readUInt16LE(pos + 16);
    const end = buffer.indexOf(0, pos + 19);
    entries.push({
      ino: Number(buffer.readBigUInt64LE(pos)),
      cookie: buffer.readBigInt64LE(pos + 8),
      type: buffer[pos + 18],
      name: Buffer.from(buffer.subarray(pos + 19, end)),
    });
    pos += reclen;
  }
  return entries;
};

export class RealClient implements PosixClient {
  readonly target: TargetName;
  readonly root: string;
  readonly capabilities: Capabilities;

  constructor(target: 'plain' | 'mount', root: string, capabilities: Capabilities) {
    this.target = target;
    this.root = root;
    this.capabilities = capabilities;
  }

  umask(mask: number): number {
    return process.umask(mask);
  }
  asUser<T>(uid: number, gid: number, work: () => T): T {
    if (!process.setgroups || !process.setegid || !process.seteuid || !process.getgroups) {
      throw new Error('this platform cannot change ids');
    }
    const groups = process.getgroups();
    process.setgroups([]);
    process.setegid(gid);
    process.seteuid(uid);
    try {
      return work();
    } finally {
      process.seteuid(0);
      process.setegid(0);
      process.setgroups(groups);
    }
  }

  open(path: Path, flags: number, mode = 0o644): number {
    return fs.openSync(path, flags, mode);
  }
  close(fd: number): void {
    fs.closeSync(fd);
  }
  read(fd: number, length: number, position?: number): Buffer {
    const buffer = Buffer.alloc(length);
    return buffer.subarray(0, fs.readSync(fd, buffer, 0, length, position ?? null));
  }
  write(fd: number, data: Uint8Array, position?: number): number {
    if (position !== undefined && !Number.isSafeInteger(position)) {
      // Node would take such a position for none at all.
      return check(libc.pwrite(fd, data, data.length, BigInt(position)), 'pwrite');
    }
    return fs.writeSync(fd, data, 0, data.length, position ?? null);
  }
  truncate(path: Path, size: number): void {
    check(libc.truncate(cString(path), size), 'truncate');
  }
  ftruncate(fd: number, size: number): void {
    check(libc.ftruncate(fd, size), 'ftruncate');
  }
  lseek(fd: number, offset: bigint, whence: number): bigint {
    const result = libc.lseek(fd, offset, whence);
    check(result, 'lseek');
    return BigInt(result);
  }
  fallocate(fd: number, mode: number, offset: number, length: number): void {
    check(libc.fallocate(fd, mode, offset, length), 'fallocate');
  }
  copyFileRange(srcFd: number, srcOffset: number, dstFd: number, dstOffset: number, length: number): number {
    const [inOff, outOff] = [Buffer.alloc(8), Buffer.alloc(8)];
    inOff.writeBigInt64LE(BigInt(srcOffset));
    outOff.writeBigInt64LE(BigInt(dstOffset));
    return check(libc.copyFileRange(srcFd, inOff, dstFd, outOff, length, 0), 'copy_file_range');
  }
  fsync(fd: number): void {
    fs.fsyncSync(fd);
  }
  fdatasync(fd: number): void {
    fs.fdatasyncSync(fd);
  }
  syncfs(fd: number): void {
    check(libc.syncfs(fd), 'syncfs');
  }

  evict(fd: number): void {
    fs.fsyncSync(fd);
    libc.posixFadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  }

  stat(path: Path): FileStat {
    return statOf(fs.statSync(path, { bigint: true }));
  }
  lstat(path: Path): FileStat {
    return statOf(fs.lstatSync(path, { bigint: true }));
  }
  fstat(fd: number): FileStat {
    return statOf(fs.fstatSync(fd, { bigint: true }));
  }
  statfs(path: Path): FsStat {
    const s = fs.statfsSync(path);
    return {
      blocks: s.blocks,
      blocksFree: s.bfree,
      blocksAvailable: s.bavail,
      files: s.files,
      filesFree: s.ffree,
      blockBytes: s.bsize,
    };
  }
  access(path: Path, mask: number): void {
    fs.accessSync(path, mask);
  }
  chmod(path: Path, mode: number): void {
    fs.chmodSync(path, mode);
  }
  fchmod(fd: number, mode: number): void {
    fs.fchmodSync(fd, mode);
  }
  chown(path: Path, uid: number, gid: number): void {
    fs.chownSync(path, uid, gid);
  }
  lchown(path: Path, uid: number, gid: number): void {
    fs.lchownSync(path, uid, gid);
  }
  utimens(path: Path, atime: TimeArgument, mtime: TimeArgument, nofollow = false): void {
    const flags = nofollow ? AT_SYMLINK_NOFOLLOW : 0;
    check(libc.utimensat(AT_FDCWD, cString(path), timespecs(atime, mtime), flags), 'utimensat');
  }
  futimens(fd: number, atime: TimeArgument, mtime: TimeArgument): void {
    check(libc.futimens(fd, timespecs(atime, mtime)), 'futimens');
  }

  mkdir(path: Path, mode = 0o755): void {
    fs.mkdirSync(path, { mode });
  }
  rmdir(path: Path): void {
    fs.rmdirSync(path);
  }
  unlink(path: Path): void {
    fs.unlinkSync(path);
  }
  rename(from: Path, to: Path, flags = 0): void {
    check(libc.renameat2(AT_FDCWD, cString(from), AT_FDCWD, cString(to), flags), 'renameat2');
  }
  link(existing: Path, path: Path): void {
    check(libc.linkat(AT_FDCWD, cString(existing), AT_FDCWD, cString(path), 0), 'linkat');
  }
  linkFd(fd: number, path: Path): void {
    const self = cString(`/proc/self/fd/${fd}`);
    check(libc.linkat(AT_FDCWD, self, AT_FDCWD, cString(path), AT_SYMLINK_FOLLOW), 'linkat');
  }
  symlink(target: Path, path: Path): void {
    fs.symlinkSync(target, path);
  }
  readlink(path: Path): Buffer {
    return fs.readlinkSync(path, { encoding: 'buffer' });
  }
  mknod(path: Path, mode: number, rdev = 0): void {
    check(libc.mknod(cString(path), mode, rdev), 'mknod');
  }

  readdir(path: Path): Buffer[] {
    return fs.readdirSync(path, { encoding: 'buffer' });
  }
  getdents(fd: number, bytes: number): Dirent[] {
    const buffer = Buffer.alloc(bytes);
    return parseDirents(buffer.subarray(0, check(libc.getdents64(fd, buffer, bytes), 'getdents64')));
  }

  getFlags(path: Path): number {
    const flags = Buffer.alloc(8);
    this.#ioctl(path, FS_IOC_GETFLAGS, flags);
    return flags.readUInt32LE();
  }
  setFlags(path: Path, flags: number): void {
    const argument = Buffer.alloc(8);
    argument.writeUInt32LE(flags);
    this.#ioctl(path, FS_IOC_SETFLAGS, argument);
  }
  #ioctl(path: Path, request: number, argument: Buffer): void {
    const fd = fs.openSync(path, fs.constants.O_RDONLY);
    try {
      check(libc.ioctl(fd, request, argument), 'ioctl');
    } finally {
      fs.closeSync(fd);
    }
  }

  setxattr(path: Path, name: string, value: Uint8Array, flags = 0): void {
    check(libc.lsetxattr(cString(path), cString(name), value, value.length, flags), 'lsetxattr');
  }
  getxattr(path: Path, name: string, size = XATTR_BYTES_MAX): Buffer {
    const value = Buffer.alloc(size);
    return value.subarray(0, check(libc.lgetxattr(cString(path), cString(name), value, size), 'lgetxattr'));
  }
  getxattrSize(path: Path, name: string): number {
    return check(libc.lgetxattr(cString(path), cString(name), null, 0), 'lgetxattr');
  }
  listxattr(path: Path, size = XATTR_BYTES_MAX): string[] {
    const list = Buffer.alloc(size);
    const length = check(libc.llistxattr(cString(path), list, size), 'llistxattr');
    return list.toString('latin1', 0, length).split('\0').slice(0, -1);
  }
  removexattr(path: Path, name: string): void {
    check(libc.lremovexattr(cString(path), cString(name)), 'lremovexattr');
  }
}
