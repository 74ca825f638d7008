/** Writes attributes, entries and directory entries of replies, straight into a word view of the output buffer. */
import type { Attributes } from '../../vfs/api.js';
import type { ByteName } from '../../base/ids.js';
import { PAGE_BYTES } from './protocol.js';
import { attrOut, dirent, entryOut, openOut, statxOut } from './structs.js';

const TWO_32 = 4294967296;
const SECTORS_PER_PAGE = PAGE_BYTES / 512;

/** How a mount shows attributes: for how long the kernel may keep them (split as the wire wants it), and whose files they are. */
export interface AttrView {
  /** Shown as the owner of everything (`-o uid=`, `gid=`); undefined: the file's own. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly entrySec: number;
  readonly entryNsec: number;
  readonly attrSec: number;
  readonly attrNsec: number;
}

export interface AttrViewOptions {
  attrTtlMs: number;
  entryTtlMs: number;
  forcedUid: number | undefined;
  forcedGid: number | undefined;
}

export const attrViewOf = ({ entryTtlMs, attrTtlMs, forcedUid, forcedGid }: AttrViewOptions): AttrView => ({
  uid: forcedUid,
  gid: forcedGid,
  entrySec: Math.floor(entryTtlMs / 1000),
  entryNsec: Math.floor((entryTtlMs % 1000) * 1e6),
  attrSec: Math.floor(attrTtlMs / 1000),
  attrNsec: Math.floor((attrTtlMs % 1000) * 1e6),
});

/** Stores take their value modulo 2^32, so a negative one (a time before 1970) becomes two's complement. */
export const putU64 = (words: Uint32Array, at: number, value: number): void => {
  words[at] = value;
  words[at + 1] = Math.floor(value / TWO_32);
};

const E = entryOut.word;
/** Words from the start of entry_out, and of attr_out, to the attributes in them. */
const ENTRY_TO_ATTR = E.ino;
const ATTR_OUT_TO_ATTR = attrOut.word.ino;

/** fuse_attr at word `at`; all of its 88 bytes. */
const putAttr = (words: Uint32Array, at: number, a: Attributes, view: AttrView): void => {
  const base = at - ENTRY_TO_ATTR;
  putU64(words, base + E.ino, a.ino);
  putU64(words, base + E.size, a.size);
  putU64(words, base + E.blocks, a.allocPages * SECTORS_PER_PAGE);
  putU64(words, base + E.atime, a.atimeSec);
  putU64(words, base + E.mtime, a.mtimeSec);
  putU64(words, base + E.ctime, a.ctimeSec);
  words[base + E.atimensec] = a.atimeNsec;
  words[base + E.mtimensec] = a.mtimeNsec;
  words[base + E.ctimensec] = a.ctimeNsec;
  words[base + E.mode] = a.mode;
  words[base + E.nlink] = a.nlink;
  words[base + E.uid] = view.uid ?? a.uid;
  words[base + E.gid] = view.gid ?? a.gid;
  words[base + E.rdev] = a.rdev;
  words[base + E.blksize] = PAGE_BYTES;
  words[base + E.flags] = 0;
};

/** attr_out at word `at`. */
export const putAttrOut = (words: Uint32Array, at: number, a: Attributes, t: AttrView): void => {
  putU64(words, at, t.attrSec);
  words[at + attrOut.word.attrValidNsec] = t.attrNsec;
  words[at + attrOut.word.dummy] = 0;
  putAttr(words, at + ATTR_OUT_TO_ATTR, a, t);
};

/** entry_out at word `at`. The generation is always 0: inode numbers are never reused. */
export const putEntryOut = (words: Uint32Array, at: number, a: Attributes, t: AttrView): void => {
  putU64(words, at + E.nodeid, a.ino);
  putU64(words, at + E.generation, 0);
  putU64(words, at + E.entryValid, t.entrySec);
  putU64(words, at + E.attrValid, t.attrSec);
  words[at + E.entryValidNsec] = t.entryNsec;
  words[at + E.attrValidNsec] = t.attrNsec;
  putAttr(words, at + ENTRY_TO_ATTR, a, t);
};

/** An entry_out with nodeid 0: "there is no such name, and you may remember that". */
export const putNegativeEntry = (words: Uint32Array, at: number, t: AttrView): void => {
  words.fill(0, at, at + (entryOut.size >> 2));
  putU64(words, at + E.entryValid, t.entrySec);
  words[at + E.entryValidNsec] = t.entryNsec;
};

export const putOpenOut = (words: Uint32Array, at: number, fh: number, openFlags: number): void => {
  putU64(words, at, fh);
  words[at + openOut.word.openFlags] = openFlags;
  words[at + openOut.word.backingId] = 0;
};

const DIRENT_HEAD_BYTES = dirent.size;
const ENTRY_OUT_BYTES = entryOut.size;

/** Bytes that an entry takes in a READDIR (`plus` false) or READDIRPLUS reply. */
export const direntBytes = (name: ByteName, plus: boolean): number =>
  (plus ? ENTRY_OUT_BYTES : 0) + ((DIRENT_HEAD_BYTES + name.length + 7) & ~7);

/** A dirent at byte `at` (a multiple of 8); requires room for {@link direntBytes}. */
export const putDirent = (
  bytes: Uint8Array,
  words: Uint32Array,
  at: number,
  name: ByteName,
  ino: number,
  type: number,
  nextCookie: number,
): void => {
  const w = at >> 2;
  putU64(words, w, ino);
  putU64(words, w + dirent.word.off, nextCookie);
  words[w + dirent.word.namelen] = name.length;
  words[w + dirent.word.type] = type;
  const nameAt = at + DIRENT_HEAD_BYTES;
  const end = (nameAt + name.length + 7) & ~7;
  // The padding must not carry bytes of an earlier reply to the kernel.
  words[(end >> 2) - 1] = 0;
  words[(end >> 2) - 2] = 0;
  for (let i = 0; i < name.length; i++) bytes[nameAt + i] = name.charCodeAt(i);
};

const S = statxOut.word;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BTIME = 0x800;
const FS_IMMUTABLE_FL = 0x10;
const FS_APPEND_FL = 0x20;
const FS_NODUMP_FL = 0x40;
/** STATX_ATTR_IMMUTABLE, _APPEND and _NODUMP have the values of the inode flags. */
const STATX_ATTRIBUTES = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL;

/** statx_out at word `at`, all 288 bytes. `rdev` is decoded from the kernel's new_encode_dev form. */
export const putStatxOut = (words: Uint32Array, at: number, a: Attributes, t: AttrView): void => {
  words.fill(0, at, at + (statxOut.size >> 2));
  putU64(words, at, t.attrSec);
  words[at + S.attrValidNsec] = t.attrNsec;
  words[at + S.mask] = STATX_BASIC_STATS | STATX_BTIME;
  words[at + S.blksize] = PAGE_BYTES;
  words[at + S.attributes] = a.flags & STATX_ATTRIBUTES;
  words[at + S.attributesMask] = STATX_ATTRIBUTES;
  words[at + S.nlink] = a.nlink;
  words[at + S.uid] = t.uid ?? a.uid;
  words[at + S.gid] = t.gid ?? a.gid;
  words[at + S.mode] = a.mode & 0xffff;
  putU64(words, at + S.ino, a.ino);
  putU64(words, at + S.size, a.size);
  putU64(words, at + S.blocks, a.allocPages * SECTORS_PER_PAGE);
  putU64(words, at + S.atime, a.atimeSec);
  words[at + S.atimensec] = a.atimeNsec;
  putU64(words, at + S.btime, a.btimeSec);
  words[at + S.btimensec] = a.btimeNsec;
  putU64(words, at + S.ctime, a.ctimeSec);
  words[at + S.ctimensec] = a.ctimeNsec;
  putU64(words, at + S.mtime, a.mtimeSec);
  words[at + S.mtimensec] = a.mtimeNsec;
  words[at + S.rdevMajor] = (a.rdev >>> 8) & 0xfff;
  words[at + S.rdevMinor] = (a.rdev & 0xff) | ((a.rdev >>> 12) & 0xfff00);
};
