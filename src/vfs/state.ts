/**
 * What the operation families share: the state of one mounted store, and the small steps that all of them take.
 *
 * Every changing operation follows one order: references (vget), checks, `txgs.admit` (may throw WouldBlock), then
 * changes, which may not fail. So an operation is in one transaction group wholly, or has not happened.
 */
import { RefusedWrites } from './losses.js';
import type { Clock } from '../base/clock.js';
import { fsError } from '../base/errno.js';
import { asIno, type Fh, type Ino } from '../base/ids.js';
import { PAGE_BYTES, type StoreReader } from '../store/types.js';
import type { ReadAhead, ReadPattern } from '../syncer/read-ahead.js';
import type { Txgs } from '../syncer/txgs.js';
import type { Reclaimed } from './api.js';
import type { BufCache } from '../vnode/buf-cache.js';
import { MNT_RDONLY, requireNotUnmounting, type Mount } from '../vnode/mount.js';
import type { VnodeCache } from '../vnode/vnode-cache.js';
import { FS_NOATIME_FL, VFlag, type Vnode } from '../vnode/vnode.js';
import type { TransportCapabilities } from './capabilities.js';

/** The name of our filesystem type: see vnode/vfs-conf.ts. */
export const FSTYPE = 'vnodefs';

export const NAME_MAX = 255;
export const LINK_MAX = 65_000;
export const SYMLINK_MAX = 4095;
/** Offsets are doubles: exact below 2^53. The last byte of a file has an offset below this. */
export const FILE_SIZE_MAX = Number.MAX_SAFE_INTEGER;

export interface FsOptions {
  /** Path of the store. */
  store: string;
  mountpoint?: string;
  /** What comes and goes through the transport of this mount. */
  capabilities: TransportCapabilities;
  readOnly: boolean;
  noatime: boolean;
  /** Bytes free on the host filesystem that holds the store. */
  hostFreeBytes: () => number;
  /** The recycler takes a vnode that the kernel remembers. Called from inside the core: only to be noted. */
  onReclaim?: (vp: Reclaimed) => void;
}

/** An open file. Dead handles (force-close) answer EIO. */
export interface Handle extends ReadPattern {
  readonly fh: Fh;
  readonly vp: Vnode;
  /** open(2) flags. */
  readonly flags: number;
  readonly writes: boolean;
  /** txgs.errSeq when last reported: see errseq in the kernel's lib/errseq.c. */
  errSeq: number;
  /** Group that a copy from this handle waited for, so that it waits once: see copy.ts. */
  copyTxg: number;
}

/** What a filesystem is put together from. */
export interface FsParts {
  vnodes: VnodeCache;
  txgs: Txgs;
  reader: StoreReader;
  readAhead: ReadAhead;
  clock: Clock;
  options: FsOptions;
}

export class FsState {
  readonly mp: Mount;
  readonly vnodes: VnodeCache;
  readonly bufs: BufCache;
  readonly txgs: Txgs;
  readonly reader: StoreReader;
  readonly readAhead: ReadAhead;
  readonly clock: Clock;
  readonly options: FsOptions;
  readonly chunkBytes: number;
  /** Quota in pages; Infinity without one. */
  readonly pagesMax: number;
  readonly inodesMax: number;
  readonly handles = new Map<Fh, Handle>();
  readonly refusedWrites = new RefusedWrites();
  #nextFh = 1;

  constructor(mp: Mount, { vnodes, txgs, reader, readAhead, clock, options }: FsParts) {
    this.mp = mp;
    this.vnodes = vnodes;
    this.bufs = vnodes.bufs;
    this.txgs = txgs;
    this.reader = reader;
    this.readAhead = readAhead;
    this.clock = clock;
    this.options = options;
    const superblock = reader.superblock;
    this.chunkBytes = superblock.chunkBytes;
    this.pagesMax =
      superblock.sizeLimitBytes > 0 ? Math.floor(superblock.sizeLimitBytes / PAGE_BYTES) : Infinity;
    this.inodesMax = superblock.inodeLimit > 0 ? superblock.inodeLimit : Infinity;
  }

  /** Referenced; the caller vreles. Throws ESTALE; while the mount is being unmounted WouldBlock or ENOENT: see vfsBusy. */
  vget(ino: Ino): Vnode {
    requireNotUnmounting(this.mp);
    return this.vnodes.vget(this.mp, ino);
  }

  /** As {@link vget}, for something that must be a directory: else ENOTDIR. */
  vgetDir(ino: Ino): Vnode {
    const vp = this.vget(ino);
    if (!vp.isDir) {
      this.vnodes.vrele(vp);
      throw fsError('ENOTDIR');
    }
    return vp;
  }

  /** First step of every changing operation. */
  requireWritable(op: string): void {
    if ((this.mp.flag & MNT_RDONLY) !== 0) throw fsError('EROFS', op);
  }

  /** EBADF for an unknown handle, EIO for one that was force-closed (the dead operations); unmounting: as {@link vget}. */
  handle(fh: Fh): Handle {
    const handle = this.handles.get(fh);
    if (handle === undefined) throw fsError('EBADF', 'handle');
    requireAlive(handle);
    requireNotUnmounting(this.mp);
    return handle;
  }

  newFh(): Fh {
    return this.#nextFh++ as Fh;
  }

  requireInode(): void {
    if (this.txgs.counters.inodeCount >= this.inodesMax) throw fsError('ENOSPC', 'inode limit');
  }

  allocIno(): Ino {
    const { counters } = this.txgs;
    this.requireInode();
    if (counters.nextIno > this.options.capabilities.inoMax) throw fsError('ENOSPC', 'inode numbers');
    counters.inodeCount++;
    return asIno(counters.nextIno++);
  }

  /** ctime := now; marks the vnode dirty. Reads the clock: {@link Clock.sec} holds "now" afterwards. */
  changed(vp: Vnode): void {
    this.clock.read();
    vp.ctimeSec = this.clock.sec;
    vp.ctimeNsec = this.clock.nsec;
    this.txgs.dirtyAttr(vp);
  }

  /** mtime and ctime := now: contents have changed. */
  modified(vp: Vnode): void {
    this.changed(vp);
    vp.mtimeSec = vp.ctimeSec;
    vp.mtimeNsec = vp.ctimeNsec;
  }

  /** After a read of `vp`: relatime, as the kernel's relatime_need_update (fs/inode.c). */
  accessed(vp: Vnode): void {
    if ((vp.flags & FS_NOATIME_FL) !== 0) return;
    if (this.options.noatime || (this.mp.flag & MNT_RDONLY) !== 0 || this.txgs.failing !== undefined) return;
    this.clock.read();
    const { sec, nsec } = this.clock;
    const beforeModify =
      vp.atimeSec < vp.mtimeSec || (vp.atimeSec === vp.mtimeSec && vp.atimeNsec <= vp.mtimeNsec);
    const beforeChange =
      vp.atimeSec < vp.ctimeSec || (vp.atimeSec === vp.ctimeSec && vp.atimeNsec <= vp.ctimeNsec);
    if (!beforeModify && !beforeChange && sec - vp.atimeSec < 24 * 3600) return;
    if (vp.removed || (vp.atimeSec === sec && vp.atimeNsec === nsec)) return;
    vp.atimeSec = sec;
    vp.atimeNsec = nsec;
    this.txgs.dirtyAttr(vp);
  }
}

/** EIO if the vnode of the handle was taken away by force (vflush). Closing such a handle succeeds. */
export const requireAlive = ({ vp }: Handle): void => {
  if ((vp.flag & VFlag.VRECLAIMED) !== 0 || vp.removed) throw fsError('EIO', 'dead handle');
};

/** Runs `body` with `vp`, then drops the reference, whatever happens. */
export const withVnode = <T>(fs: FsState, vp: Vnode, body: (vp: Vnode) => T): T => {
  try {
    return body(vp);
  } finally {
    fs.vnodes.vrele(vp);
  }
};
