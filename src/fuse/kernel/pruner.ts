/**
 * Asks the kernel to let go of inodes whose vnodes the recycler has reclaimed, so that what it remembers of a mount
 * stays near the vnode budget too, however many files are walked. What is in use there (open, mapped, a working
 * directory, a mount point) stays: then nothing happens. The FORGETs that follow find no vnode, and cost nothing.
 *
 *   7.45 and later   FUSE_NOTIFY_PRUNE, {@link BATCH} inodes a message             (fs/fuse/notify.c, fuse_notify_prune)
 *   before           FUSE_NOTIFY_INVAL_ENTRY of the name by which the kernel last looked the inode up, and of no directory, since
 *                    that would detach what is mounted below it                       (fs/fuse/dir.c, fuse_reverse_inval_entry)
 *
 * Everything is written by the notifier thread: the kernel may have to write an inode's pages back first.
 *
 * INVARIANT: at most {@link WAITING_MAX} inodes wait; past that the oldest are not asked for.
 */
import type { ByteName, Ino } from '../../base/ids.js';
import { Errno } from '../../base/errno.js';
import type { Reclaimed } from '../../vfs/api.js';
import type { Notify } from './context.js';
import { encodeInvalEntry, encodePrune } from './notify.js';
import { PRUNE_MINOR } from './protocol.js';

/** Inodes asked for at a time. */
const BATCH = 512;
const WAITING_MAX = 64 * BATCH;
/** Batches that the notifier thread has not answered yet, at most. */
const UNDER_WAY_MAX = 2;
/** A batch that doesn't fill up is sent after this long. */
const LINGER_MS = 500;

interface Waiting {
  ino: Ino;
  parent: Ino;
  name: ByteName;
}

export class Pruner {
  /** Inodes asked for, notifications sent, and those that the kernel refused other than by not knowing the name. */
  inodes = 0;
  notifications = 0;
  refusals = 0;
  /** Inodes not asked for, since too many waited. */
  skipped = 0;
  readonly #notify: Notify;
  readonly #isResident: (ino: Ino) => boolean;
  #byInode = false;
  #running = false;
  #waiting: Waiting[] = [];
  #sinceMs = 0;
  #underWay = 0;

  /** `isResident`: the inode has a vnode again, so it is in use and isn't asked for. */
  constructor(notify: Notify, isResident: (ino: Ino) => boolean) {
    this.#notify = notify;
    this.#isResident = isResident;
  }

  /** INIT has been answered: the protocol is 7.`minor`. */
  start(minor: number): void {
    this.#byInode = minor >= PRUNE_MINOR;
    this.#running = true;
  }

  /** The session has ended: nothing is asked for any more. */
  stop(): void {
    this.#running = false;
    this.#waiting = [];
  }

  /** The vnode is gone, while the kernel remembers the inode. */
  add({ ino, isDir, seenParent: parent, seenName: name }: Reclaimed): void {
    if (!this.#running || (!this.#byInode && (isDir || name === ''))) return;
    if (this.#waiting.length === 0) this.#sinceMs = performance.now();
    this.#waiting.push({ ino, parent, name });
    if (this.#waiting.length > WAITING_MAX) {
      this.skipped += BATCH;
      this.#waiting.splice(0, BATCH);
    }
  }

  /** When {@link poll} should be called, on performance.now()'s scale. */
  get deadlineMs(): number {
    if (this.#waiting.length === 0 || this.#underWay >= UNDER_WAY_MAX) return Infinity;
    return this.#waiting.length >= BATCH ? 0 : this.#sinceMs + LINGER_MS;
  }

  /** Sends what is due. */
  poll(): void {
    while (performance.now() >= this.deadlineMs) {
      const batch = this.#waiting.splice(0, BATCH).filter(({ ino }) => !this.#isResident(ino));
      this.#sinceMs = performance.now();
      if (batch.length > 0) this.#send(batch);
    }
  }

  #send(batch: readonly Waiting[]): void {
    const messages = this.#byInode
      ? [encodePrune(batch.map(({ ino }) => ino))]
      : batch.map(({ parent, name }) => encodeInvalEntry(parent, name, false));
    this.inodes += batch.length;
    this.notifications += messages.length;
    this.#underWay++;
    this.#notify(messages, (errno) => {
      this.#underWay--;
      if (errno !== 0 && errno !== Errno.ENOENT) this.refusals++;
    });
  }
}
