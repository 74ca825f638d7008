/** unlink, rmdir, and what happens when an unlinked inode is used no more. */
import { fsError } from '../base/errno.js';
import type { ByteName, Ino } from '../base/ids.js';
import type { Vnode } from '../vnode/vnode.js';
import { requireRemovable } from './flags.js';
import { clearName, requireName } from './namei.js';
import { withVnode, type FsState } from './state.js';

export const unlink = (fs: FsState, parent: Ino, name: ByteName): void => {
  fs.requireWritable('unlink');
  withVnode(fs, fs.vgetDir(parent), (dvp) => {
    const entry = requireName(fs, dvp, name);
    withVnode(fs, fs.vget(entry.ino), (vp) => {
      requireRemovable(dvp, vp, 'unlink');
      if (vp.isDir) throw fsError('EISDIR', 'unlink');
      fs.txgs.admit(0);
      clearName(fs, entry);
      dropLink(fs, vp);
    });
  });
};

export const rmdir = (fs: FsState, parent: Ino, name: ByteName): void => {
  fs.requireWritable('rmdir');
  withVnode(fs, fs.vgetDir(parent), (dvp) => {
    const entry = requireName(fs, dvp, name);
    withVnode(fs, fs.vget(entry.ino), (vp) => {
      requireRemovable(dvp, vp, 'rmdir');
      requireEmptyDir(vp);
      fs.txgs.admit(0);
      clearName(fs, entry);
      dropDir(fs, dvp, vp);
    });
  });
};

export const requireEmptyDir = (vp: Vnode): void => {
  if (!vp.isDir) throw fsError('ENOTDIR');
  if (vp.size !== 0) throw fsError('ENOTEMPTY');
};

/** One name less leads to the file `vp`. */
export const dropLink = (fs: FsState, vp: Vnode): void => {
  vp.nlink--;
  fs.changed(vp);
  if (vp.nlink === 0) fs.txgs.setOrphan(vp.ino, true);
};

/** The (empty) directory `vp` has lost its name in `dvp`. */
export const dropDir = (fs: FsState, dvp: Vnode, vp: Vnode): void => {
  vp.nlink = 0;
  dvp.nlink--;
  fs.changed(vp);
  fs.txgs.dirtyAttr(dvp);
  fs.txgs.setOrphan(vp.ino, true);
};

/** VOP_INACTIVE: nobody refers to the unlinked inode any more: its row and data go with the open group. */
export const inactive = (fs: FsState, vp: Vnode): void => {
  fs.txgs.clearOrphan(vp.ino);
  const { counters } = fs.txgs;
  counters.inodeCount--;
  counters.allocPages -= vp.allocPages;
  vp.allocPages = 0;
  if (vp.bufs) for (const buf of [...vp.bufs.values()]) fs.bufs.destroy(buf);
  vp.dirtyBufs = undefined;
  vp.removed = true;
  fs.txgs.enlist(vp);
};
