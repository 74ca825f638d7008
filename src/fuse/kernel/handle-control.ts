/** Requests about the connection rather than a file, and those that are always answered alike. */
import { Errno, fsError } from '../../base/errno.js';
import { asIno } from '../../base/ids.js';
import type { Handler } from './context.js';
import { PAYLOAD_WORD } from './reply-writer.js';
import { interruptIn, ioctlIn, ioctlOut } from './structs.js';

/**
 * Tells the kernel never to ask again: it remembers ENOSYS for OPENDIR (and then caches listings), FLUSH, POLL,
 * BMAP, and the lock requests
 * it has no reason to send.
 */
export const notImplemented: Handler = (_cx, _req, reply) => {
  reply.errno(Errno.ENOSYS);
};

/** RELEASEDIR, of a directory that was never opened here; DESTROY, the last word of a connection. */
export const succeed: Handler = (_cx, _req, reply) => {
  reply.errno(0);
};

export const interrupt: Handler = (cx, req, reply) => {
  reply.none();
  cx.interrupt(req.u64(interruptIn.word.unique));
};

/** FS_IOC_GETFLAGS and its 32-bit twin. */
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC32_GETFLAGS = 0x80046601;

/**
 * lsattr's question; there is no request of the core that would change these flags, so everything else gets
 * ENOTTY.
 */
export const ioctl: Handler = (cx, req, reply) => {
  const W = ioctlIn.word;
  const cmd = req.u32(W.cmd);
  if (cmd !== FS_IOC_GETFLAGS && cmd !== FS_IOC32_GETFLAGS) throw fsError('ENOTTY');
  if (req.u32(W.outSize) < 4) throw fsError('EINVAL');
  const vp = cx.vfs.getattr(req, asIno(req.nodeid), undefined);
  try {
    const { words } = cx.writer;
    const headWords = ioctlOut.size >> 2;
    words.fill(0, PAYLOAD_WORD, PAYLOAD_WORD + headWords);
    words[PAYLOAD_WORD + headWords] = vp.flags;
    reply.payload(ioctlOut.size + 4);
  } finally {
    cx.vfs.vrele(vp);
  }
};
