/** Filesystem types by name, and mount structures made from them: vfsconf, vfs_rootmountalloc (sys/kern/vfs_mount.c). */
import { assert } from '../base/assert.js';
import { fsError } from '../base/errno.js';
import { MNT_RDONLY, mountInit, vfsBusy, type Mount, type MountOps } from './mount.js';
import type { VnodeCache } from './vnode-cache.js';

/** A filesystem type. */
export interface VfsConf {
  readonly name: string;
  readonly typenum: number;
  /** Mounts of this type that exist: vfc_refcount. */
  refcount: number;
}

/** Types that are registered, by name: vfsconf_list. */
export class VfsConfList {
  readonly #byName = new Map<string, VfsConf>();

  /** Registers a type and gives it its number, from 1. Requires that the name is new. */
  vfsconfAdd(name: string): VfsConf {
    assert(!this.#byName.has(name), 'vfsconfAdd: name taken');
    const vfc: VfsConf = { name, typenum: this.#byName.size + 1, refcount: 0 };
    this.#byName.set(name, vfc);
    return vfc;
  }

  vfsconfFindByName(name: string): VfsConf | undefined {
    return this.#byName.get(name);
  }
}

/**
 * Allocates a mount of the filesystem type `fstypename` for the device (here: store) `devname`. It starts read-only and
 * is returned *busy*: the caller sets it up, clears MNT_RDONLY if it may be written, inserts it into the mount list,
 * and calls vfsUnbusy; or gives it back by {@link mountFree}. Throws ENODEV for an unknown type. (vfs_rootmountalloc)
 */
export const vfsRootmountalloc = (
  vnodes: VnodeCache,
  fstypename: string,
  devname: string,
  ops: MountOps,
): Mount => {
  const vfc = vnodes.vfsconf.vfsconfFindByName(fstypename);
  if (vfc === undefined) throw fsError('ENODEV', 'vfs_rootmountalloc');
  const mp = mountInit(vnodes, vfc, ops, true);
  vfsBusy(mp, 0);
  vfc.refcount++;
  mp.flag |= MNT_RDONLY;
  mp.stat.mntfromname = devname;
  return mp;
};

/** The end of a mount that is on no list and has no vnodes any more but its syncer vnode. (mount_drop) */
export const mountFree = (mp: Mount): void => {
  assert(!mp.listed && mp.queueSize === 0, 'mountFree: in use');
  mp.vnodes.freeSyncvnode(mp);
  mp.vfc.refcount--;
};
