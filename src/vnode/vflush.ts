/**
 * vflush: takes the vnodes of a mount away, before it is unmounted, made read-only, or cut off. After
 * sys/kern/vfs_mount.c (vflush, vflush_scan).
 *
 * Where a user-space daemon must differ:
 *  - vgone can't write: the changes of a vnode belong to a transaction group. So the caller syncs first (as dounmount
 *    does too), and a vnode that is still held by a group is busy whatever the flags.
 *  - An unlinked file that is force-closed is removed from the store by the open group; it goes with its commit. Until
 *    then it is off limits (its handles are dead), and busy.
 *  - Devices are force-closed as other files: the kernel never opens them through us.
 */
import { assert } from '../base/assert.js';
import type { Ino } from '../base/ids.js';
import type { Mount } from './mount.js';
import { atOneGo, VMSC_GETVX, vmntvnodescanSlices } from './mount-queue.js';
import { VFlag, VType, type Vnode, type VTypeValue } from './vnode.js';

/** Skip vnodes marked VSYSTEM. */
export const SKIPSYSTEM = 1;
/** Also force-close. */
export const FORCECLOSE = 2;
/** Consider only regular files open for writing, and files that are unlinked but open. */
export const WRITECLOSE = 4;

/** Why a vnode stayed. */
export interface BusyVnode {
  readonly ino: Ino;
  readonly type: VTypeValue;
  /** References, the scan's own excepted. */
  readonly useCount: number;
  /** > 0: changes not committed yet. */
  readonly holdCount: number;
  readonly openCount: number;
  readonly writeCount: number;
  readonly nlink: number;
}

export interface VflushResult {
  /** What is left; the counterpart of EBUSY is that it isn't empty. */
  readonly busy: readonly BusyVnode[];
  /** Vnodes taken away; of these, with open handles that are dead now. */
  readonly gone: number;
  readonly forced: number;
}

interface VflushInfo {
  readonly flags: number;
  readonly busy: BusyVnode[];
  gone: number;
  forced: number;
}

/**
 * Takes away every vnode that `flags` (SKIPSYSTEM, WRITECLOSE, FORCECLOSE) allow. `rootrefs` is the number of references
 * that the mount itself has on its root: the root isn't busy by those, and after success they have been dropped. With
 * SKIPSYSTEM or WRITECLOSE it must be 0. Open handles of a vnode that went by force answer EIO from now on; closing
 * them succeeds. Yields every 10,000 vnodes, so that the other mounts of the daemon are served between; nobody may use this one
 * meanwhile.
 */
export function* vflushSlices(
  mp: Mount,
  rootrefs: number,
  flags: number,
): Generator<undefined, VflushResult> {
  assert(rootrefs === 0 || (flags & (SKIPSYSTEM | WRITECLOSE)) === 0, 'vflush: bad arguments');
  const root = rootrefs > 0 ? mp.rootVnode : undefined;
  const info: VflushInfo = { flags, busy: [], gone: 0, forced: 0 };
  yield* vmntvnodescanSlices(mp, VMSC_GETVX, undefined, (_mp, vp) => vflushScan(mp, vp, info));
  if (root !== undefined && (flags & FORCECLOSE) === 0) killRoot(mp, root, rootrefs, info);
  const { busy, gone, forced } = info;
  if (busy.length === 0 && root !== undefined) {
    for (let left = rootrefs; left > 0; left--) mp.vnodes.vrele(root);
    mp.rootVnode = undefined;
  }
  return { busy, gone, forced };
}

/** As {@link vflushSlices}, at one go. */
export const vflush = (mp: Mount, rootrefs: number, flags: number): VflushResult =>
  atOneGo(vflushSlices(mp, rootrefs, flags));

/** If the root alone is busy, and only by the mount's own references, it goes too. */
const killRoot = (mp: Mount, root: Vnode, rootrefs: number, info: VflushInfo): void => {
  assert(root.useCount >= rootrefs, 'vflush: rootrefs');
  if (info.busy.length !== 1 || root.useCount !== rootrefs || root.holdCount !== 0) return;
  assert(info.busy[0].ino === root.ino, 'vflush: another vnode is busy');
  mp.vnodes.vxGet(root);
  mp.vnodes.vgone(root);
  mp.vnodes.vxPut(root);
  info.busy.length = 0;
  info.gone++;
};

/** Called with `vp` exclusively locked and referenced once by the scan. (vflush_scan) */
const vflushScan = (mp: Mount, vp: Vnode, info: VflushInfo): number => {
  const { flags } = info;
  if ((flags & SKIPSYSTEM) !== 0 && (vp.flag & VFlag.VSYSTEM) !== 0) return 0;
  const writes = vp.writeCount > 0 && vp.type === VType.VREG;
  if ((flags & WRITECLOSE) !== 0 && vp.nlink > 0 && !writes) return 0;
  const unlinked = vp.nlink === 0 && !vp.removed;
  // What the kernel remembers of a linked inode can be loaded again; an unlinked one would be lost to it.
  const used = vp.useCount > 1 || (unlinked && (vp.lookupCount > 0 || vp.lookupCountLost));
  if (!used || (flags & FORCECLOSE) !== 0) {
    if (unlinked) mp.ops.inactive(vp);
    if (vp.holdCount === 0) {
      if (vp.openCount > 0) info.forced++;
      info.gone++;
      mp.vnodes.vgone(vp);
      return 0;
    }
  }
  info.busy.push({
    ino: vp.ino,
    type: vp.type,
    useCount: vp.useCount - 1,
    holdCount: vp.holdCount,
    openCount: vp.openCount,
    writeCount: vp.writeCount,
    nlink: vp.nlink,
  });
  return 0;
};
