/** Extended attributes. A size of 0 asks for the size only (getxattr(2)). */
import { fsError } from '../../base/errno.js';
import { asIno } from '../../base/ids.js';
import type { Handler, HandlerContext } from './context.js';
import { SETXATTR_ACL_KILL_SGID } from './protocol.js';
import type { Reply } from './reply.js';
import { PAYLOAD_BYTE } from './reply-writer.js';
import { getxattrIn, setxattrIn } from './structs.js';

export const setxattr: Handler = (cx, req, reply) => {
  const W = setxattrIn.word;
  const size = req.u32(W.size);
  const extended = cx.setxattrHeadBytes === setxattrIn.size;
  req.skip(cx.setxattrHeadBytes);
  const name = req.text();
  const value = req.data(size);
  const clearSgid = extended && (req.u32(W.setxattrFlags) & SETXATTR_ACL_KILL_SGID) !== 0;
  cx.vfs.setxattr(req, asIno(req.nodeid), name, value, req.u32(W.flags), clearSgid);
  reply.errno(0);
};

const answerValue = (cx: HandlerContext, reply: Reply, value: Uint8Array, size: number): void => {
  if (size === 0) {
    reply.words(value.length, 0);
    return;
  }
  if (value.length > size) throw fsError('ERANGE');
  cx.writer.bytes.set(value, PAYLOAD_BYTE);
  reply.payload(value.length);
};

export const getxattr: Handler = (cx, req, reply) => {
  req.skip(getxattrIn.size);
  const value = cx.vfs.getxattr(req, asIno(req.nodeid), req.text());
  answerValue(cx, reply, value, req.u32(getxattrIn.word.size));
};

export const listxattr: Handler = (cx, req, reply) => {
  const names = cx.vfs.listxattr(req, asIno(req.nodeid));
  answerValue(cx, reply, names, req.u32(getxattrIn.word.size));
};

export const removexattr: Handler = (cx, req, reply) => {
  cx.vfs.removexattr(req, asIno(req.nodeid), req.text());
  reply.errno(0);
};
