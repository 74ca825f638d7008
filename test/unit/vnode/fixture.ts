/** A vnode cache without a store: inodes are made up on demand. */
import { asIno } from '../../../src/base/ids.js';
import { BufCache } from '../../../src/vnode/buf-cache.js';
import {
  type Mount,
  MNT_RDONLY,
  vfsUnbusy,
  type MountAudit,
  type MountOps,
} from '../../../src/vnode/mount.js';
import { MNTINS_LAST } from '../../../src/vnode/mount-list.js';
import { NameCache } from '../../../src/vnode/name-cache.js';
import { PagePool } from '../../../src/vnode/page-pool.js';
import { vfsRootmountalloc } from '../../../src/vnode/vfs-conf.js';
import { vfsSetfsid } from '../../../src/vnode/fsid.js';
import { VnodeCache } from '../../../src/vnode/vnode-cache.js';
import { S_IFREG, VType, type Vnode } from '../../../src/vnode/vnode.js';

export const newCache = (max = 1000, pages = 64): VnodeCache => {
  const cache = new VnodeCache(new BufCache(PagePool.ofPages(pages)), new NameCache(1000), max);
  cache.vfsconf.vfsconfAdd('test');
  return cache;
};

const noAudit = (): MountAudit => ({
  open: new Set(),
  sealed: new Set(),
  sealedFrames: 0,
  orphanedFrames: [],
  wrong: [],
});

/** A mount of the type 'test', set up but neither on the list nor released (busyCount 1). */
export const allocMount = (cache: VnodeCache, name: string, ops: Partial<MountOps> = {}): Mount => {
  const mp = vfsRootmountalloc(cache, 'test', name, {
    loadInode: () => undefined,
    inactive: () => undefined,
    audit: noAudit,
    ...ops,
  });
  mp.flag &= ~MNT_RDONLY;
  return mp;
};

/** A mount on the list. */
export const newMount = (cache: VnodeCache, name: string, ops: Partial<MountOps> = {}): Mount => {
  const mp = allocMount(cache, name, ops);
  vfsSetfsid(mp, { val0: cache.mountlist.size, val1: 1 });
  cache.mountlist.mountlistInsert(mp, MNTINS_LAST);
  vfsUnbusy(mp);
  return mp;
};

/** A regular file, set up and with one reference. */
export const newVnode = (mp: Mount, ino: number): Vnode => {
  const vp = mp.vnodes.getnewvnode(mp, asIno(ino));
  vp.type = VType.VREG;
  vp.mode = S_IFREG;
  vp.nlink = 1;
  mp.vnodes.vxUnlock(vp);
  return vp;
};

/** As {@link newVnode}, unreferenced. */
export const idleVnode = (mp: Mount, ino: number): Vnode => {
  const vp = newVnode(mp, ino);
  mp.vnodes.vrele(vp);
  return vp;
};
