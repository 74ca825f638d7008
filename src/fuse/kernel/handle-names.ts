/** Requests about names: LOOKUP, FORGET, and everything that makes, moves or removes a directory entry. */
import { Errno, FsError } from '../../base/errno.js';
import { asIno, type ByteName, type Ino } from '../../base/ids.js';
import type { Attributes, OpenResult } from '../../vfs/api.js';
import type { Handler, HandlerContext } from './context.js';
import { putEntryOut, putNegativeEntry, putOpenOut } from './encode.js';
import { openFlagsOf } from './handle-open.js';
import type { Reply } from './reply.js';
import { PAYLOAD_WORD } from './reply-writer.js';
import type { Request } from './request.js';
import {
  batchForgetIn,
  createIn,
  entryOut,
  forgetIn,
  forgetOne,
  linkIn,
  mkdirIn,
  mknodIn,
  openOut,
  rename2In,
  renameIn,
} from './structs.js';

/**
 * Answers with an entry, and takes over the reference to `vp`. The kernel remembers the inode if it took the
 * answer.
 */
const answerEntry = (
  cx: HandlerContext,
  req: Request,
  reply: Reply,
  vp: Attributes,
  name: ByteName | undefined,
): void => {
  try {
    putEntryOut(cx.writer.words, PAYLOAD_WORD, vp, cx.attrView);
    if (reply.payload(entryOut.size)) cx.vfs.rememberLookup(vp, asIno(req.nodeid), name);
  } finally {
    cx.vfs.vrele(vp);
  }
};

/**
 * LOOKUP. A missing name is an answer too, which the kernel caches; but not for `.` and `..`, asked for by file
 * handles.
 */
export const lookup: Handler = (cx, req, reply) => {
  const name = req.nameOrDots();
  let vp: Attributes;
  try {
    vp = cx.vfs.lookup(req, asIno(req.nodeid), name);
  } catch (error) {
    if (!(error instanceof FsError) || error.errno !== Errno.ENOENT || name === '.' || name === '..')
      throw error;
    putNegativeEntry(cx.writer.words, PAYLOAD_WORD, cx.attrView);
    reply.payload(entryOut.size);
    return;
  }
  answerEntry(cx, req, reply, vp, name === '.' || name === '..' ? undefined : name);
};

export const forget: Handler = (cx, req, reply) => {
  reply.none();
  cx.vfs.forget(asIno(req.nodeid), req.u64(forgetIn.word.nlookup));
};

export const batchForget: Handler = (cx, req, reply) => {
  reply.none();
  const room = Math.floor((req.bodyBytes - batchForgetIn.size) / forgetOne.size);
  const count = Math.min(req.u32(batchForgetIn.word.count), room);
  const stride = forgetOne.size >> 2;
  for (let i = 0, at = batchForgetIn.size >> 2; i < count; i++, at += stride) {
    cx.vfs.forget(asIno(req.u64(at + forgetOne.word.nodeid)), req.u64(at + forgetOne.word.nlookup));
  }
};

export const mknod: Handler = (cx, req, reply) => {
  const W = mknodIn.word;
  req.skip(mknodIn.size);
  const name = req.name();
  const mode = req.u32(W.mode);
  const vp = cx.vfs.mknod(req, asIno(req.nodeid), name, mode, req.u32(W.rdev), req.u32(W.umask));
  answerEntry(cx, req, reply, vp, name);
};

export const mkdir: Handler = (cx, req, reply) => {
  req.skip(mkdirIn.size);
  const name = req.name();
  const mode = req.u32(mkdirIn.word.mode);
  const vp = cx.vfs.mkdir(req, asIno(req.nodeid), name, mode, req.u32(mkdirIn.word.umask));
  answerEntry(cx, req, reply, vp, name);
};

export const symlink: Handler = (cx, req, reply) => {
  const name = req.name();
  const vp = cx.vfs.symlink(req, asIno(req.nodeid), name, req.terminatedBytes());
  answerEntry(cx, req, reply, vp, name);
};

export const link: Handler = (cx, req, reply) => {
  req.skip(linkIn.size);
  const ino = asIno(req.u64(linkIn.word.oldnodeid));
  const name = req.name();
  answerEntry(cx, req, reply, cx.vfs.link(req, ino, asIno(req.nodeid), name), name);
};

export const unlink: Handler = (cx, req, reply) => {
  cx.vfs.unlink(req, asIno(req.nodeid), req.name());
  reply.errno(0);
};

export const rmdir: Handler = (cx, req, reply) => {
  cx.vfs.rmdir(req, asIno(req.nodeid), req.name());
  reply.errno(0);
};

const renameTo = (cx: HandlerContext, req: Request, reply: Reply, newParent: Ino, flags: number): void => {
  const name = req.name();
  cx.vfs.rename(req, asIno(req.nodeid), name, newParent, req.name(), flags);
  reply.errno(0);
};

export const rename: Handler = (cx, req, reply) => {
  req.skip(renameIn.size);
  renameTo(cx, req, reply, asIno(req.u64(renameIn.word.newdir)), 0);
};

export const rename2: Handler = (cx, req, reply) => {
  req.skip(rename2In.size);
  renameTo(cx, req, reply, asIno(req.u64(rename2In.word.newdir)), req.u32(rename2In.word.flags));
};

/**
 * Answers CREATE or TMPFILE: an entry and a handle. If nobody takes the answer the kernel will never release the
 * handle, so it is released here. OPEN_KILL_SUIDGID means nothing for a file that is new.
 */
const answerCreated = (
  cx: HandlerContext,
  req: Request,
  reply: Reply,
  name: ByteName | undefined,
  made: { vp: Attributes; open: OpenResult },
): void => {
  const { vp, open } = made;
  try {
    const { words } = cx.writer;
    putEntryOut(words, PAYLOAD_WORD, vp, cx.attrView);
    putOpenOut(words, PAYLOAD_WORD + (entryOut.size >> 2), open.fh, openFlagsOf(open));
    if (reply.payload(entryOut.size + openOut.size)) cx.vfs.rememberLookup(vp, asIno(req.nodeid), name);
    else cx.vfs.release(open.fh);
  } finally {
    cx.vfs.vrele(vp);
  }
};

export const create: Handler = (cx, req, reply) => {
  const W = createIn.word;
  req.skip(createIn.size);
  const name = req.name();
  const mode = req.u32(W.mode);
  const made = cx.vfs.create(req, asIno(req.nodeid), name, mode, req.u32(W.flags), req.u32(W.umask));
  answerCreated(cx, req, reply, name, made);
};

/** O_TMPFILE. The kernel sends a name ("/"), which means nothing. */
export const tmpfile: Handler = (cx, req, reply) => {
  const W = createIn.word;
  const mode = req.u32(W.mode);
  const made = cx.vfs.tmpfile(req, asIno(req.nodeid), mode, req.u32(W.flags), req.u32(W.umask));
  answerCreated(cx, req, reply, undefined, made);
};
