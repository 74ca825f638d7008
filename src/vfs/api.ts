/**
 * The interface between the transports (src/fuse/*) and the core. One instance serves one mount.
 *
 * Synchronous: every method does its work and returns, or throws:
 *  - FsError: answer -errno.
 *  - {@link WouldBlock}: nothing has been done; keep a copy of the request, wait on the channel, then call
 * again from the
 *    start. FUSE_INTERRUPT on such a request: cancel the wait, answer EINTR.
 *  - anything else is a bug: log with its stack, answer EIO, count.
 * Barriers (fsync, fsyncdir, syncfs) take a completion callback instead, called exactly once, perhaps before
 * returning.
 *
 * Methods returning a {@link Vnode}-like result return it *referenced*: the caller encodes its attributes, then calls
 * `vrele`. Where the kernel will remember the inode (LOOKUP and everything that answers with an entry), the transport
 * also calls `rememberLookup` on it once the reply has been written, and not if that write failed with ENOENT.
 */
import type { ByteName, Fh, Ino } from '../base/ids.js';
import type { FsError } from '../base/errno.js';

/** Who asks; from the request header. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

/** Attributes as stat shows them; a Vnode implements it. Read them at once: they are live fields. */
export interface Attributes {
  readonly ino: Ino;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  /** In 4 KiB pages: st_blocks is 8 times this. */
  readonly allocPages: number;
  /** FS_*_FL. */
  readonly flags: number;
  readonly atimeSec: number;
  readonly atimeNsec: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
  readonly btimeSec: number;
  readonly btimeNsec: number;
}

/** A time to set: explicit, or 'now' (the vfs's clock). */
export type TimeChange = { sec: number; nsec: number } | 'now';

/** Only the fields present are changed. */
export interface SetAttributes {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: TimeChange;
  mtime?: TimeChange;
  ctime?: TimeChange;
  /** FATTR_KILL_SUIDGID: drop set-user-id / set-group-id as a write or truncate by a non-owner does. */
  killSuidgid?: boolean;
}

/** An inode whose vnode the recycler has just reclaimed while the kernel remembers the inode. */
export interface Reclaimed {
  readonly ino: Ino;
  readonly isDir: boolean;
  /** The name by which the kernel last came to it; an empty name: by none. */
  readonly seenParent: Ino;
  readonly seenName: ByteName;
}

export { WouldBlock, type WaitChannel } from '../base/wait.js';

/**
 * Receives the bytes of a read, in order. The pieces are valid until the transport has answered the request, which it
 * does before it makes its next call into the core.
 */
export interface DataSink {
  /** `length` bytes at byte `offset` of the shared page pool. */
  pool(offset: number, length: number): void;
  bytes(data: Uint8Array): void;
  zeros(length: number): void;
}

export interface WriteFlags {
  /** FUSE_WRITE_CACHE: the kernel's write-back; the times will come by SETATTR. */
  fromCache: boolean;
  /** FUSE_WRITE_KILL_SUIDGID. */
  killSuidgid: boolean;
}

export interface StatFs {
  /** In units of `blockBytes`. */
  blocks: number;
  blocksFree: number;
  blocksAvailable: number;
  files: number;
  filesFree: number;
  blockBytes: number;
  nameMax: number;
}

/** Called per entry; false means the buffer is full: this entry was not taken. */
export type DirentSink = (name: ByteName, ino: Ino, type: number, nextCookie: number) => boolean;
/** As DirentSink; `attributes` is undefined for `.` and `..`, which carry no lookup. */
export type DirentPlusSink = (
  name: ByteName,
  ino: Ino,
  type: number,
  nextCookie: number,
  attributes: Attributes | undefined,
) => boolean;

export type Done = (error: FsError | undefined) => void;

export interface OpenResult {
  fh: Fh;
  /** The kernel must not cache for this handle: every write is to be checked here. */
  directIo: boolean;
  /** The transport adds FOPEN_KEEP_CACHE when true. */
  keepCache: boolean;
}

export interface Vfs {
  readonly readOnly: boolean;
  /** The largest write the page budget can take: bounds what is negotiated as max_write. Bytes, whole pages. */
  readonly maxWriteBytes: number;

  /** Drops a reference that a method below returned. */
  vrele(vp: Attributes): void;
  /** The kernel now holds one more lookup count on this inode, by `name` in `parent` if it has one. */
  rememberLookup(vp: Attributes, parent?: Ino, name?: ByteName): void;
  /** FORGET: the kernel gave back `count` lookups of `ino`. Never throws. */
  forget(ino: Ino, count: number): void;

  lookup(caller: Caller, parent: Ino, name: ByteName): Attributes;
  getattr(caller: Caller, ino: Ino, fh: Fh | undefined): Attributes;
  setattr(caller: Caller, ino: Ino, fh: Fh | undefined, changes: SetAttributes): Attributes;
  /** Sets the FS_*_FL of a file or directory; they are read by getattr. The kernel has checked who asks. */
  setFlags(caller: Caller, ino: Ino, flags: number): void;
  access(caller: Caller, ino: Ino, mask: number): void;
  readlink(caller: Caller, ino: Ino): Uint8Array;
  /** `mode` has its type bits; `umask` is applied here (DONT_MASK is negotiated), unless a default ACL rules. */
  mknod(caller: Caller, parent: Ino, name: ByteName, mode: number, rdev: number, umask: number): Attributes;
  mkdir(caller: Caller, parent: Ino, name: ByteName, mode: number, umask: number): Attributes;
  symlink(caller: Caller, parent: Ino, name: ByteName, target: Uint8Array): Attributes;
  link(caller: Caller, ino: Ino, newParent: Ino, newName: ByteName): Attributes;
  unlink(caller: Caller, parent: Ino, name: ByteName): void;
  rmdir(caller: Caller, parent: Ino, name: ByteName): void;
  /** `flags`: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2, RENAME_WHITEOUT 4. */
  rename(caller: Caller, parent: Ino, name: ByteName, newParent: Ino, newName: ByteName, flags: number): void;

  /** `flags` are open(2)'s (Linux numbers). O_TRUNC truncates here (ATOMIC_O_TRUNC). */
  open(caller: Caller, ino: Ino, flags: number): OpenResult;
  create(
    caller: Caller,
    parent: Ino,
    name: ByteName,
    mode: number,
    flags: number,
    umask: number,
  ): { vp: Attributes; open: OpenResult };
  tmpfile(
    caller: Caller,
    parent: Ino,
    mode: number,
    flags: number,
    umask: number,
  ): { vp: Attributes; open: OpenResult };
  /** Last close. Never throws for a known handle. */
  release(fh: Fh): void;
  /** Returns the bytes delivered: less than `length` only at end of file. */
  read(ino: Ino, fh: Fh, offset: number, length: number, sink: DataSink): number;
  /** Takes all of `data` or throws. For O_SYNC/O_DSYNC the transport calls fsync afterwards. */
  write(caller: Caller, ino: Ino, fh: Fh, offset: number, data: Uint8Array, flags: WriteFlags): number;
  fallocate(caller: Caller, ino: Ino, fh: Fh, mode: number, offset: number, length: number): void;
  /** Whether a handle of the inode may write: then the kernel may hold data of it that the core has not seen yet. */
  hasWriters(ino: Ino): boolean;
  /** `whence`: SEEK_DATA 3 or SEEK_HOLE 4. */
  lseek(ino: Ino, fh: Fh, offset: number, whence: number): number;
  copyFileRange(
    caller: Caller,
    srcIno: Ino,
    srcFh: Fh,
    srcOffset: number,
    dstIno: Ino,
    dstFh: Fh,
    dstOffset: number,
    length: number,
  ): number;

  fsync(ino: Ino, fh: Fh | undefined, dataOnly: boolean, done: Done): void;
  fsyncdir(ino: Ino, dataOnly: boolean, done: Done): void;
  syncfs(done: Done): void;

  /** From after `cookie` (0: the start); `.` and `..` included. */
  readdir(caller: Caller, ino: Ino, cookie: number, sink: DirentSink): void;
  readdirplus(caller: Caller, ino: Ino, cookie: number, sink: DirentPlusSink): void;

  /** `flags`: XATTR_CREATE 1, XATTR_REPLACE 2. `clearSgid`: FUSE_SETXATTR_ACL_KILL_SGID. */
  setxattr(
    caller: Caller,
    ino: Ino,
    name: ByteName,
    value: Uint8Array,
    flags: number,
    clearSgid: boolean,
  ): void;
  getxattr(caller: Caller, ino: Ino, name: ByteName): Uint8Array;
  /** The names, each followed by NUL, as listxattr(2) returns them. */
  listxattr(caller: Caller, ino: Ino): Uint8Array;
  removexattr(caller: Caller, ino: Ino, name: ByteName): void;

  statfs(): StatFs;
}
