/** File data: READ, WRITE, FALLOCATE, LSEEK, COPY_FILE_RANGE, and the barriers FSYNC, FSYNCDIR, SYNCFS. */
import { fsError } from '../../base/errno.js';
import { asFh, asIno } from '../../base/ids.js';
import type { Done } from '../../vfs/api.js';
import type { Handler, HandlerContext } from './context.js';
import { FSYNC_FDATASYNC, WRITE_CACHE, WRITE_KILL_SUIDGID } from './protocol.js';
import { encodeInvalInode } from './notify.js';
import type { Reply } from './reply.js';
import type { Request } from './request.js';
import { copyFileRangeIn, fallocateIn, fsyncIn, lseekIn, readIn, writeIn } from './structs.js';

const TWO_32 = 4294967296;
/** O_DSYNC, and the further bit that makes it O_SYNC (asm-generic/fcntl.h). */
const O_DSYNC = 0o10000;
const O_SYNC_ONLY = 0o4000000;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
/** The answer to COPY_FILE_RANGE has 32 bits; whole pages below that. */
const COPY_BYTES_MAX_32 = 0xfffff000;

const beyond = (offset: number, length: number): boolean => offset + length > Number.MAX_SAFE_INTEGER;

export const read: Handler = (cx, req, reply) => {
  const W = readIn.word;
  const size = req.u32(W.size);
  const offset = req.u64(W.offset);
  const { sink } = cx.writer;
  if (size > cx.writer.payloadBytesMax) throw fsError('EINVAL');
  sink.begin();
  // Nothing can be stored out there, so it is past the end of every file.
  if (!beyond(offset, size)) cx.vfs.read(asIno(req.nodeid), asFh(req.u64(W.fh)), offset, size, sink);
  reply.gathered();
};

const doneWith =
  (reply: Reply): Done =>
  (error) =>
    void reply.errno(error === undefined ? 0 : error.errno);

export const write: Handler = (cx, req, reply) => {
  const W = writeIn.word;
  const size = req.u32(W.size);
  const offset = req.u64(W.offset);
  const writeFlags = req.u32(W.writeFlags);
  const ino = asIno(req.nodeid);
  const fh = asFh(req.u64(W.fh));
  req.skip(writeIn.size);
  const data = req.data(size);
  if (beyond(offset, size)) throw fsError('EFBIG');
  const written = cx.vfs.write(req, ino, fh, offset, data, {
    fromCache: (writeFlags & WRITE_CACHE) !== 0,
    killSuidgid: (writeFlags & WRITE_KILL_SUIDGID) !== 0,
  });
  const flags = req.u32(W.flags);
  if ((flags & O_DSYNC) === 0) {
    reply.words(written, 0);
    return;
  }
  cx.vfs.fsync(ino, fh, (flags & O_SYNC_ONLY) === 0, (error) => {
    if (error === undefined) reply.words(written, 0);
    else reply.errno(error.errno);
  });
};

export const fallocate: Handler = (cx, req, reply) => {
  const W = fallocateIn.word;
  const offset = req.u64(W.offset);
  const length = req.u64(W.length);
  if (beyond(offset, length)) throw fsError('EFBIG');
  cx.vfs.fallocate(req, asIno(req.nodeid), asFh(req.u64(W.fh)), req.u32(W.mode), offset, length);
  reply.errno(0);
};

const answerU64 = (reply: Reply, value: number): void => {
  reply.words(value, Math.floor(value / TWO_32));
};

export const lseek: Handler = (cx, req, reply) => {
  const W = lseekIn.word;
  const whence = req.u32(W.whence);
  const offset = req.u64(W.offset);
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw fsError('EINVAL');
  if (beyond(offset, 0)) throw fsError('ENXIO');
  const ino = asIno(req.nodeid);
  const fh = asFh(req.u64(W.fh));
  const answer = (): void => answerU64(reply, cx.vfs.lseek(ino, fh, offset, whence));
  // With the write-back cache the kernel asks without writing back first (fs/fuse/file.c, fuse_lseek), and data
  // that we have
  // not seen would look like a hole. So have it write back, then answer.
  if (cx.notify === undefined || !cx.vfs.hasWriters(ino)) answer();
  else cx.notify([encodeInvalInode(ino, 0, 0)], () => cx.complete(reply, answer));
};

const copyRange = (cx: HandlerContext, req: Request, bytesMax: number): number => {
  const W = copyFileRangeIn.word;
  const length = Math.min(req.u64(W.len), bytesMax);
  const srcOffset = req.u64(W.offIn);
  const dstOffset = req.u64(W.offOut);
  if (req.u64(W.flags) !== 0) throw fsError('EINVAL');
  if (beyond(srcOffset, length) || beyond(dstOffset, length)) throw fsError('EFBIG');
  return cx.vfs.copyFileRange(
    req,
    asIno(req.nodeid),
    asFh(req.u64(W.fhIn)),
    srcOffset,
    asIno(req.u64(W.nodeidOut)),
    asFh(req.u64(W.fhOut)),
    dstOffset,
    length,
  );
};

export const copyFileRange: Handler = (cx, req, reply) => {
  reply.words(copyRange(cx, req, COPY_BYTES_MAX_32), 0);
};

export const copyFileRange64: Handler = (cx, req, reply) => {
  answerU64(reply, copyRange(cx, req, Number.MAX_SAFE_INTEGER));
};

const dataOnly = (req: Request): boolean => (req.u32(fsyncIn.word.fsyncFlags) & FSYNC_FDATASYNC) !== 0;

export const fsync: Handler = (cx, req, reply) => {
  cx.vfs.fsync(asIno(req.nodeid), asFh(req.u64(fsyncIn.word.fh)), dataOnly(req), doneWith(reply));
};

export const fsyncdir: Handler = (cx, req, reply) => {
  cx.vfs.fsyncdir(asIno(req.nodeid), dataOnly(req), doneWith(reply));
};

export const syncfs: Handler = (cx, _req, reply) => {
  cx.vfs.syncfs(doneWith(reply));
};
