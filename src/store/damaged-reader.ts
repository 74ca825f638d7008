/**
 * A reader for read-only mounts: what a damaged store has lost of the things that a mount can't do without (superblock,
 * counters, the root directory's inode) is made up, so that the rest can be read. INVARIANT: nothing is ever written on
 * the strength of these.
 */
import { FsError } from '../base/errno.js';
import { asIno, type Ino, ROOT_INO } from '../base/ids.js';
import { SqliteStoreReader, type ReaderOptions } from './reader.js';
import { superblockOrStandIn } from './superblock.js';
import { blankInode, type InodeRecord, type StoreCounters } from './types.js';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const ENTRIES_AT_ONCE = 1000;

const isDirectory = (record: InodeRecord | undefined): boolean =>
  record !== undefined && (record.mode & S_IFMT) === S_IFDIR;

export class DamagedStoreReader extends SqliteStoreReader {
  /** What was made up. */
  readonly standIns = new Set<'superblock' | 'counters' | 'root'>();

  /** Errors: StoreError. */
  constructor(path: string, options: Pick<ReaderOptions, 'snapshotMs'> = {}) {
    let madeUp = false;
    super(path, { ...options, superblock: (db) => superblockOrStandIn(db, path, () => (madeUp = true)) });
    if (madeUp) this.standIns.add('superblock');
  }

  override counters(): StoreCounters & { txg: number } {
    try {
      return super.counters();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.standIns.add('counters');
      return { nextIno: ROOT_INO + 1, inodeCount: 1, allocPages: 0, txg: 0 };
    }
  }

  override loadInode(ino: Ino): InodeRecord | undefined {
    if (ino !== ROOT_INO) return super.loadInode(ino);
    try {
      const root = super.loadInode(ino);
      if (isDirectory(root)) return root;
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
    }
    this.standIns.add('root');
    return this.#standInRoot();
  }

  #standInRoot(): InodeRecord {
    return {
      ...blankInode(),
      ino: asIno(ROOT_INO),
      mode: S_IFDIR | 0o755,
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      nlink: 2,
      size: this.#entriesOfRoot(),
      parent: ROOT_INO,
      nextCookie: Number.MAX_SAFE_INTEGER,
    };
  }

  #entriesOfRoot(): number {
    let count = 0;
    try {
      for (let cookie = 0; ;) {
        const entries = this.scanDirents(ROOT_INO, cookie, ENTRIES_AT_ONCE);
        if (entries.length === 0) return count;
        count += entries.length;
        cookie = entries[entries.length - 1].cookie;
      }
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      return count;
    }
  }
}
