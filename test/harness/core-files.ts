/**
 * Open descriptors of the core client: the kernel's `struct file`. A directory has no handle in the core
 * (no-opendir);
 * its position is a cookie. Regular files hold a core handle and one lookup count until they are closed.
 * Follows fs/namei.c (do_open, may_open) and fs/fuse/file.c.
 */
import { type ByteName, bytesOfName, type Fh, type Ino } from '../../src/base/ids.js';
import type { DataSink } from '../../src/vfs/api.js';
import { type CoreWalk, type Parent, type Place, typeOf } from './core-walk.js';
import { type Dirent, O, type Path, PosixError, S } from './posix-client.js';

const ACCMODE = 3;
const SYMLINKS_MAX = 40;
/** The largest piece the kernel sends in one READ or WRITE. */
export const REQUEST_BYTES_MAX = 1 << 20;

export interface OpenFile {
  ino: Ino;
  /** undefined for a directory. */
  fh: Fh | undefined;
  flags: number;
  /** Byte offset, or a directory's cookie. */
  position: number;
  /** Made by O_TMPFILE. */
  unnamed: boolean;
}

/** Collects a read. */
export class BufferSink implements DataSink {
  readonly #pool: Uint8Array;
  readonly #parts: Buffer[] = [];
  constructor(pool: Uint8Array) {
    this.#pool = pool;
  }
  pool(offset: number, length: number): void {
    this.#parts.push(Buffer.from(this.#pool.subarray(offset, offset + length)));
  }
  bytes(data: Uint8Array): void {
    this.#parts.push(Buffer.from(data));
  }
  zeros(length: number): void {
    this.#parts.push(Buffer.alloc(length));
  }
  take(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

export class CoreFiles {
  readonly #walk: CoreWalk;
  readonly #files = new Map<number, OpenFile>();
  /** Numbers start high, so that a mix-up with a real descriptor fails. */
  #nextFd = 1_000_000;
  umask = 0o022;

  constructor(walk: CoreWalk) {
    this.#walk = walk;
  }

  get(fd: number): OpenFile {
    const file = this.#files.get(fd);
    if (!file) throw new PosixError('EBADF', 'fd');
    return file;
  }
  /** A regular file open for this: 'read', 'write' or either. */
  regular(fd: number, use: 'read' | 'write' | 'any'): OpenFile & { fh: Fh } {
    const file = this.get(fd);
    if (file.fh === undefined) throw new PosixError(use === 'read' ? 'EISDIR' : 'EBADF', 'fd');
    const mode = file.flags & ACCMODE;
    if ((use === 'read' && mode === O.WRONLY) || (use === 'write' && mode === O.RDONLY)) {
      throw new PosixError('EBADF', 'fd');
    }
    return file as OpenFile & { fh: Fh };
  }

  #install(ino: Ino, fh: Fh | undefined, flags: number, unnamed = false): number {
    this.#walk.transfer(ino);
    const fd = this.#nextFd++;
    this.#files.set(fd, { ino, fh, flags, position: 0, unnamed });
    return fd;
  }

  close(fd: number): void {
    const file = this.get(fd);
    this.#files.delete(fd);
    if (file.fh !== undefined) this.#walk.vfs.release(file.fh);
    this.#walk.vfs.forget(file.ino, 1);
  }
  closeAll(): void {
    for (const fd of [...this.#files.keys()]) this.close(fd);
  }

  open(path: Path, flags: number, mode: number): number {
    if ((flags & O.TMPFILE) === O.TMPFILE) return this.#openUnnamed(path, flags, mode);
    if (flags & O.CREAT) return this.#openCreating(path, flags, mode, { left: SYMLINKS_MAX });
    return this.#openExisting(this.#walk.resolve(path, !(flags & O.NOFOLLOW)), flags);
  }

  #openUnnamed(path: Path, flags: number, mode: number): number {
    if ((flags & ACCMODE) === O.RDONLY) throw new PosixError('EINVAL', 'open');
    const { vfs, caller } = this.#walk;
    const directory = this.#walk.resolve(path, true);
    if (typeOf(directory.stat) !== S.IFDIR) throw new PosixError('ENOTDIR', 'open');
    const { vp, open } = this.#walk.ask(() =>
      vfs.tmpfile(caller, directory.ino, S.IFREG | (mode & 0o7777), flags, this.umask),
    );
    return this.#install(this.#walk.keep(vp).ino, open.fh, flags, true);
  }

  #openCreating(path: Path, flags: number, mode: number, links: { left: number }, start?: Place[]): number {
    const parent = this.#walk.parentOf(path, links, start);
    if (parent.name === '.' || parent.name === '..' || parent.slash) throw new PosixError('EISDIR', 'open');
    const found = this.#walk.lookupMaybe(parent.ino, parent.name);
    if (!found) return this.#create(parent, flags, mode);
    if (flags & O.EXCL) throw new PosixError('EEXIST', 'open');
    if (typeOf(found.stat) !== S.IFLNK || flags & O.NOFOLLOW) return this.#openExisting(found, flags);
    if (links.left-- === 0) throw new PosixError('ELOOP', 'open');
    const target = Buffer.from(this.#walk.ask(() => this.#walk.vfs.readlink(this.#walk.caller, found.ino)));
    return this.#openCreating(target, flags, mode, links, parent.trail);
  }

  #create(parent: Parent, flags: number, mode: number): number {
    const { vfs, caller } = this.#walk;
    const { vp, open } = this.#walk.ask(() =>
      vfs.create(caller, parent.ino, parent.name, S.IFREG | (mode & 0o7777), flags, this.umask),
    );
    return this.#install(this.#walk.keep(vp).ino, open.fh, flags);
  }

  #openExisting(place: Place, flags: number): number {
    const type = typeOf(place.stat);
    const writes = (flags & ACCMODE) !== O.RDONLY;
    if (flags & O.DIRECTORY && type !== S.IFDIR) throw new PosixError('ENOTDIR', 'open');
    if (type === S.IFLNK) throw new PosixError('ELOOP', 'open');
    if (type === S.IFDIR) {
      if (writes || flags & (O.CREAT | O.TRUNC)) throw new PosixError('EISDIR', 'open');
      return this.#install(place.ino, undefined, flags);
    }
    if (type !== S.IFREG) throw new PosixError('ENXIO', 'open');
    const passed = flags & ~(O.CREAT | O.EXCL);
    const { fh } = this.#walk.ask(() => this.#walk.vfs.open(this.#walk.caller, place.ino, passed));
    return this.#install(place.ino, fh, flags);
  }

  /** Entries whose linux_dirent64 records fit in `bytes`. EINVAL if not even one does. */
  getdents(fd: number, bytes: number): Dirent[] {
    const file = this.get(fd);
    if (file.fh !== undefined) throw new PosixError('ENOTDIR', 'getdents64');
    // iterate_dir: a removed directory (IS_DEADDIR) isn't asked any more.
    if (this.#walk.getattr(file.ino).nlink === 0) throw new PosixError('ENOENT', 'getdents64');
    const entries: Dirent[] = [];
    let room = bytes;
    let refused = false;
    const sink = (name: ByteName, ino: Ino, type: number, nextCookie: number): boolean => {
      const recordBytes = Math.ceil((19 + name.length + 1) / 8) * 8;
      if (recordBytes > room) {
        refused = true;
        return false;
      }
      room -= recordBytes;
      entries.push({ name: bytesOfName(name), ino, type, cookie: BigInt(nextCookie) });
      file.position = nextCookie;
      return true;
    };
    this.#walk.ask(() => this.#walk.vfs.readdir(this.#walk.caller, file.ino, file.position, sink));
    if (entries.length === 0 && refused) throw new PosixError('EINVAL', 'getdents64');
    return entries;
  }
}
