/**
 * What the frozen store of format 1 holds. make-fixture.ts wrote it once; the test compares for ever. Never change this
 * file for a released format: a new format gets its own content and its own frozen file.
 */
import { asIno, byteName, ROOT_INO, type ByteName } from '../../src/base/ids.js';
import { PAGE_BYTES, type DirentRecord, type InodeRecord } from '../../src/store/types.js';

export const FIXTURE_UUID = '000102030405060708090a0b0c0d0e0f';
export const FIXTURE_CHUNK_BYTES = 4 * PAGE_BYTES;

const base: InodeRecord = {
  ino: ROOT_INO,
  mode: 0o040755,
  uid: 0,
  gid: 0,
  nlink: 3,
  size: 0,
  rdev: 0,
  allocPages: 0,
  flags: 0,
  xattrCount: 0,
  parent: 1,
  nextCookie: 12,
  atimeSec: 1_600_000_000,
  atimeNsec: 1,
  mtimeSec: -1,
  mtimeNsec: 999_999_999,
  ctimeSec: 2 ** 33,
  ctimeNsec: 5,
  btimeSec: 0,
  btimeNsec: 0,
};
const inode = (ino: number, changes: Partial<InodeRecord>): InodeRecord => ({
  ...base,
  ino: asIno(ino),
  mode: 0o100640,
  uid: 1000,
  gid: 100,
  nlink: 1,
  parent: 0,
  nextCookie: 0,
  ...changes,
});

export const inodes: InodeRecord[] = [
  { ...base, size: 9 },
  inode(2, { mode: 0o042770, nlink: 2, parent: 1, nextCookie: 4, size: 1 }),
  inode(3, { size: 300, allocPages: 1, nlink: 2, xattrCount: 2 }),
  inode(4, { size: 100_000, allocPages: 6, flags: 0x10 }),
  inode(5, { mode: 0o120777, size: 11 }),
  inode(6, { mode: 0o020666, rdev: 0x103 }),
  inode(7, { mode: 0o010600 }),
  inode(8, { nlink: 0, size: 5000, allocPages: 2 }),
  inode(9, { size: 2 ** 45 }),
  inode(10, { size: 8192, allocPages: 2 }),
  inode(11, { size: 8192, allocPages: 2 }),
];

const entry = (parent: number, name: ByteName, ino: number, type: number, cookie: number) => ({
  parent: asIno(parent),
  name,
  ino: asIno(ino),
  type,
  cookie,
});
export const dirents: (DirentRecord & { parent: typeof ROOT_INO })[] = [
  entry(1, byteName('directory'), 2, 4, 3),
  entry(1, byteName('inline'), 3, 8, 4),
  entry(1, byteName('with holes'), 4, 8, 5),
  entry(1, byteName('link'), 5, 10, 6),
  entry(1, byteName('null'), 6, 2, 7),
  entry(1, byteName('fifo'), 7, 1, 8),
  entry(1, byteName('sparse'), 9, 8, 9),
  entry(1, byteName('copy a'), 10, 8, 10),
  entry(1, byteName('copy b'), 11, 8, 11),
  entry(2, '\xff\xfe not UTF-8\n' as ByteName, 3, 8, 3),
];

export const linkTarget = Buffer.from('../over/the');
export const xattrs = [
  { name: byteName('user.big'), value: new Uint8Array(6000).fill(42) },
  { name: byteName('user.small'), value: new Uint8Array([1, 0, 255]) },
];

/** `[inode, chunk index, pages written, fill byte]`, with the file size of the inode. */
export const writes: [number, number, number[], number][] = [
  [3, 0, [0], 3],
  [4, 0, [0, 1], 40],
  [4, 5, [0, 1, 2, 3], 45],
  [8, 0, [0, 1], 8],
  [10, 0, [0, 1], 10],
];
