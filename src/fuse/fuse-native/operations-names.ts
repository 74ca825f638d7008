/** Operations on names: mknod, mkdir, symlink, link, unlink, rmdir, rename, readdir. */
import { Errno, fsError, FsError } from '../../base/errno.js';
import type { Ino } from '../../base/ids.js';
import { type Attributes, WouldBlock } from '../../vfs/api.js';
import type { Answer, NativeContext } from './context.js';
import { isHiddenName } from './hidden-files.js';
import { REPLACEMENT, textOf } from './paths.js';
import { putEntryStat, STAT_WORDS } from './stat-array.js';

/** The kernel has applied the caller's umask: DONT_MASK is not negotiated. */
const NO_UMASK = 0;

const drop = (cx: NativeContext, vp: Attributes, answer: Answer): void => {
  cx.vfs.vrele(vp);
  answer(0);
};

export const mknod = (cx: NativeContext, answer: Answer, path: string, mode: number, rdev: number): void => {
  const { parent, name } = cx.paths.place(path);
  drop(cx, cx.vfs.mknod(cx.caller, parent, name, mode, cx.platform.storedRdev(rdev), NO_UMASK), answer);
};

export const mkdir = (cx: NativeContext, answer: Answer, path: string, mode: number): void => {
  const { parent, name } = cx.paths.place(path);
  drop(cx, cx.vfs.mkdir(cx.caller, parent, name, mode, NO_UMASK), answer);
};

export const symlink = (cx: NativeContext, answer: Answer, target: string, path: string): void => {
  const { parent, name } = cx.paths.place(path);
  if (target.includes(REPLACEMENT)) throw new FsError(Errno.EILSEQ, 'a target that is not UTF-8');
  drop(cx, cx.vfs.symlink(cx.caller, parent, name, Buffer.from(target, 'utf8')), answer);
};

export const link = (cx: NativeContext, answer: Answer, from: string, to: string): void => {
  const ino = cx.paths.ino(from);
  const { parent, name } = cx.paths.place(to);
  drop(cx, cx.vfs.link(cx.caller, ino, parent, name), answer);
};

export const unlink = (cx: NativeContext, answer: Answer, path: string): void => {
  const { parent, name } = cx.paths.place(path);
  // libfuse clears away what it hid after the last close: the inode has gone with its last handle.
  if (cx.hidden.inoAt(parent, name) === undefined) cx.vfs.unlink(cx.caller, parent, name);
  answer(0);
};

/**
 * EBUSY, as over NFS, while a file unlinked from the directory is still open: libfuse would find it no more, and its
 * data would be lost to whoever has it open.
 */
const requireUnneeded = (cx: NativeContext, directory: Ino): void => {
  const busy = cx.hidden.size > 0 && cx.hidden.hasIn(directory);
  if (busy === true) throw fsError('EBUSY', 'rmdir');
  if (busy !== false) throw new WouldBlock(busy);
};

export const rmdir = (cx: NativeContext, answer: Answer, path: string): void => {
  const { parent, name } = cx.paths.place(path);
  if (cx.hidden.size > 0) requireUnneeded(cx, cx.paths.ino(path));
  cx.vfs.rmdir(cx.caller, parent, name);
  answer(0);
};

const inoOrNone = (cx: NativeContext, path: string): Ino | undefined => {
  try {
    return cx.paths.ino(path);
  } catch (error) {
    if (error instanceof FsError && error.errno === Errno.ENOENT) return undefined;
    throw error;
  }
};

/**
 * Unlike the others it is called with an unlink pending, which it may be the second half of: see hidden-files.ts.
 * Should the replacing fail, the old file keeps its name.
 */
export const rename = (cx: NativeContext, answer: Answer, from: string, to: string): void => {
  const source = cx.paths.place(from);
  const target = cx.paths.place(to);
  const replaces = cx.hidden.isPending(target.parent, target.name);
  if (!replaces) cx.settle();
  if (target.parent === source.parent && isHiddenName(target.name)) {
    const ino = cx.paths.ino(from);
    if (cx.files.isOpen(ino)) {
      cx.hidden.hide(source, target, ino);
      answer(0);
      return;
    }
  }
  if (cx.hidden.size > 0 && !replaces) {
    const replaced = inoOrNone(cx, to);
    if (replaced !== undefined) requireUnneeded(cx, replaced);
  }
  try {
    cx.vfs.rename(cx.caller, source.parent, source.name, target.parent, target.name, 0);
  } catch (error) {
    if (replaces && error instanceof FsError) cx.hidden.settled();
    throw error;
  }
  if (replaces) cx.hidden.settled();
  answer(0);
};

/** The whole directory in one answer: the binding passes no offset. libfuse keeps it until the directory is closed. */
export const readdir = (cx: NativeContext, answer: Answer, path: string): void => {
  const ino = cx.paths.ino(path);
  const names: string[] = [];
  const inos: number[] = [];
  const types: number[] = [];
  let cookie = 0;
  for (let before = -1; names.length !== before;) {
    before = names.length;
    cx.vfs.readdir(cx.caller, ino, cookie, (name, entryIno, type, next) => {
      const text = textOf(name);
      if (text.includes(REPLACEMENT))
        cx.warnOnce('names that are not UTF-8 can be listed but not opened over fuse-native', { path });
      names.push(text);
      inos.push(entryIno);
      types.push(type);
      cookie = next;
      return true;
    });
  }
  const words = new Uint32Array(names.length * STAT_WORDS);
  const stats = names.map((_, i) =>
    putEntryStat(words.subarray(i * STAT_WORDS, (i + 1) * STAT_WORDS), inos[i], types[i]),
  );
  answer(0, names, stats);
};
