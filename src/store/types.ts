/**
 * What the layers above and the store say to each other. The exact tables are in native-notes/disk-format.md.
 *
 * Two connections, two interfaces: the dispatcher's {@link StoreReader} (cache misses; each call is its own
 * read transaction and sees the newest commit) and the syncer's {@link TxgOps} sink, fed inside one write
 * transaction per transaction group.
 */
import { asIno, type ByteName, type Ino } from '../base/ids.js';

/** Bytes of a page: the unit of caching and of space accounting, whatever page size SQLite itself uses. */
export const PAGE_BYTES = 4096;

/** Fixed at mkfs except where noted. */
export interface Superblock {
  formatVersion: number;
  /** 16 bytes as 32 hex digits; the template of the mount's fsid. */
  uuid: string;
  /** Free text, may be empty. */
  label: string;
  /** Bytes of file data per chunk: a power-of-two number of pages, 1 to 32 pages. */
  chunkBytes: number;
  /** Files of at most this many bytes are kept in their inode row. */
  inlineMax: number;
  /** Quota in bytes of allocated data (whole pages); 0 is none. Changeable. */
  sizeLimitBytes: number;
  /** Quota of inodes; 0 is none. Changeable. */
  inodeLimit: number;
}

/** Running totals, stored with every transaction group, so that statfs needs no scan. */
export interface StoreCounters {
  /** The next inode number to hand out: numbers are never reused. */
  nextIno: number;
  /** Inodes in the store, orphans included. */
  inodeCount: number;
  /** Sum of allocPages over all inodes. */
  allocPages: number;
}

/** One inode row. Times are whole seconds (may be negative) and nanoseconds 0..999,999,999. */
export interface InodeRecord {
  ino: Ino;
  /** Type and permission bits, as st_mode. */
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  /** Bytes; of a directory the number of its entries; of a symlink the target's length. */
  size: number;
  /** As st_rdev in the kernel's new_encode_dev form (what FUSE sends); 0 unless a device. */
  rdev: number;
  /** Pages of data charged to this file: the sum of its chunks' extents (see TxgOps.writePages). */
  allocPages: number;
  /** FS_*_FL inode flags. */
  flags: number;
  /** Number of extended attributes: 0 lets the vfs answer without asking the store. */
  xattrCount: number;
  /** Of a directory: its parent (the root's is itself). Otherwise 0. */
  parent: number;
  /** Of a directory: the cookie its next new entry gets; cookies start at 3 (1 and 2 are `.` and `..`). */
  nextCookie: number;
  atimeSec: number;
  atimeNsec: number;
  mtimeSec: number;
  mtimeNsec: number;
  ctimeSec: number;
  ctimeNsec: number;
  btimeSec: number;
  btimeNsec: number;
}

/** A new record in which everything is 0. */
export const blankInode = (): InodeRecord => ({
  ino: asIno(0),
  mode: 0,
  uid: 0,
  gid: 0,
  nlink: 0,
  size: 0,
  rdev: 0,
  allocPages: 0,
  flags: 0,
  xattrCount: 0,
  parent: 0,
  nextCookie: 0,
  atimeSec: 0,
  atimeNsec: 0,
  mtimeSec: 0,
  mtimeNsec: 0,
  ctimeSec: 0,
  ctimeNsec: 0,
  btimeSec: 0,
  btimeNsec: 0,
});

/** A directory entry. `type` is the DT_* value (mode >> 12). */
export interface DirentRecord {
  name: ByteName;
  ino: Ino;
  type: number;
  cookie: number;
}

export interface XattrRecord {
  name: ByteName;
  value: Uint8Array;
}

/** A row of chunk_map: chunk `index` of a file is the chunk row `chunk`, charged as `pages` pages. */
export interface ChunkRow {
  index: number;
  chunk: number;
  pages: number;
}

/** The dispatcher's view. Synchronous; throws FsError(EIO) for a damaged or unreadable store. */
export interface StoreReader {
  readonly superblock: Superblock;
  /** Of a damaged store: what was made up, so that it must not be written. */
  readonly standIns?: ReadonlySet<string>;
  counters(): StoreCounters;
  loadInode(ino: Ino): InodeRecord | undefined;
  /** These are about to be asked for: reads them together, where that is cheaper. Never fails. */
  readInodesAhead(inos: readonly Ino[]): void;
  lookupDirent(parent: Ino, name: ByteName): DirentRecord | undefined;
  /**
   * All entries of a directory, by name, if there are `limit` at most, and their inodes read ahead; else, or where
   * something is damaged, undefined. Never fails.
   */
  readDirectory(parent: Ino, limit: number): DirentRecord[] | undefined;
  /** Up to `limit` entries with cookie > `afterCookie`, in cookie order; perhaps fewer than there are, but none only at the end. */
  scanDirents(parent: Ino, afterCookie: number, limit: number): readonly DirentRecord[];
  /** While no request is waiting: reads rows that a listing will ask for. False: none is expected to. Never fails. */
  lookAhead(): boolean;
  readSymlink(ino: Ino): Uint8Array | undefined;
  /**
   * The stored bytes of chunk `index` (from the inode row when the file is inline and index is 0), at most
   * chunkBytes;
   * bytes past its end are zeros; undefined is a hole. The caller owns the array.
   */
  readChunk(ino: Ino, index: number): Uint8Array | undefined;
  /** Extent in pages of chunk `index`: see TxgOps.writePages; 0 for a hole. */
  chunkPages(ino: Ino, index: number): number;
  /** Sum of chunkPages over all chunks with fromIndex <= index < toIndex (toIndex may be Infinity). */
  sumChunkPages(ino: Ino, fromIndex: number, toIndex: number): number;
  /** The rows of chunk_map with fromIndex <= index < toIndex, ascending; inline data has none. */
  chunkRows(ino: Ino, fromIndex: number, toIndex: number): ChunkRow[];
  /**
   * The bytes of a chunk that group `txg` clones: of chunk row `chunk` while the group is not in the store, of
   * (ino, index) once it is. One snapshot: a commit between two looks would show another file's later bytes.
   */
  readCloned(ino: Ino, index: number, chunk: number, txg: number): Uint8Array | undefined;
  /** The lowest index >= fromIndex of a stored chunk, or -1. Serves SEEK_DATA. */
  nextChunk(ino: Ino, fromIndex: number): number;
  getXattr(ino: Ino, name: ByteName): Uint8Array | undefined;
  listXattrs(ino: Ino): XattrRecord[];
  /** Unlinked inodes that were still open when the store was last written. */
  listOrphans(): Ino[];
  /** Nothing will be read for a while: lets go of what readers hold (SQLite's WAL can then begin anew). */
  endSnapshot(): void;
  /** A group has been committed: what is read from now on includes it. */
  onCommit(): void;
  close(): void;
}

/**
 * The operations of a transaction group, in the order in which they must be applied. Implemented twice: by the encoder
 * (dispatcher: appends to the group's log) and by the writer (syncer: runs SQL). What is said here binds both.
 *
 * Every operation but cloneChunk sets a final state, so that applying a group twice gives the same store. (A clone
 * would take what its source became later in the group; so the writer doesn't apply a group whose number the store
 * has.)
 */
export interface TxgOps {
  /** Inserts or updates all columns of the row except inline data and symlink target, which stay. */
  putInode(record: InodeRecord): void;
  /** Removes the inode with its data, symlink target, xattrs and orphan mark; its dirents were removed before. */
  deleteInode(ino: Ino): void;
  /** Inserts or replaces the entry `name`; if one exists its cookie is replaced too. */
  putDirent(parent: Ino, name: ByteName, ino: Ino, type: number, cookie: number): void;
  deleteDirent(parent: Ino, name: ByteName): void;
  setSymlink(ino: Ino, target: Uint8Array): void;
  setXattr(ino: Ino, name: ByteName, value: Uint8Array): void;
  removeXattr(ino: Ino, name: ByteName): void;
  addOrphan(ino: Ino): void;
  removeOrphan(ino: Ino): void;
  /**
   * Drops stored data at and after byte `size`: whole chunks vanish, the chunk across `size` (or the inline data) is
   * cut to `size`, its extent to ceil. Never lengthens. The inode's own size comes with putInode.
   */
  truncate(ino: Ino, size: number): void;
  /** Drops chunks with fromIndex <= index < toIndex: they become holes. */
  dropChunks(ino: Ino, fromIndex: number, toIndex: number): void;
  /**
   * Writes whole pages into chunk `index`: page number `pages[i]` of the chunk takes its bytes from frame `frames[i]`
   * of the page pool, for i < count. `fileSize` is the file's size in bytes at the time of sealing: stored bytes never
   * reach past it. The chunk's extent becomes max(old extent, highest written page + 1), in pages. Pages not written
   * keep their stored bytes (zeros if none). The writer decides between inline, new row and in-place update; a file
   * whose size is at most inlineMax goes inline.
   */
  writePages(
    ino: Ino,
    index: number,
    fileSize: number,
    pages: ArrayLike<number>,
    frames: ArrayLike<number>,
    count: number,
  ): void;
  /**
   * Makes chunk `index` of `ino` refer to the existing chunk row `chunk`, which is then shared, with an extent of
   * `pages`; what it referred to is let go. Bytes of the row past the file's size must be zeros.
   */
  cloneChunk(ino: Ino, index: number, chunk: number, pages: number): void;
  /** Charges chunk `index` as `pages` pages at least (preallocation); its bytes stay, a hole gets an empty row. */
  allocate(ino: Ino, index: number, pages: number): void;
  setCounters(counters: StoreCounters): void;
}
