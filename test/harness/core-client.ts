/**
 * PosixClient over the core in process: a tiny synchronous C library and the part of the kernel between it and FUSE.
 * Permissions are not checked (default_permissions: the kernel does that); see core-walk.ts for what else is left to
 * the core.
 */
import { byteName, byteNameOf, type Ino } from '../../src/base/ids.js';
import type { SetAttributes, TimeChange } from '../../src/vfs/api.js';
import { BufferSink, CoreFiles, REQUEST_BYTES_MAX } from './core-files.js';
import { CoreWalk, type Parent, snapshot, type TestCore, typeOf } from './core-walk.js';
import {
  type Capabilities,
  type Dirent,
  FALLOC_KEEP_SIZE,
  FALLOC_PUNCH_HOLE,
  type FileStat,
  type FsStat,
  O,
  type Path,
  type PosixClient,
  PosixError,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
  S,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
  splitNs,
  type TimeArgument,
} from './posix-client.js';

const XATTR_NAME_MAX = 255;
const XATTR_SIZE_MAX = 65536;

const timeChange = (time: TimeArgument): TimeChange | undefined => {
  if (time === 'now') return 'now';
  if (time === 'omit') return undefined;
  const { sec, nsec } = splitNs(time);
  return { sec: Number(sec), nsec: Number(nsec) };
};

export class CoreClient implements PosixClient {
  readonly target = 'core';
  readonly root = '';
  readonly capabilities: Capabilities;
  readonly #core: TestCore;
  readonly #walk: CoreWalk;
  readonly #files: CoreFiles;

  constructor(core: TestCore, capabilities: Capabilities) {
    this.capabilities = capabilities;
    this.#core = core;
    this.#walk = new CoreWalk(core);
    this.#files = new CoreFiles(this.#walk);
  }

  /** Closes what tests left open; the core must then be free of references. */
  closeAll(): void {
    this.#files.closeAll();
  }

  umask(mask: number): number {
    const old = this.#files.umask;
    this.#files.umask = mask & 0o777;
    return old;
  }
  asUser<T>(uid: number, gid: number, work: () => T): T {
    const before = this.#walk.caller;
    this.#walk.caller = { uid, gid, pid: process.pid };
    try {
      return work();
    } finally {
      this.#walk.caller = before;
    }
  }

  open(path: Path, flags: number, mode = 0o644): number {
    return this.#walk.op('open', () => this.#files.open(path, flags, mode));
  }
  close(fd: number): void {
    this.#walk.op('close', () => this.#files.close(fd));
  }

  read(fd: number, length: number, position?: number): Buffer {
    return this.#walk.op('read', () => {
      const file = this.#files.regular(fd, 'read');
      const start = position ?? file.position;
      const parts: Buffer[] = [];
      let got = 0;
      while (got < length) {
        const want = Math.min(length - got, REQUEST_BYTES_MAX);
        const sink = new BufferSink(this.#core.pool);
        const n = this.#walk.ask(() => this.#walk.vfs.read(file.ino, file.fh, start + got, want, sink));
        const part = sink.take();
        if (part.length !== n) throw new Error(`the core said ${n} bytes and gave ${part.length}`);
        parts.push(part);
        got += n;
        if (n < want) break;
      }
      if (position === undefined) file.position = start + got;
      return Buffer.concat(parts);
    });
  }

  write(fd: number, data: Uint8Array, position?: number): number {
    return this.#walk.op('write', () => {
      const file = this.#files.regular(fd, 'write');
      const append = (file.flags & O.APPEND) !== 0;
      const start = append ? this.#walk.getattr(file.ino).size : (position ?? file.position);
      const flags = { fromCache: false, killSuidgid: this.#walk.caller.uid !== 0 };
      for (let sent = 0; sent < data.length;) {
        // As the kernel: never more than was negotiated.
        const piece = data.subarray(sent, sent + Math.min(REQUEST_BYTES_MAX, this.#walk.vfs.maxWriteBytes));
        const offset = start + sent;
        sent += this.#walk.askWith(piece, (lent) =>
          this.#walk.vfs.write(this.#walk.caller, file.ino, file.fh, offset, lent, flags),
        );
      }
      if (position === undefined) file.position = start + data.length;
      if (file.flags & (O.SYNC | O.DSYNC)) this.#sync(file.ino, true);
      return data.length;
    });
  }

  truncate(path: Path, size: number): void {
    this.#walk.op('truncate', () => {
      if (size < 0) throw new PosixError('EINVAL', 'truncate');
      const { ino, stat } = this.#walk.resolve(path, true);
      if (typeOf(stat) === S.IFDIR) throw new PosixError('EISDIR', 'truncate');
      if (typeOf(stat) !== S.IFREG) throw new PosixError('EINVAL', 'truncate');
      this.#setattr(ino, { size, killSuidgid: this.#walk.caller.uid !== 0 });
    });
  }
  ftruncate(fd: number, size: number): void {
    this.#walk.op('ftruncate', () => {
      if (size < 0) throw new PosixError('EINVAL', 'ftruncate');
      const file = this.#files.get(fd);
      if (file.fh === undefined || (file.flags & 3) === O.RDONLY) throw new PosixError('EINVAL', 'ftruncate');
      this.#setattr(file.ino, { size, killSuidgid: this.#walk.caller.uid !== 0 }, fd);
    });
  }

  lseek(fd: number, offset: bigint, whence: number): bigint {
    return this.#walk.op('lseek', () => {
      const file = this.#files.get(fd);
      const target = Number(offset);
      if (whence === SEEK_SET) file.position = target;
      else if (whence === SEEK_CUR) file.position += target;
      else if (whence === SEEK_END) file.position = this.#walk.getattr(file.ino).size + target;
      else {
        const { ino, fh } = this.#files.regular(fd, 'any');
        file.position = this.#walk.ask(() => this.#walk.vfs.lseek(ino, fh, target, whence));
      }
      if (file.position < 0) throw new PosixError('EINVAL', 'lseek');
      return BigInt(file.position);
    });
  }

  fallocate(fd: number, mode: number, offset: number, length: number): void {
    this.#walk.op('fallocate', () => {
      if (offset < 0 || length <= 0) throw new PosixError('EINVAL', 'fallocate');
      if (mode & FALLOC_PUNCH_HOLE && !(mode & FALLOC_KEEP_SIZE))
        throw new PosixError('EOPNOTSUPP', 'fallocate');
      const { ino, fh } = this.#files.regular(fd, 'write');
      this.#walk.ask(() => this.#walk.vfs.fallocate(this.#walk.caller, ino, fh, mode, offset, length));
    });
  }

  copyFileRange(srcFd: number, srcOffset: number, dstFd: number, dstOffset: number, length: number): number {
    return this.#walk.op('copy_file_range', () => {
      const src = this.#files.regular(srcFd, 'read');
      const dst = this.#files.regular(dstFd, 'write');
      if (dst.flags & O.APPEND) throw new PosixError('EBADF', 'copy_file_range');
      const overlaps = srcOffset < dstOffset + length && dstOffset < srcOffset + length;
      if (src.ino === dst.ino && overlaps) throw new PosixError('EINVAL', 'copy_file_range');
      const { vfs, caller } = this.#walk;
      return this.#walk.ask(() =>
        vfs.copyFileRange(caller, src.ino, src.fh, srcOffset, dst.ino, dst.fh, dstOffset, length),
      );
    });
  }

  fsync(fd: number): void {
    this.#walk.op('fsync', () => this.#syncFd(fd, false));
  }
  fdatasync(fd: number): void {
    this.#walk.op('fdatasync', () => this.#syncFd(fd, true));
  }
  #syncFd(fd: number, dataOnly: boolean): void {
    const file = this.#files.get(fd);
    if (file.fh === undefined) {
      this.#walk.askBarrier((done) => this.#walk.vfs.fsyncdir(file.ino, dataOnly, done));
    } else this.#sync(file.ino, dataOnly);
  }
  #sync(ino: Ino, dataOnly: boolean): void {
    this.#walk.askBarrier((done) => this.#walk.vfs.fsync(ino, undefined, dataOnly, done));
  }
  syncfs(): void {
    this.#walk.op('syncfs', () => this.#walk.askBarrier((done) => this.#walk.vfs.syncfs(done)));
  }

  evict(fd: number): void {
    this.fsync(fd);
  }

  stat(path: Path): FileStat {
    return this.#walk.op('stat', () => this.#walk.getattr(this.#walk.resolve(path, true).ino));
  }
  lstat(path: Path): FileStat {
    return this.#walk.op('lstat', () => this.#walk.getattr(this.#walk.resolve(path, false).ino));
  }
  fstat(fd: number): FileStat {
    return this.#walk.op('fstat', () => {
      const file = this.#files.get(fd);
      const vp = this.#walk.ask(() => this.#walk.vfs.getattr(this.#walk.caller, file.ino, file.fh));
      const stat = snapshot(vp);
      this.#walk.vfs.vrele(vp);
      return stat;
    });
  }
  statfs(path: Path): FsStat {
    return this.#walk.op('statfs', () => {
      this.#walk.resolve(path, true);
      return this.#walk.vfs.statfs();
    });
  }
  access(path: Path, mask: number): void {
    this.#walk.op('access', () => {
      const { ino } = this.#walk.resolve(path, true);
      if (mask !== 0) this.#walk.ask(() => this.#walk.vfs.access(this.#walk.caller, ino, mask));
    });
  }

  #setattr(ino: Ino, changes: SetAttributes, fd?: number): void {
    const fh = fd === undefined ? undefined : this.#files.get(fd).fh;
    this.#walk.vfs.vrele(this.#walk.ask(() => this.#walk.vfs.setattr(this.#walk.caller, ino, fh, changes)));
  }
  chmod(path: Path, mode: number): void {
    this.#walk.op('chmod', () => this.#setattr(this.#walk.resolve(path, true).ino, { mode: mode & 0o7777 }));
  }
  fchmod(fd: number, mode: number): void {
    this.#walk.op('fchmod', () => this.#setattr(this.#files.get(fd).ino, { mode: mode & 0o7777 }, fd));
  }
  chown(path: Path, uid: number, gid: number): void {
    this.#walk.op('chown', () => this.#chown(path, uid, gid, true));
  }
  lchown(path: Path, uid: number, gid: number): void {
    this.#walk.op('lchown', () => this.#chown(path, uid, gid, false));
  }
  #chown(path: Path, uid: number, gid: number, follow: boolean): void {
    const { ino, stat } = this.#walk.resolve(path, follow);
    const changes: SetAttributes = {};
    if (uid >= 0) changes.uid = uid;
    if (gid >= 0) changes.gid = gid;
    // chown_common asks for ATTR_KILL_SUID and ATTR_KILL_SGID on everything but directories, for root too.
    if (typeOf(stat) !== S.IFDIR) changes.killSuidgid = true;
    this.#setattr(ino, changes);
  }
  utimens(path: Path, atime: TimeArgument, mtime: TimeArgument, nofollow = false): void {
    this.#walk.op('utimensat', () => this.#utimens(this.#walk.resolve(path, !nofollow).ino, atime, mtime));
  }
  futimens(fd: number, atime: TimeArgument, mtime: TimeArgument): void {
    this.#walk.op('futimens', () => this.#utimens(this.#files.get(fd).ino, atime, mtime, fd));
  }
  #utimens(ino: Ino, atime: TimeArgument, mtime: TimeArgument, fd?: number): void {
    const changes: SetAttributes = {};
    const [a, m] = [timeChange(atime), timeChange(mtime)];
    if (a !== undefined) changes.atime = a;
    if (m !== undefined) changes.mtime = m;
    if (a !== undefined || m !== undefined) this.#setattr(ino, changes, fd);
  }

  /** The place of a new name: as filename_create(), `.` and `..` exist already. */
  #newName(path: Path, directory: boolean): Parent {
    const parent = this.#walk.parentOf(path);
    if (parent.name === '.' || parent.name === '..') throw new PosixError('EEXIST', 'path');
    if (parent.slash && !directory) {
      throw new PosixError(this.#walk.lookupMaybe(parent.ino, parent.name) ? 'EEXIST' : 'ENOENT', 'path');
    }
    return parent;
  }

  mkdir(path: Path, mode = 0o755): void {
    this.#walk.op('mkdir', () => {
      const { ino, name } = this.#newName(path, true);
      const { vfs, caller } = this.#walk;
      this.#walk.keep(
        this.#walk.ask(() => vfs.mkdir(caller, ino, name, S.IFDIR | (mode & 0o1777), this.#files.umask)),
      );
    });
  }
  rmdir(path: Path): void {
    this.#walk.op('rmdir', () => {
      const { ino, name, trail } = this.#walk.parentOf(path);
      if (name === '.' && trail.length === 1) throw new PosixError('EBUSY', 'rmdir');
      if (name === '.') throw new PosixError('EINVAL', 'rmdir');
      if (name === '..') throw new PosixError('ENOTEMPTY', 'rmdir');
      this.#walk.ask(() => this.#walk.vfs.rmdir(this.#walk.caller, ino, name));
    });
  }
  unlink(path: Path): void {
    this.#walk.op('unlink', () => {
      const { ino, name, slash } = this.#walk.parentOf(path);
      if (name === '.' || name === '..') throw new PosixError('EISDIR', 'unlink');
      if (slash) {
        const { stat } = this.#walk.lookup(ino, name);
        throw new PosixError(typeOf(stat) === S.IFDIR ? 'EISDIR' : 'ENOTDIR', 'unlink');
      }
      this.#walk.ask(() => this.#walk.vfs.unlink(this.#walk.caller, ino, name));
    });
  }
  rename(from: Path, to: Path, flags = 0): void {
    this.#walk.op('rename', () => {
      const known = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
      const exclusive = flags & RENAME_EXCHANGE && flags & (RENAME_NOREPLACE | RENAME_WHITEOUT);
      if (flags & ~known || exclusive) throw new PosixError('EINVAL', 'rename');
      const [a, b] = [this.#walk.parentOf(from), this.#walk.parentOf(to)];
      if (a.name === '.' || a.name === '..') throw new PosixError('EBUSY', 'rename');
      if (b.name === '.' || b.name === '..') {
        throw new PosixError(flags & RENAME_NOREPLACE ? 'EEXIST' : 'EBUSY', 'rename');
      }
      this.#renameChecks(a, b, flags);
      if (a.slash || b.slash) {
        const { stat } = this.#walk.lookup(a.ino, a.name);
        if (typeOf(stat) !== S.IFDIR) throw new PosixError('ENOTDIR', 'rename');
      }
      this.#walk.ask(() => this.#walk.vfs.rename(this.#walk.caller, a.ino, a.name, b.ino, b.name, flags));
    });
  }
  /**
   * The order of do_renameat2: a missing target under EXCHANGE or an existing one under NOREPLACE before a directory
   * that would go into itself, a target that is an ancestor of the source before the types. Where only one of the two
   * applies, the core must find it by itself.
   */
  #renameChecks(a: Parent, b: Parent, flags: number): void {
    const source = this.#walk.lookupMaybe(a.ino, a.name);
    const target = this.#walk.lookupMaybe(b.ino, b.name);
    if (source && !target && flags & RENAME_EXCHANGE) throw new PosixError('ENOENT', 'rename');
    if (!source || !target) return;
    const directory = typeOf(source.stat) === S.IFDIR;
    if (directory && flags & RENAME_NOREPLACE) throw new PosixError('EEXIST', 'rename');
    if (directory || flags & RENAME_NOREPLACE) return;
    if (a.trail.some(({ ino }) => ino === target.ino)) {
      throw new PosixError(flags & RENAME_EXCHANGE ? 'EINVAL' : 'ENOTEMPTY', 'rename');
    }
  }
  link(existing: Path, path: Path): void {
    this.#walk.op('link', () => this.#link(this.#walk.resolve(existing, false).ino, path));
  }
  linkFd(fd: number, path: Path): void {
    this.#walk.op('link', () => {
      const file = this.#files.get(fd);
      const stat = this.#walk.getattr(file.ino);
      // vfs_link: a file without links can get one only if it was made by O_TMPFILE without O_EXCL.
      if (stat.nlink === 0 && (!file.unnamed || file.flags & O.EXCL)) throw new PosixError('ENOENT', 'link');
      this.#link(file.ino, path);
    });
  }
  #link(ino: Ino, path: Path): void {
    const parent = this.#newName(path, false);
    const { vfs, caller } = this.#walk;
    // filename_create finds the name taken before vfs_link sees that a directory is to be linked.
    const directory = typeOf(this.#walk.getattr(ino)) === S.IFDIR;
    if (directory && this.#walk.lookupMaybe(parent.ino, parent.name)) throw new PosixError('EEXIST', 'link');
    this.#walk.keep(this.#walk.ask(() => vfs.link(caller, ino, parent.ino, parent.name)));
  }
  symlink(target: Path, path: Path): void {
    this.#walk.op('symlink', () => {
      const bytes = Buffer.from(target as string);
      if (bytes.length === 0) throw new PosixError('ENOENT', 'symlink');
      if (bytes.length > 4095) throw new PosixError('ENAMETOOLONG', 'symlink');
      const { ino, name } = this.#newName(path, false);
      const { vfs, caller } = this.#walk;
      this.#walk.keep(this.#walk.askWith(bytes, (lent) => vfs.symlink(caller, ino, name, lent)));
    });
  }
  readlink(path: Path): Buffer {
    return this.#walk.op('readlink', () => {
      const { ino, stat } = this.#walk.resolve(path, false);
      if (typeOf(stat) !== S.IFLNK) throw new PosixError('EINVAL', 'readlink');
      return Buffer.from(this.#walk.ask(() => this.#walk.vfs.readlink(this.#walk.caller, ino)));
    });
  }
  mknod(path: Path, mode: number, rdev = 0): void {
    this.#walk.op('mknod', () => {
      const { ino, name } = this.#newName(path, false);
      const { vfs, caller } = this.#walk;
      this.#walk.keep(this.#walk.ask(() => vfs.mknod(caller, ino, name, mode, rdev, this.#files.umask)));
    });
  }

  readdir(path: Path): Buffer[] {
    const fd = this.open(path, O.RDONLY | O.DIRECTORY);
    try {
      const names: Buffer[] = [];
      for (;;) {
        const entries = this.getdents(fd, 32768);
        if (entries.length === 0) return names;
        for (const { name } of entries) if (!['.', '..'].includes(name.toString('latin1'))) names.push(name);
      }
    } finally {
      this.close(fd);
    }
  }
  getdents(fd: number, bytes: number): Dirent[] {
    return this.#walk.op('getdents64', () => this.#files.getdents(fd, bytes));
  }

  getFlags(path: Path): number {
    return this.#walk.op('ioctl', () => {
      const { vfs, caller } = this.#walk;
      const vp = this.#walk.ask(() => vfs.getattr(caller, this.#walk.resolve(path, true).ino, undefined));
      const { flags } = vp;
      vfs.vrele(vp);
      return flags;
    });
  }
  setFlags(path: Path, flags: number): void {
    this.#walk.op('ioctl', () => {
      const { vfs, caller } = this.#walk;
      const { ino } = this.#walk.resolve(path, true);
      // fileattr_set_prepare.
      if (caller.uid !== 0) throw new PosixError('EPERM', 'ioctl');
      this.#walk.ask(() => vfs.setFlags(caller, ino, flags));
    });
  }

  /** What fs/xattr.c checks before a filesystem is asked. */
  #xattrName(name: string): ReturnType<typeof byteName> {
    const bytes = Buffer.from(name);
    if (bytes.length === 0 || bytes.length > XATTR_NAME_MAX) throw new PosixError('ERANGE', 'xattr');
    return byteNameOf(bytes);
  }
  #xattrInode(path: Path, name: string, change: boolean): Ino {
    const { ino, stat } = this.#walk.resolve(path, false);
    if (name.startsWith('user.') && ![S.IFREG, S.IFDIR].includes(typeOf(stat) as typeof S.IFREG)) {
      throw new PosixError(change ? 'EPERM' : 'ENODATA', 'xattr');
    }
    return ino;
  }
  setxattr(path: Path, name: string, value: Uint8Array, flags = 0): void {
    this.#walk.op('setxattr', () => {
      if (flags & ~3) throw new PosixError('EINVAL', 'setxattr');
      const key = this.#xattrName(name);
      if (value.length > XATTR_SIZE_MAX) throw new PosixError('E2BIG', 'setxattr');
      const ino = this.#xattrInode(path, name, true);
      const { vfs, caller } = this.#walk;
      this.#walk.askWith(value, (lent) => vfs.setxattr(caller, ino, key, lent, flags, false));
    });
  }
  #getxattr(path: Path, name: string): Buffer {
    const key = this.#xattrName(name);
    const ino = this.#xattrInode(path, name, false);
    return Buffer.from(this.#walk.ask(() => this.#walk.vfs.getxattr(this.#walk.caller, ino, key)));
  }
  getxattr(path: Path, name: string, size = XATTR_SIZE_MAX): Buffer {
    return this.#walk.op('getxattr', () => {
      const value = this.#getxattr(path, name);
      if (value.length > size) throw new PosixError('ERANGE', 'getxattr');
      return value;
    });
  }
  getxattrSize(path: Path, name: string): number {
    return this.#walk.op('getxattr', () => this.#getxattr(path, name).length);
  }
  listxattr(path: Path, size = XATTR_SIZE_MAX): string[] {
    return this.#walk.op('listxattr', () => {
      const { ino } = this.#walk.resolve(path, false);
      const list = Buffer.from(this.#walk.ask(() => this.#walk.vfs.listxattr(this.#walk.caller, ino)));
      if (list.length > size) throw new PosixError('ERANGE', 'listxattr');
      return list.toString('latin1').split('\0').slice(0, -1);
    });
  }
  removexattr(path: Path, name: string): void {
    this.#walk.op('removexattr', () => {
      const key = this.#xattrName(name);
      const ino = this.#xattrInode(path, name, true);
      this.#walk.ask(() => this.#walk.vfs.removexattr(this.#walk.caller, ino, key));
    });
  }
}
