/**
 * The end of a mount, the filesystem's part of dounmount (sys/kern/vfs_syscalls.c):
 *
 *   begin       nobody gets the mount busy any more; operations wait
 *   forgetAll   the kernel has let go: it remembers no inode
 *   finish      sync, take the vnodes away by slices, force-close what is open (removing what is unlinked, and syncing again),
 *               leave the mount list
 *   discard     the other end, of a mount that can't be synced: whatever was dirty is given up
 *
 * INVARIANT: while `flushing` no request comes to the mount; whoever runs the core calls flushSlice between other work.
 */
import { assert } from '../base/assert.js';
import type { FsError } from '../base/errno.js';
import type { Ino } from '../base/ids.js';
import { MNTK_UNMOUNT, unmountBegin, vfsUnbusy } from '../vnode/mount.js';
import { VMSC_GETVP, vmntvnodescan } from '../vnode/mount-queue.js';
import { mountFree } from '../vnode/vfs-conf.js';
import { FORCECLOSE, vflush, vflushSlices, type BusyVnode } from '../vnode/vflush.js';
import { release } from './open.js';
import type { FsState } from './state.js';

/** Hears of the vnodes that were open, or the error of a failed sync. */
export type UnmountDone = (error: FsError | undefined, open: readonly BusyVnode[]) => void;

export class Unmount {
  readonly #fs: FsState;
  readonly #openAtEnd = new Map<Ino, BusyVnode>();
  #flush: { slices: Generator<undefined, number>; done: UnmountDone } | undefined = undefined;

  constructor(fs: FsState) {
    this.#fs = fs;
  }

  /**
   * From now on operations wait (and end with ENOENT), unless {@link unmountRefused} is called. Throws EBUSY if an
   * unmount runs already.
   */
  begin(): void {
    this.#fs.vnodes.mountlist.mountlistInterlock(unmountBegin, this.#fs.mp);
  }

  /** The kernel has let go of the mount: it remembers no inode of it. */
  forgetAll(): void {
    const { mp, vnodes } = this.#fs;
    vmntvnodescan(
      mp,
      VMSC_GETVP,
      (_mp, vp) => (vp.lookupCount === 0 && !vp.lookupCountLost ? -1 : 0),
      (_mp, vp) => {
        vp.lookupCountLost = false;
        vnodes.forget(vp, vp.lookupCount);
        return 0;
      },
    );
  }

  /**
   * After {@link begin} and {@link forgetAll}. `done` is called once; with an error: then call this again when the
   * store works. While {@link flushing}, {@link flushSlice} must be called.
   */
  finish(done: UnmountDone): void {
    const { mp, vnodes } = this.#fs;
    vnodes.bioOps.bioOpsSync(mp, (error) => {
      if (error !== undefined) return done(error, []);
      if (mp.gone || this.flushing) return;
      this.#flush = { slices: this.#flushAll(), done };
      this.flushSlice();
    });
  }

  /** Vnodes are being taken away. */
  get flushing(): boolean {
    return this.#flush !== undefined;
  }

  /** One slice of it, if there is one. */
  flushSlice(): void {
    if (this.#flush === undefined) return;
    const { slices, done } = this.#flush;
    const slice = slices.next();
    if (slice.done !== true) return;
    this.#flush = undefined;
    const { mp } = this.#fs;
    if (slice.value > 0) return this.finish(done);
    // Another barrier that was waiting for this same commit: it is told right after us.
    if (mp.busyCount > 0) return void mp.drained.wait(() => this.finish(done));
    this.#leave();
    done(undefined, [...this.#openAtEnd.values()]);
  }

  /** Returns how many vnodes are left: removing an unlinked file is a change, to be committed first. */
  *#flushAll(): Generator<undefined, number> {
    const { mp } = this.#fs;
    const { busy } = yield* vflushSlices(mp, 1, 0);
    for (const vnode of busy) if (vnode.openCount > 0) this.#openAtEnd.set(vnode.ino, vnode);
    if (busy.length === 0) return 0;
    return (yield* vflushSlices(mp, 1, FORCECLOSE)).busy.length;
  }

  /**
   * The end of a mount that can't be synced, or was never listed: every vnode and page goes, whatever was dirty.
   * `abandon` gives up the transaction groups. Does nothing after {@link finish} has done its work.
   */
  discard(abandon: () => void): void {
    const { mp } = this.#fs;
    if (mp.gone) {
      abandon();
      return;
    }
    mp.kernFlag |= MNTK_UNMOUNT;
    this.#flush?.slices.return(0);
    this.#flush = undefined;
    this.forgetAll();
    vflush(mp, 0, FORCECLOSE);
    abandon();
    if (!mp.listed) vfsUnbusy(mp);
    const { busy } = vflush(mp, mp.rootVnode === undefined ? 0 : 1, FORCECLOSE);
    assert(busy.length === 0, 'discard: vnodes left');
    this.#leave();
  }

  /** Nothing of the mount is left but its handles, all dead, and its place on the lists. */
  #leave(): void {
    const { mp, vnodes, handles } = this.#fs;
    for (const fh of [...handles.keys()]) release(this.#fs, fh);
    if (mp.bioOps !== undefined) vnodes.bioOps.remBioOps(mp.bioOps);
    mp.bioOps = undefined;
    if (vnodes.mountlist.mountlistExists(mp)) vnodes.mountlist.mountlistRemove(mp);
    mp.gone = true;
    mountFree(mp);
  }
}
