/**
 * Force-closing files while the kernel still has the mount: the middle step of an unmount, between the kernel's
 * write-back and the detaching. Operations that come meanwhile wait (MNTK_UNMOUNT); then they go on, or end with the
 * mount.
 *
 *   writers  what is open for writing or unlinked (WRITECLOSE); the mount is read-only from then on. Refused, with nothing
 *            changed, if the changes so far can't be committed.
 *   all      everything (FORCECLOSE). Never refused: what a failing store keeps dirty stays for the last commit.
 */
import type { FsError } from '../base/errno.js';
import type { Ino } from '../base/ids.js';
import { MNT_RDONLY, MNTK_UNMOUNT, unmountBegin, unmountRefused } from '../vnode/mount.js';
import { vmntvnodescan } from '../vnode/mount-queue.js';
import { FORCECLOSE, vflush, WRITECLOSE } from '../vnode/vflush.js';
import { VType, type Vnode } from '../vnode/vnode.js';
import type { FileSystem } from './filesystem.js';
import { pathsOf } from './paths.js';

export interface ClosedFiles {
  /** False: refused. */
  done: boolean;
  /** Files whose handles are dead now, relative to the mount point. */
  paths: string[];
  /** What went wrong; empty if nothing did. */
  trouble: string;
}

/** Removing an unlinked file is a change, to be committed before its vnode can go: at most so often. */
const ROUNDS_MAX = 4;

const isOpenFor = (vp: Vnode, how: 'writers' | 'all'): boolean =>
  vp.openCount > 0 &&
  (how === 'all' || vp.nlink === 0 || (vp.writeCount > 0 && vp.type === VType.VREG)) &&
  !vp.removed;

/**
 * Calls `done` once, later or at once; never, if commits hang or the unmount is overtaken by the end of the connection: the
 * caller has a deadline. Throws EBUSY if an unmount runs already.
 */
export const closeFiles = (
  fs: FileSystem,
  how: 'writers' | 'all',
  done: (closed: ClosedFiles) => void,
): void => {
  const { mount, state } = fs;
  state.vnodes.mountlist.mountlistInterlock(unmountBegin, mount);
  const wasReadOnly = fs.readOnly;
  const paths = new Map<Ino, string>();
  const answer = (closed: boolean, error: FsError | undefined): void => {
    if (how === 'writers') unmountRefused(mount); // the sleepers go on, on what is left
    const trouble = error === undefined ? '' : `not committed: ${error.message}`;
    done({ done: closed, paths: [...paths.values()], trouble });
  };
  const step = (round: number): void => {
    state.vnodes.bioOps.bioOpsSync(mount, (error) => {
      if (mount.gone || (mount.kernFlag & MNTK_UNMOUNT) === 0) return;
      if (error !== undefined && how === 'writers') {
        if (!wasReadOnly) mount.flag &= ~MNT_RDONLY;
        return answer(false, error);
      }
      if (mount.busyCount > 0 && error === undefined) {
        mount.drained.wait(() => step(round));
        return;
      }
      const open: Ino[] = [];
      vmntvnodescan(
        mount,
        0,
        (_mp, vp) => (isOpenFor(vp, how) ? open.push(vp.ino) - open.length : 0),
        undefined,
      );
      for (const [ino, path] of pathsOf(mount, open)) {
        paths.set(ino, path);
        state.refusedWrites.paths.set(ino, path);
      }
      const { busy } = vflush(mount, 0, how === 'writers' ? WRITECLOSE | FORCECLOSE : FORCECLOSE);
      const held = busy.some(({ holdCount }) => holdCount > 0);
      if (held && error === undefined && round < ROUNDS_MAX) step(round + 1);
      else answer(true, error);
    });
  };
  if (how === 'writers') mount.flag |= MNT_RDONLY;
  step(1);
};
