/** Operations on an inode's attributes and extended attributes, and statfs. */
import { Errno, fsError, FsError } from '../../base/errno.js';
import type { ByteName, Fh, Ino } from '../../base/ids.js';
import type { SetAttributes, TimeChange } from '../../vfs/api.js';
import type { Answer, NativeContext } from './context.js';
import { nameOf } from './paths.js';
import { putStat, RDEV_WORD, STAT_WORDS, statfsArray } from './stat-array.js';
import { utimensTimes } from './times.js';

const TWO_32 = 4_294_967_296;
/** (uid_t)-1: leave it as it is. */
const SAME_ID = 0xffff_ffff;
/** Number of utimens in the binding. */
const OP_UTIMENS = 12;

export const sizeOf = (low: number, high: number): number => {
  const size = high * TWO_32 + low;
  if (size > Number.MAX_SAFE_INTEGER) throw fsError('EFBIG');
  return size;
};

const answerStat = (cx: NativeContext, answer: Answer, ino: Ino, fh: Fh | undefined): void => {
  const vp = cx.vfs.getattr(cx.caller, ino, fh);
  try {
    const words = putStat(new Uint32Array(STAT_WORDS), vp, cx.view);
    words[RDEV_WORD] = cx.platform.shownRdev(vp.rdev);
    answer(0, words);
  } finally {
    cx.vfs.vrele(vp);
  }
};

export const getattr = (cx: NativeContext, answer: Answer, path: string): void =>
  answerStat(cx, answer, cx.paths.ino(path), undefined);

/** The binding's own JavaScript would ask getattr here, by a path that an unlinked file no longer has. */
export const fgetattr = (cx: NativeContext, answer: Answer, _path: string, number: number): void => {
  const { ino, fh } = cx.files.get(number);
  answerStat(cx, answer, ino, fh);
};

const change = (
  cx: NativeContext,
  answer: Answer,
  ino: Ino,
  fh: Fh | undefined,
  changes: SetAttributes,
): void => {
  cx.vfs.vrele(cx.vfs.setattr(cx.caller, ino, fh, changes));
  answer(0);
};

export const chmod = (cx: NativeContext, answer: Answer, path: string, mode: number): void =>
  change(cx, answer, cx.paths.ino(path), undefined, { mode });

export const chown = (cx: NativeContext, answer: Answer, path: string, uid: number, gid: number): void => {
  const changes: SetAttributes = {};
  if (uid !== SAME_ID) changes.uid = uid;
  if (gid !== SAME_ID) changes.gid = gid;
  change(cx, answer, cx.paths.ino(path), undefined, changes);
};

export const truncate = (cx: NativeContext, answer: Answer, path: string, low: number, high: number): void =>
  change(cx, answer, cx.paths.ino(path), undefined, { size: sizeOf(low, high) });

export const ftruncate = (
  cx: NativeContext,
  answer: Answer,
  _path: string,
  number: number,
  low: number,
  high: number,
): void => {
  const { ino, fh } = cx.files.get(number);
  change(cx, answer, ino, fh, { size: sizeOf(low, high) });
};

const timeOf = (ms: number): TimeChange => {
  const sec = Math.floor(ms / 1000);
  return { sec, nsec: (ms - sec * 1000) * 1_000_000 };
};

export const utimens = (
  cx: NativeContext,
  answer: Answer,
  path: string,
  atimeLow: number,
  atimeHigh: number,
): void => {
  const times = utimensTimes(cx.locals, OP_UTIMENS, atimeLow, atimeHigh);
  if (!times.recovered)
    cx.warnOnce("this build of fuse-native loses utimens' mtime: atime is set as both", { path });
  const changes = { atime: timeOf(times.atimeMs), mtime: timeOf(times.mtimeMs) };
  change(cx, answer, cx.paths.ino(path), undefined, changes);
};

export const readlink = (cx: NativeContext, answer: Answer, path: string): void => {
  const target = Buffer.from(cx.vfs.readlink(cx.caller, cx.paths.ino(path)));
  const text = target.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(target))
    throw new FsError(Errno.EILSEQ, 'a target that is not UTF-8');
  answer(0, text);
};

export const statfs = (cx: NativeContext, answer: Answer): void => answer(0, statfsArray(cx.vfs.statfs()));

const xattrName = (cx: NativeContext, name: string): ByteName => nameOf(cx.platform.storedXattr(name));

/** Only macOS has positions: a part of a resource fork. */
export const setxattr = (
  cx: NativeContext,
  answer: Answer,
  path: string,
  name: string,
  value: Uint8Array,
  position: number,
  flags: number,
): void => {
  const ino = cx.paths.ino(path);
  const stored = xattrName(cx, name);
  if (position !== 0 && !cx.platform.xattrPositions) throw fsError('EINVAL', 'setxattr');
  const whole = position === 0 ? value : withPart(cx.vfs.getxattr(cx.caller, ino, stored), value, position);
  cx.vfs.setxattr(cx.caller, ino, stored, whole, cx.platform.xattrFlags(flags), false);
  answer(0);
};

/** `old` with `part` at `position`; a gap is zeros. */
export const withPart = (old: Uint8Array, part: Uint8Array, position: number): Uint8Array => {
  const whole = new Uint8Array(Math.max(old.length, position + part.length));
  whole.set(old);
  whole.set(part, position);
  return whole;
};

/** A size of 0 asks how large it is. The binding's own JavaScript would tell libfuse to pass on more than `into` holds. */
const give = (answer: Answer, value: Uint8Array, into: Uint8Array): void => {
  if (into.byteLength > 0) {
    if (value.byteLength > into.byteLength) throw fsError('ERANGE');
    into.set(value);
  }
  answer(value.byteLength);
};

export const getxattr = (
  cx: NativeContext,
  answer: Answer,
  path: string,
  name: string,
  into: Uint8Array,
  position: number,
): void => {
  const value = cx.vfs.getxattr(cx.caller, cx.paths.ino(path), xattrName(cx, name));
  give(answer, value.subarray(Math.min(position, value.byteLength)), into);
};

export const listxattr = (cx: NativeContext, answer: Answer, path: string, into: Uint8Array): void =>
  give(answer, cx.platform.shownXattrs(cx.vfs.listxattr(cx.caller, cx.paths.ino(path))), into);

export const removexattr = (cx: NativeContext, answer: Answer, path: string, name: string): void => {
  cx.vfs.removexattr(cx.caller, cx.paths.ino(path), xattrName(cx, name));
  answer(0);
};
