/** Requests about an inode's attributes: GETATTR, STATX, SETATTR, ACCESS, READLINK, STATFS. */
import { asFh, asIno, type Fh } from '../../base/ids.js';
import { fsError } from '../../base/errno.js';
import type { Attributes, SetAttributes, TimeChange } from '../../vfs/api.js';
import type { Handler, HandlerContext } from './context.js';
import { putAttrOut, putStatxOut, putU64 } from './encode.js';
import { Fattr, GETATTR_FH } from './protocol.js';
import { PAYLOAD_BYTE, PAYLOAD_WORD } from './reply-writer.js';
import type { Reply } from './reply.js';
import type { Request } from './request.js';
import { accessIn, attrOut, getattrIn, setattrIn, statfsOut, statxIn, statxOut } from './structs.js';

/** Answers with the attributes of `vp`, and drops the caller's reference to it. */
const answerAttr = (cx: HandlerContext, reply: Reply, vp: Attributes): void => {
  try {
    putAttrOut(cx.writer.words, PAYLOAD_WORD, vp, cx.attrView);
    reply.payload(attrOut.size);
  } finally {
    cx.vfs.vrele(vp);
  }
};

export const getattr: Handler = (cx, req, reply) => {
  const fh = req.u32(getattrIn.word.getattrFlags) & GETATTR_FH ? asFh(req.u64(getattrIn.word.fh)) : undefined;
  answerAttr(cx, reply, cx.vfs.getattr(req, asIno(req.nodeid), fh));
};

export const statx: Handler = (cx, req, reply) => {
  if (!cx.birthTimes) throw fsError('ENOSYS');
  const fh = req.u32(statxIn.word.getattrFlags) & GETATTR_FH ? asFh(req.u64(statxIn.word.fh)) : undefined;
  const vp = cx.vfs.getattr(req, asIno(req.nodeid), fh);
  try {
    putStatxOut(cx.writer.words, PAYLOAD_WORD, vp, cx.attrView);
    reply.payload(statxOut.size);
  } finally {
    cx.vfs.vrele(vp);
  }
};

const timeOf = (req: Request, secWord: number, nsecWord: number): TimeChange => {
  const nsec = req.u32(nsecWord);
  if (nsec > 999_999_999) throw fsError('EINVAL');
  return { sec: req.i64(secWord), nsec };
};

const changesOf = (req: Request, valid: number): SetAttributes => {
  const W = setattrIn.word;
  const changes: SetAttributes = {};
  if (valid & Fattr.MODE) changes.mode = req.u32(W.mode);
  if (valid & Fattr.UID) changes.uid = req.u32(W.uid);
  if (valid & Fattr.GID) changes.gid = req.u32(W.gid);
  if (valid & Fattr.SIZE) {
    const size = req.u64(W.size);
    if (size > Number.MAX_SAFE_INTEGER) throw fsError('EFBIG');
    changes.size = size;
  }
  if (valid & Fattr.ATIME_NOW) changes.atime = 'now';
  else if (valid & Fattr.ATIME) changes.atime = timeOf(req, W.atime, W.atimensec);
  if (valid & Fattr.MTIME_NOW) changes.mtime = 'now';
  else if (valid & Fattr.MTIME) changes.mtime = timeOf(req, W.mtime, W.mtimensec);
  if (valid & Fattr.CTIME) changes.ctime = timeOf(req, W.ctime, W.ctimensec);
  if (valid & Fattr.KILL_SUIDGID) changes.killSuidgid = true;
  return changes;
};

export const setattr: Handler = (cx, req, reply) => {
  const valid = req.u32(setattrIn.word.valid);
  const fh: Fh | undefined = valid & Fattr.FH ? asFh(req.u64(setattrIn.word.fh)) : undefined;
  answerAttr(cx, reply, cx.vfs.setattr(req, asIno(req.nodeid), fh, changesOf(req, valid)));
};

export const access: Handler = (cx, req, reply) => {
  cx.vfs.access(req, asIno(req.nodeid), req.u32(accessIn.word.mask));
  reply.errno(0);
};

export const readlink: Handler = (cx, req, reply) => {
  const target = cx.vfs.readlink(req, asIno(req.nodeid));
  cx.writer.bytes.set(target, PAYLOAD_BYTE);
  reply.payload(target.length);
};

export const statfs: Handler = (cx, _req, reply) => {
  const { words } = cx.writer;
  const at = PAYLOAD_WORD;
  const W = statfsOut.word;
  const fs = cx.vfs.statfs();
  words.fill(0, at, at + (statfsOut.size >> 2));
  putU64(words, at + W.blocks, fs.blocks);
  putU64(words, at + W.bfree, fs.blocksFree);
  putU64(words, at + W.bavail, fs.blocksAvailable);
  putU64(words, at + W.files, fs.files);
  putU64(words, at + W.ffree, fs.filesFree);
  words[at + W.bsize] = fs.blockBytes;
  words[at + W.frsize] = fs.blockBytes;
  words[at + W.namelen] = fs.nameMax;
  reply.payload(statfsOut.size);
};
