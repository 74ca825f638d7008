/**
 * rename(2) and renameat2(2). The kernel holds the directories' locks (and so forbids loops) for calls that
 * come through it.
 */
import { fsError } from '../base/errno.js';
import { ROOT_INO, asIno, type ByteName, type Ino } from '../base/ids.js';
import type { NameEntry } from '../vnode/name-cache.js';
import type { Vnode } from '../vnode/vnode.js';
import type { Caller } from './api.js';
import { addNode } from './create.js';
import { requireAddable, requireRemovable } from './flags.js';
import { clearName, findName, requireName, setName } from './namei.js';
import { dropDir, dropLink, requireEmptyDir } from './remove.js';
import { LINK_MAX, withVnode, type FsState } from './state.js';

const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const RENAME_WHITEOUT = 4;
const S_IFCHR = 0o020000;

export const rename = (
  fs: FsState,
  caller: Caller,
  parent: Ino,
  name: ByteName,
  newParent: Ino,
  newName: ByteName,
  flags: number,
): void => {
  fs.requireWritable('rename');
  const exclusive = (flags & RENAME_EXCHANGE) !== 0 && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)) !== 0;
  if (flags & ~7 || exclusive) throw fsError('EINVAL', 'rename');
  withVnode(fs, fs.vgetDir(parent), (fdvp) =>
    withVnode(fs, fs.vgetDir(newParent), (tdvp) => {
      const from = requireName(fs, fdvp, name);
      const to = findName(fs, tdvp, newName);
      if (tdvp.nlink === 0) throw fsError('ENOENT', 'rename');
      if (flags & RENAME_WHITEOUT) fs.requireInode();
      withVnode(fs, fs.vget(from.ino), (vp) => {
        requireRemovable(fdvp, vp, 'rename');
        if (vp.isDir && fdvp !== tdvp) requireNotBelow(fs, vp, tdvp);
        if (to === undefined || to.ino === 0) {
          if (flags & RENAME_EXCHANGE) throw fsError('ENOENT', 'rename');
          requireAddable(tdvp, 'rename');
          moveTo(fs, from, vp, fdvp, tdvp, newName, undefined);
        } else {
          withVnode(fs, fs.vget(to.ino), (target) => {
            if (flags & RENAME_NOREPLACE) throw fsError('EEXIST', 'rename');
            requireRemovable(tdvp, target, 'rename');
            if (flags & RENAME_EXCHANGE) exchange(fs, from, to, vp, target);
            else if (vp !== target) replace(fs, from, vp, fdvp, tdvp, newName, target);
          });
        }
        if (flags & RENAME_WHITEOUT) whiteout(fs, caller, fdvp, name);
      });
    }),
  );
};

/** EINVAL if `dvp` is `vp` or lies below it. */
const requireNotBelow = (fs: FsState, vp: Vnode, dvp: Vnode): void => {
  let ino = dvp.ino;
  while (ino !== ROOT_INO) {
    if (ino === vp.ino) throw fsError('EINVAL', 'rename');
    ino = withVnode(fs, fs.vget(ino), (up) => asIno(up.parent));
  }
};

const replace = (
  fs: FsState,
  from: NameEntry,
  vp: Vnode,
  fdvp: Vnode,
  tdvp: Vnode,
  newName: ByteName,
  target: Vnode,
): void => {
  if (vp.isDir) requireEmptyDir(target);
  else if (target.isDir) throw fsError('EISDIR', 'rename');
  moveTo(fs, from, vp, fdvp, tdvp, newName, target);
};

const moveTo = (
  fs: FsState,
  from: NameEntry,
  vp: Vnode,
  fdvp: Vnode,
  tdvp: Vnode,
  newName: ByteName,
  target: Vnode | undefined,
): void => {
  const changesParent = vp.isDir && fdvp !== tdvp;
  if (changesParent && target === undefined && tdvp.nlink >= LINK_MAX) throw fsError('EMLINK', 'rename');
  fs.txgs.admit(0);
  clearName(fs, from);
  setName(fs, tdvp, newName, vp.ino, vp.mode);
  if (target !== undefined) {
    if (target.isDir) dropDir(fs, tdvp, target);
    else dropLink(fs, target);
  }
  if (changesParent) {
    fdvp.nlink--;
    tdvp.nlink++;
    vp.parent = tdvp.ino;
  }
  fs.changed(vp);
};

const exchange = (fs: FsState, from: NameEntry, to: NameEntry, vp: Vnode, target: Vnode): void => {
  const fdvp = from.dvp;
  const tdvp = to.dvp;
  if (target.isDir && fdvp !== tdvp) requireNotBelow(fs, target, fdvp);
  fs.txgs.admit(0);
  setName(fs, fdvp, from.name, target.ino, target.mode);
  setName(fs, tdvp, to.name, vp.ino, vp.mode);
  if (fdvp !== tdvp) {
    if (vp.isDir) {
      vp.parent = tdvp.ino;
      fdvp.nlink--;
      tdvp.nlink++;
    }
    if (target.isDir) {
      target.parent = fdvp.ino;
      tdvp.nlink--;
      fdvp.nlink++;
    }
  }
  fs.changed(vp);
  fs.changed(target);
};

/** What overlayfs leaves where a file was: a character device 0/0. */
const whiteout = (fs: FsState, caller: Caller, fdvp: Vnode, name: ByteName): void => {
  fs.vnodes.vrele(addNode(fs, caller, fdvp, name, { mode: S_IFCHR, rdev: 0, umask: 0 }));
};
