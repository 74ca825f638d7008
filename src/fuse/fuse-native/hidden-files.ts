/**
 * libfuse 2.9 has no word for an open file without a name: instead of unlinking one it renames it to `.fuse_hidden…` in
 * the same directory, and unlinks that after the last close (lib/fuse.c, hide_node). Here such a rename *is* the
 * unlink: the name goes, the open handles keep the inode, and only libfuse's own requests still know the hidden path.
 * So nobody sees hidden files, links count right, and a crash leaves nothing that isn't reaped at the next mount.
 *
 *   none → pending   the rename came: either an unlink, or the first half of a rename over an open file
 *   pending → hidden the unlink is carried out: by the next request, sync or turn of the event loop
 *   pending → none   the next request was the second half: a rename *to* that name, which replaces it in one step
 *   hidden → none    the last handle was closed
 *
 * INVARIANT: an inode in this table has an open handle. At most one unlink is pending.
 */
import type { ByteName, Ino } from '../../base/ids.js';
import { type WaitChannel, Wakeup } from '../../base/wait.js';
import type { Place } from './paths.js';

/** As hidden_name makes them: the node's number and a counter. */
const HIDDEN_NAME = /^\.fuse_hidden[0-9a-f]{16}$/;

export const isHiddenName = (name: string): boolean => HIDDEN_NAME.test(name);

/**
 * The kernel sends RELEASE after close(2) has returned: so long a file that was unlinked as open may turn out to have
 * been closed before.
 */
const RELEASE_MS = 500;

const keyOf = (parent: Ino, name: ByteName): string => `${parent}/${name}`;

export class HiddenFiles {
  readonly #byPlace = new Map<string, { ino: Ino; parent: Ino; sinceMs: number }>();
  readonly #released = new Wakeup();
  #pending: Place | undefined;

  get size(): number {
    return this.#byPlace.size;
  }

  /** The name whose unlink is still to be carried out. */
  get pending(): Place | undefined {
    return this.#pending;
  }

  isPending(parent: Ino, name: ByteName): boolean {
    const pending = this.#pending;
    return pending !== undefined && pending.name === name && pending.parent === parent;
  }

  /** `ino`, open, is known to libfuse as `to` from now on; `from` is to be unlinked. Requires that none is pending. */
  hide(from: Place, to: Place, ino: Ino): void {
    this.#byPlace.set(keyOf(to.parent, to.name), { ino, parent: to.parent, sinceMs: performance.now() });
    this.#pending = from;
  }

  /** The pending unlink has been carried out, or a rename has replaced the name. */
  settled(): void {
    this.#pending = undefined;
  }

  inoAt(parent: Ino, name: ByteName): Ino | undefined {
    return this.#byPlace.size === 0 ? undefined : this.#byPlace.get(keyOf(parent, name))?.ino;
  }

  /**
   * Whether libfuse would lose open files if this directory went: their paths lead through it. If they may yet be
   * closed by a request on its way, the channel of that instead.
   */
  hasIn(directory: Ino): boolean | WaitChannel {
    let youngestMs: number | undefined;
    for (const { parent, sinceMs } of this.#byPlace.values()) {
      if (parent === directory) youngestMs = Math.max(youngestMs ?? 0, sinceMs);
    }
    if (youngestMs === undefined) return false;
    const leftMs = youngestMs + RELEASE_MS - performance.now();
    return leftMs <= 0 ? true : { wait: (wake) => this.#wait(wake, leftMs) };
  }

  /** For a file to be closed, and at most `limitMs`. */
  #wait(wake: () => void, limitMs: number): () => void {
    let waking: NodeJS.Immediate | undefined;
    const stop = (): void => {
      clearTimeout(timer);
      stopWaiting();
    };
    const wakeLater = (): void => {
      stop(); // whichever of the two came first
      waking = setImmediate(wake); // outside of the release that this may be called from
    };
    const timer = setTimeout(wakeLater, limitMs);
    const stopWaiting = this.#released.wait(wakeLater);
    return () => {
      stop();
      clearImmediate(waking);
    };
  }

  /** The last handle of `ino` was closed. */
  forget(ino: Ino): void {
    for (const [key, entry] of this.#byPlace) if (entry.ino === ino) this.#byPlace.delete(key);
    this.#released.wakeAll();
  }
}
