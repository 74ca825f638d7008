/**
 * INIT: which features of the protocol we take. One table says of each flag whether it is wanted, and why.
 *
 * Invariant: a flag is answered only if the kernel offered it and the table wants it (fs/fuse/inode.c,
 * process_init_reply, trusts us).
 */
import { Errno } from '../../base/errno.js';
import { PAGE_BYTES, PROTOCOL_MAJOR, PROTOCOL_MINOR, PROTOCOL_MINOR_MIN } from './protocol.js';
import { initIn, initInExt } from './structs.js';

export type ReaddirPlus = 'auto' | 'always' | 'never';

export interface NegotiationWishes {
  /** The newest 7.x to speak, for experiments and for tests of what older kernels get; else {@link PROTOCOL_MINOR}. */
  minorMax: number;
  writebackCache: boolean;
  readdirPlus: ReaddirPlus;
  /** The largest WRITE that we take: bytes, whole pages. */
  maxWriteBytes: number;
  maxReadaheadBytes: number;
  /**
   * Asynchronous requests that the kernel may have in flight, and the number from which it calls the mount
   * congested.
   */
  maxBackground: number;
  congestionThreshold: number;
}

interface InitFlag {
  readonly name: string;
  readonly bit: number;
  readonly want: boolean | ((wishes: NegotiationWishes) => boolean);
  readonly why: string;
}

const flag = (bit: number, name: string, want: InitFlag['want'], why: string): InitFlag => ({
  name,
  bit,
  want,
  why,
});

/** Bits 0..31 travel in `flags`, 32..63 in `flags2`. */
export const initFlags: readonly InitFlag[] = [
  flag(0, 'ASYNC_READ', true, 'read-ahead requests may overlap'),
  flag(1, 'POSIX_LOCKS', false, 'one mount of a store on one host: the kernel’s own locks are complete'),
  flag(2, 'FILE_OPS', false, 'never implemented by any kernel'),
  flag(3, 'ATOMIC_O_TRUNC', true, 'open truncates: one request instead of two (with HANDLE_KILLPRIV_V2)'),
  flag(
    4,
    'EXPORT_SUPPORT',
    true,
    'inode numbers are stable, so file handles survive eviction; LOOKUP of "." works',
  ),
  flag(5, 'BIG_WRITES', true, 'writes of more than a page'),
  flag(6, 'DONT_MASK', true, 'the umask must not apply where a default ACL does'),
  flag(7, 'SPLICE_WRITE', false, 'announces what the kernel can; we do not splice'),
  flag(8, 'SPLICE_MOVE', false, 'as SPLICE_WRITE'),
  flag(9, 'SPLICE_READ', false, 'as SPLICE_WRITE'),
  flag(10, 'FLOCK_LOCKS', false, 'as POSIX_LOCKS'),
  flag(11, 'HAS_IOCTL_DIR', true, 'FS_IOC_GETFLAGS works on directories too'),
  flag(
    12,
    'AUTO_INVAL_DATA',
    false,
    'nobody changes files behind the kernel: a new mtime is no reason to drop pages',
  ),
  flag(
    13,
    'DO_READDIRPLUS',
    (w) => w.readdirPlus !== 'never',
    'ls -l in one request a buffer instead of one a file',
  ),
  flag(
    14,
    'READDIRPLUS_AUTO',
    (w) => w.readdirPlus === 'auto',
    'plain readdir where nobody asks for attributes',
  ),
  flag(15, 'ASYNC_DIO', true, 'direct reads and writes may overlap'),
  flag(16, 'WRITEBACK_CACHE', (w) => w.writebackCache, 'small writes are gathered by the kernel'),
  flag(17, 'NO_OPEN_SUPPORT', false, 'handles are needed: unlinked open files, the errors of fsync'),
  flag(18, 'PARALLEL_DIROPS', true, 'lookups and readdirs of a directory need no common lock'),
  flag(19, 'HANDLE_KILLPRIV', false, 'the second version says when to drop the bits, and when not'),
  flag(20, 'POSIX_ACL', true, 'the kernel enforces and caches the ACLs that we store'),
  flag(21, 'ABORT_ERROR', true, 'an aborted connection reads as ECONNABORTED, an unmount as ENODEV'),
  flag(22, 'MAX_PAGES', true, 'requests of more than 128 KiB'),
  flag(23, 'CACHE_SYMLINKS', true, 'targets never change'),
  flag(24, 'NO_OPENDIR_SUPPORT', true, 'OPENDIR is answered ENOSYS once; the kernel then caches listings'),
  flag(25, 'EXPLICIT_INVAL_DATA', true, 'cached pages stay until we say otherwise'),
  flag(26, 'MAP_ALIGNMENT', false, 'DAX only'),
  flag(27, 'SUBMOUNTS', false, 'a store is one tree'),
  flag(
    28,
    'HANDLE_KILLPRIV_V2',
    true,
    'no GETXATTR of security.capability before each write; we drop set-id bits',
  ),
  flag(29, 'SETXATTR_EXT', true, 'tells when setting an ACL must drop the set-group-id bit'),
  flag(30, 'INIT_EXT', true, 'flags2'),
  flag(31, 'INIT_RESERVED', false, 'reserved'),
  flag(32, 'SECURITY_CTX', false, 'labels come by setxattr'),
  flag(33, 'HAS_INODE_DAX', false, 'DAX only'),
  flag(34, 'CREATE_SUPP_GROUP', false, 'the kernel itself strips set-group-id at creation'),
  flag(35, 'HAS_EXPIRE_ONLY', true, 'entries can be expired without being dropped'),
  flag(36, 'DIRECT_IO_ALLOW_MMAP', true, 'shared mappings of a file opened for direct I/O'),
  flag(37, 'PASSTHROUGH', false, 'file data is in the store, not in files of the host'),
  flag(38, 'NO_EXPORT_SUPPORT', false, 'the opposite of EXPORT_SUPPORT'),
  flag(39, 'HAS_RESEND', false, 'the daemon does not survive its device'),
  flag(40, 'ALLOW_IDMAP', false, 'a request may then come without a caller; permission checks here need one'),
  flag(41, 'OVER_IO_URING', false, 'the ring can’t be mapped without native code of ours'),
  flag(42, 'REQUEST_TIMEOUT', false, 'a slow disk must not abort the mount'),
];

export interface Negotiated {
  minor: number;
  flags: number;
  flags2: number;
  /** Names of the flags in force, for the log. */
  features: string[];
  maxWriteBytes: number;
  maxPages: number;
  setxattrExt: boolean;
  writebackCache: boolean;
  /** The values of init_out. */
  reply: Record<
    | 'major'
    | 'minor'
    | 'maxReadahead'
    | 'flags'
    | 'flags2'
    | 'maxBackground'
    | 'congestionThreshold'
    | 'maxWrite'
    | 'timeGran'
    | 'maxPages',
    number
  >;
}

/**
 * `negotiated`; or `other-major`: answer with our major version only, the kernel sends INIT again; or `refused`: answer
 * `errno`, for the `reason`.
 */
export type Negotiation =
  | { kind: 'negotiated'; result: Negotiated }
  | { kind: 'other-major' }
  | { kind: 'refused'; errno: number; reason: string };

/** The 7.x in which the flags from this bit on came (include/uapi/linux/fuse.h, the history at its top); others are older. */
const FLAG_MINORS: readonly (readonly [bit: number, minor: number])[] = [
  [42, 43],
  [41, 42],
  [40, 41],
  [37, 40],
  [36, 39],
  [34, 38],
  [30, 36],
  [28, 33],
  [27, 32],
];

/** The first 7.x that has the flag, or {@link PROTOCOL_MINOR_MIN} for those that all kernels here have. */
export const flagMinor = (bit: number): number =>
  FLAG_MINORS.find(([first]) => bit >= first)?.[1] ?? PROTOCOL_MINOR_MIN;

const isWanted = (entry: InitFlag, wishes: NegotiationWishes): boolean =>
  typeof entry.want === 'boolean' ? entry.want : entry.want(wishes);

const has = (flags: number, flags2: number, bit: number): boolean =>
  ((bit < 32 ? flags >>> bit : flags2 >>> (bit - 32)) & 1) === 1;

/** 256 pages is fs/fuse's own limit unless raised by sysctl (fs.fuse.max_pages_limit). */
const MAX_PAGES_KERNEL = 256;
/** Without MAX_PAGES (FUSE_DEFAULT_MAX_PAGES_PER_REQ). */
const MAX_PAGES_DEFAULT = 32;

/** Decides on an INIT request's body (at least init_in). */
export const negotiate = (body: Uint8Array, wishes: NegotiationWishes): Negotiation => {
  const offer = { flags2: 0, ...initIn.decode(body) };
  if (offer.major > PROTOCOL_MAJOR) return { kind: 'other-major' };
  if (offer.major < PROTOCOL_MAJOR || offer.minor < PROTOCOL_MINOR_MIN) {
    const reason = `the kernel speaks FUSE ${offer.major}.${offer.minor}; at least ${PROTOCOL_MAJOR}.${PROTOCOL_MINOR_MIN} is needed`;
    return { kind: 'refused', errno: Errno.EPROTO, reason };
  }
  if (has(offer.flags, 0, 30) && body.length >= initInExt.size) offer.flags2 = initInExt.decode(body).flags2;

  const minor = Math.min(offer.minor, PROTOCOL_MINOR, wishes.minorMax);
  // Only the second version tells OPEN to drop the set-id bits. Without it the truncation must be a SETATTR of its own, with the mode.
  const killPrivV2 = has(offer.flags, 0, 28) && flagMinor(28) <= minor;
  let flags = 0;
  let flags2 = 0;
  const features: string[] = [];
  for (const entry of initFlags) {
    if (!has(offer.flags, offer.flags2, entry.bit) || !isWanted(entry, wishes)) continue;
    if (flagMinor(entry.bit) > minor) continue;
    if (entry.name === 'ATOMIC_O_TRUNC' && !killPrivV2) continue;
    features.push(entry.name);
    if (entry.bit < 32) flags |= 1 << entry.bit;
    else flags2 |= 1 << (entry.bit - 32);
  }
  const on = (name: string): boolean => features.includes(name);
  const pagesWanted = Math.max(1, Math.floor(wishes.maxWriteBytes / PAGE_BYTES));
  const maxPages = Math.min(pagesWanted, on('MAX_PAGES') ? MAX_PAGES_KERNEL : MAX_PAGES_DEFAULT);
  const result: Negotiated = {
    minor,
    flags: flags >>> 0,
    flags2: flags2 >>> 0,
    features,
    maxWriteBytes: maxPages * PAGE_BYTES,
    maxPages,
    setxattrExt: on('SETXATTR_EXT'),
    writebackCache: on('WRITEBACK_CACHE'),
    reply: {
      major: PROTOCOL_MAJOR,
      minor,
      maxReadahead: wishes.maxReadaheadBytes,
      flags: flags >>> 0,
      flags2: flags2 >>> 0,
      maxBackground: wishes.maxBackground,
      congestionThreshold: wishes.congestionThreshold,
      maxWrite: maxPages * PAGE_BYTES,
      timeGran: 1,
      maxPages: on('MAX_PAGES') ? maxPages : 0,
    },
  };
  return { kind: 'negotiated', result };
};
