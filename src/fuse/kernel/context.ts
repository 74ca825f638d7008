/** What the request handlers share: one for each session. */
import type { Vfs } from '../../vfs/api.js';
import type { AttrView } from './encode.js';
import type { Reply } from './reply.js';
import type { ReplyWriter } from './reply-writer.js';
import type { Request } from './request.js';

/** Writes whole notifications one after the other; `done` gets 0, or the errno of the last that failed. */
export type Notify = (messages: readonly Uint8Array[], done: (errno: number) => void) => void;

export interface HandlerContext {
  readonly vfs: Vfs;
  readonly writer: ReplyWriter;
  readonly attrView: AttrView;
  /** Whether STATX is answered at all. */
  readonly birthTimes: boolean;
  /** Known after INIT: bytes of setxattr_in as this kernel sends it. */
  setxattrHeadBytes: number;
  /**
   * Sends notifications from another thread (see notify.ts); `done` comes later, with 0 or an errno. Undefined
   * without such a thread.
   */
  readonly notify: Notify | undefined;
  /** Runs the rest of a deferred answer: what it throws is answered as an error. */
  complete(reply: Reply, body: () => void): void;
  /** FUSE_INTERRUPT of the request `unique`. */
  interrupt(unique: number): void;
}

/**
 * Handles one opcode: decodes, calls the core, answers exactly once. `req` is valid only until it returns. What
 * the core throws goes through;
 * the session turns it into an answer or a deferral (see vfs/api.ts). The body has at least bodyBytesMin bytes.
 */
export type Handler = (cx: HandlerContext, req: Request, reply: Reply) => void;
