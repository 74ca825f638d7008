/** Requests about the connection rather than a file, and those that are always answered alike. */
import { Errno } from '../../base/errno.js';
import type { Handler } from './context.js';
import { interruptIn } from './structs.js';

/**
 * Tells the kernel never to ask again: it remembers ENOSYS for OPENDIR (and then caches listings), FLUSH, POLL, BMAP,
 * and the lock requests it has no reason to send.
 */
export const notImplemented: Handler = (_cx, _req, reply) => {
  reply.errno(Errno.ENOSYS);
};

/** RELEASEDIR, of a directory that was never opened here; DESTROY, the last word of a connection. */
export const succeed: Handler = (_cx, _req, reply) => {
  reply.errno(0);
};

/** NOTIFY_REPLY answers a NOTIFY_RETRIEVE, which is never sent; being an answer it gets none. */
export const notifyReply: Handler = (_cx, _req, reply) => reply.none();

export const interrupt: Handler = (cx, req, reply) => {
  reply.none();
  cx.interrupt(req.u64(interruptIn.word.unique));
};
