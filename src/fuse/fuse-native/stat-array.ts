/**
 * Attributes in the forms that the binding's C side reads: populate_stat and populate_statvfs of fuse-native.c.
 */
import { fsError } from '../../base/errno.js';
import type { Attributes, StatFs } from '../../vfs/api.js';
import { INO_MAX } from './capabilities.js';

const TWO_32 = 4_294_967_296;
const SECTORS_PER_PAGE = 8;
const BLOCK_BYTES = 4096;

/** 32-bit words of its struct stat. */
export const STAT_WORDS = 18;
export const RDEV_WORD = 8;

export interface OwnerView {
  /** Shown as the owner of everything (`-o uid=`, `gid=`); undefined: the file's own. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

const putU64 = (words: Uint32Array, at: number, value: number): void => {
  words[at] = value;
  words[at + 1] = Math.floor(value / TWO_32);
};

/**
 * Milliseconds since 1970, all that the binding can pass. It divides them as unsigned numbers, which would show a time
 * before 1970 as one in the far future: 0 is the nearest it can show. What is stored stays as it is.
 */
export const shownMs = (sec: number, nsec: number): number =>
  Math.max(0, sec * 1000 + Math.floor(nsec / 1_000_000));

/** Throws EOVERFLOW, as stat(2) does, for an inode number that 32 bits don't hold. */
export const putStat = (words: Uint32Array, a: Attributes, view: OwnerView): Uint32Array => {
  if (a.ino > INO_MAX) throw fsError('EOVERFLOW', 'stat');
  words[0] = a.mode;
  words[1] = view.uid ?? a.uid;
  words[2] = view.gid ?? a.gid;
  putU64(words, 3, a.size);
  words[5] = 0;
  words[6] = a.nlink;
  words[7] = a.ino;
  words[8] = a.rdev;
  words[9] = BLOCK_BYTES;
  putU64(words, 10, a.allocPages * SECTORS_PER_PAGE);
  putU64(words, 12, shownMs(a.atimeSec, a.atimeNsec));
  putU64(words, 14, shownMs(a.mtimeSec, a.mtimeNsec));
  putU64(words, 16, shownMs(a.ctimeSec, a.ctimeNsec));
  return words;
};

/**
 * A directory entry: only type and inode number are read of it (libfuse's fill_dir). A number that 32 bits don't hold
 * is told as libfuse's "unknown": cut, it would be another file's, or 0, which readdir(3) leaves out.
 */
export const putEntryStat = (words: Uint32Array, ino: number, type: number): Uint32Array => {
  words[0] = type << 12;
  words[7] = Math.min(ino, INO_MAX);
  return words;
};

/** Counts have 32 bits: a block is as large as it takes for them to fit. */
export const statfsArray = (s: StatFs): Uint32Array => {
  let factor = 1;
  while (s.blocks / factor >= TWO_32) factor *= 2;
  const scaled = (blocks: number): number => Math.floor(blocks / factor);
  const count = (files: number): number => Math.min(files, TWO_32 - 1);
  const frsize = s.blockBytes * factor;
  return Uint32Array.of(
    frsize,
    frsize,
    scaled(s.blocks),
    scaled(s.blocksFree),
    scaled(s.blocksAvailable),
    count(s.files),
    count(s.filesFree),
    count(s.filesFree),
    0,
    0,
    s.nameMax,
  );
};
