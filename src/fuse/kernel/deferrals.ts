/**
 * Requests that wait (the core threw WouldBlock): each with a copy of its message, since the read buffer is used again,
 * and the means to stop waiting.
 *
 * Invariant: a request is in the table exactly while its channel holds a wake for it.
 */
import { Errno } from '../../base/errno.js';
import type { WaitChannel } from '../../vfs/api.js';
import type { Reply } from './reply.js';
import type { Request } from './request.js';

interface Deferred {
  readonly reply: Reply;
  readonly cancel: () => void;
}

export class Deferrals {
  /** By unique id. */
  readonly #waiting = new Map<number, Deferred>();
  readonly #rerun: (req: Request, reply: Reply) => void;
  /** Requests that have waited at least once. */
  total = 0;

  /** `rerun` handles a request from its start. */
  constructor(rerun: (req: Request, reply: Reply) => void) {
    this.#rerun = rerun;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** `req` must own its buffer. */
  add(req: Request, reply: Reply, channel: WaitChannel): void {
    const { unique } = req;
    this.total++;
    const cancel = channel.wait(() => {
      this.#waiting.delete(unique);
      this.#rerun(req, reply);
    });
    this.#waiting.set(unique, { reply, cancel });
  }

  /**
   * FUSE_INTERRUPT: a waiting request is answered EINTR. One that isn't here has been answered, or waits for a barrier,
   * which is not interruptible: nothing to do. (The kernel sends an INTERRUPT only after the request itself has been
   * read.)
   */
  interrupt(unique: number): void {
    const deferred = this.#waiting.get(unique);
    if (deferred === undefined) return;
    this.#waiting.delete(unique);
    deferred.cancel();
    deferred.reply.errno(Errno.EINTR);
  }

  /** The connection has ended: nobody waits for an answer. */
  dropAll(): void {
    for (const { cancel } of this.#waiting.values()) cancel();
    this.#waiting.clear();
  }
}
