/** What the request handlers share: one for each session. */
import type { Vfs } from '../../vfs/api.js';
import type { Lifetimes } from './encode.js';
import type { Reply } from './reply.js';
import type { ReplyWriter } from './reply-writer.js';
import type { Request } from './request.js';

export interface HandlerContext {
  readonly vfs: Vfs;
  readonly writer: ReplyWriter;
  readonly lifetimes: Lifetimes;
  /** Known after INIT: bytes of setxattr_in as this kernel sends it. */
  setxattrHeadBytes: number;
  /** FUSE_INTERRUPT of the request `unique`. */
  interrupt(unique: number): void;
}

/**
 * Handles one opcode: decodes, calls the core, answers exactly once. `req` is valid only until it returns. What the core throws goes through;
 * the session turns it into an answer or a deferral (see vfs/api.ts). The body has at least bodyBytesMin bytes.
 */
export type Handler = (cx: HandlerContext, req: Request, reply: Reply) => void;
