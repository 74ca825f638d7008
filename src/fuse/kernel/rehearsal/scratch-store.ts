/** The store that a rehearsal plays on: small directories, which are read whole, and one that isn't; small files, some larger. */
import { asIno, byteName, ROOT_INO } from '../../../base/ids.js';
import { createStore } from '../../../store/mkfs.js';
import { TxgEncoder } from '../../../store/txg-log.js';
import { blankInode, type InodeRecord, PAGE_BYTES } from '../../../store/types.js';
import { StoreWriter } from '../../../store/writer.js';
import { S_IFDIR, S_IFREG } from '../../../vnode/vnode.js';

export interface ScratchDirectory {
  readonly name: string;
  readonly ino: number;
  /** Their inode numbers follow the directory's own. */
  readonly files: readonly string[];
}

/** Of its files, and of those that the script makes: one that is kept inline, and one with a chunk. */
export const SMALL_BYTES = 300;
export const LARGE_BYTES = 20_000;
/** Few: memory that is touched for the first time costs time. */
const LARGE_EVERY = 8;
/** When all was made. */
export const SEC = 1_700_000_000;

const layOut = (): ScratchDirectory[] => {
  let ino = ROOT_INO + 1;
  return [...new Array<number>(24).fill(30), 500].map((count, d) => {
    const files = Array.from({ length: count }, (_, f) => `file-${String(f).padStart(4, '0')}`);
    const directory = { name: `directory-${d}`, ino, files };
    ino += 1 + count;
    return directory;
  });
};

export const scratchDirectories: readonly ScratchDirectory[] = layOut();

const inode = (values: Partial<InodeRecord>): InodeRecord => ({
  ...blankInode(),
  // So that relatime finds nothing to do: reading would dirty every inode.
  atimeSec: Math.floor(Date.now() / 1000),
  mtimeSec: SEC,
  ctimeSec: SEC,
  btimeSec: SEC,
  ...values,
});

const directoryInode = (ino: number, entries: number, subdirectories: number): InodeRecord =>
  inode({
    ino: asIno(ino),
    mode: S_IFDIR | 0o755,
    nlink: 2 + subdirectories,
    size: entries,
    parent: ROOT_INO,
    nextCookie: entries + 3,
  });

/** Makes it at `path`. Errors: StoreError, FsError. */
export const createScratchStore = (path: string): void => {
  createStore(path);
  const log = new TxgEncoder();
  const pages = Array.from({ length: Math.ceil(LARGE_BYTES / PAGE_BYTES) }, (_, page) => page);
  let [inodeCount, allocPages] = [1, 0];
  log.putInode(directoryInode(ROOT_INO, scratchDirectories.length, scratchDirectories.length));
  scratchDirectories.forEach(({ name, ino: dir, files }, d) => {
    log.putInode(directoryInode(dir, files.length, 0));
    log.putDirent(ROOT_INO, byteName(name), asIno(dir), S_IFDIR >> 12, d + 3);
    files.forEach((file, f) => {
      const ino = asIno(dir + 1 + f);
      const size = f % LARGE_EVERY === 0 ? LARGE_BYTES : SMALL_BYTES;
      const count = Math.ceil(size / PAGE_BYTES);
      log.putInode(inode({ ino, mode: S_IFREG | 0o644, nlink: 1, size, allocPages: count }));
      log.putDirent(asIno(dir), byteName(file), ino, S_IFREG >> 12, f + 3);
      log.writePages(ino, 0, size, pages, pages, count);
      allocPages += count;
    });
    inodeCount += 1 + files.length;
  });
  log.setCounters({ nextIno: ROOT_INO + inodeCount, inodeCount, allocPages });
  const { log: bytes, logBytes } = log.take();
  const writer = new StoreWriter(path, { cacheKiB: 2048 });
  try {
    writer.commit(1, bytes, logBytes, new Uint8Array(pages.length * PAGE_BYTES), false);
  } finally {
    writer.close();
  }
};
