/**
 * Numbers of the /dev/fuse protocol 7.45 (include/uapi/linux/fuse.h), and what each request's body must hold at
 * least.
 */
import * as structs from './structs.js';
import type { Fields, Layout } from './layout.js';

export const PROTOCOL_MAJOR = 7;
export const PROTOCOL_MINOR = 45;
/** From here on the kernel understands Notify.PRUNE. */
export const PRUNE_MINOR = 45;
/** Older kernels (before Linux 5.4's 7.31) lack what the design relies on. */
export const PROTOCOL_MINOR_MIN = 31;

export const PAGE_BYTES = 4096;
/** The kernel refuses to read into less (FUSE_MIN_READ_BUFFER). */
export const MIN_READ_BUFFER_BYTES = 8192;

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SETUPMAPPING: 48,
  REMOVEMAPPING: 49,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const;
export type OpcodeName = keyof typeof Opcode;
/** One past the highest opcode known. */
export const OPCODE_COUNT = 54;

/** How many of them 7.`minor` has: the first number that is none of its opcodes. (include/uapi/linux/fuse.h, history) */
export const opcodeCount = (minor: number): number => {
  if (minor >= 45) return OPCODE_COUNT;
  if (minor >= 39) return Opcode.COPY_FILE_RANGE_64;
  if (minor >= 37) return Opcode.STATX;
  return minor >= 34 ? Opcode.TMPFILE : Opcode.SYNCFS;
};

const opcodeNames: (OpcodeName | undefined)[] = new Array<OpcodeName | undefined>(OPCODE_COUNT).fill(
  undefined,
);
for (const [name, number] of Object.entries(Opcode)) opcodeNames[number] = name as OpcodeName;
export const opcodeName = (opcode: number): string => opcodeNames[opcode] ?? `opcode ${opcode}`;

export const Fattr = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  LOCKOWNER: 1 << 9,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const;

export const Fopen = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  NONSEEKABLE: 1 << 2,
  CACHE_DIR: 1 << 3,
  STREAM: 1 << 4,
  NOFLUSH: 1 << 5,
  PARALLEL_DIRECT_WRITES: 1 << 6,
  PASSTHROUGH: 1 << 7,
} as const;

export const GETATTR_FH = 1;
/** FUSE_OPEN_KILL_SUIDGID, in open_in and create_in. */
export const OPEN_KILL_SUIDGID = 1;
export const WRITE_CACHE = 1;
export const WRITE_KILL_SUIDGID = 4;
export const FSYNC_FDATASYNC = 1;
export const SETXATTR_ACL_KILL_SGID = 1;
export const EXPIRE_ONLY = 1;

export const Notify = {
  POLL: 1,
  INVAL_INODE: 2,
  INVAL_ENTRY: 3,
  STORE: 4,
  RETRIEVE: 5,
  DELETE: 6,
  RESEND: 7,
  INC_EPOCH: 8,
  PRUNE: 9,
} as const;

/** Shape of a request's body: a fixed structure, then NUL-terminated names, then perhaps data. */
export interface BodyShape {
  readonly head: Layout<Fields> | undefined;
  /** Overrides the size of `head` as the least length of the body. */
  readonly headBytesMin?: number;
  readonly names: number;
}

const shape = (head: Layout<Fields> | undefined, names = 0): BodyShape => ({ head, names });

export const bodyShapes: Readonly<Partial<Record<OpcodeName, BodyShape>>> = {
  LOOKUP: shape(undefined, 1),
  FORGET: shape(structs.forgetIn),
  GETATTR: shape(structs.getattrIn),
  SETATTR: shape(structs.setattrIn),
  READLINK: shape(undefined),
  SYMLINK: shape(undefined, 2),
  MKNOD: shape(structs.mknodIn, 1),
  MKDIR: shape(structs.mkdirIn, 1),
  UNLINK: shape(undefined, 1),
  RMDIR: shape(undefined, 1),
  RENAME: shape(structs.renameIn, 2),
  LINK: shape(structs.linkIn, 1),
  OPEN: shape(structs.openIn),
  READ: shape(structs.readIn),
  WRITE: shape(structs.writeIn),
  STATFS: shape(undefined),
  RELEASE: shape(structs.releaseIn),
  FSYNC: shape(structs.fsyncIn),
  SETXATTR: { head: structs.setxattrIn, headBytesMin: structs.SETXATTR_IN_COMPAT_BYTES, names: 1 },
  GETXATTR: shape(structs.getxattrIn, 1),
  LISTXATTR: shape(structs.getxattrIn),
  REMOVEXATTR: shape(undefined, 1),
  FLUSH: shape(structs.flushIn),
  INIT: shape(structs.initIn),
  OPENDIR: shape(structs.openIn),
  READDIR: shape(structs.readIn),
  RELEASEDIR: shape(structs.releaseIn),
  FSYNCDIR: shape(structs.fsyncIn),
  GETLK: shape(structs.lkIn),
  SETLK: shape(structs.lkIn),
  SETLKW: shape(structs.lkIn),
  ACCESS: shape(structs.accessIn),
  CREATE: shape(structs.createIn, 1),
  INTERRUPT: shape(structs.interruptIn),
  BMAP: shape(structs.bmapIn),
  DESTROY: shape(undefined),
  IOCTL: shape(structs.ioctlIn),
  POLL: shape(structs.pollIn),
  BATCH_FORGET: shape(structs.batchForgetIn),
  FALLOCATE: shape(structs.fallocateIn),
  READDIRPLUS: shape(structs.readIn),
  RENAME2: shape(structs.rename2In, 2),
  LSEEK: shape(structs.lseekIn),
  COPY_FILE_RANGE: shape(structs.copyFileRangeIn),
  SYNCFS: shape(structs.syncfsIn),
  TMPFILE: shape(structs.createIn, 1),
  STATX: shape(structs.statxIn),
  COPY_FILE_RANGE_64: shape(structs.copyFileRangeIn),
};

/** The least body of each opcode, in bytes: a shorter request is answered EINVAL before any handler sees it. */
export const bodyBytesMin = new Uint16Array(OPCODE_COUNT);
for (const [name, { head, headBytesMin, names }] of Object.entries(bodyShapes)) {
  bodyBytesMin[Opcode[name as OpcodeName]] = (headBytesMin ?? head?.size ?? 0) + names;
}
