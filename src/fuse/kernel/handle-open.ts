/** OPEN and RELEASE, and what opening answers. Directories need no handle: see OPENDIR in handle-control.ts. */
import { asFh, asIno, type Fh, type Ino } from '../../base/ids.js';
import type { OpenResult } from '../../vfs/api.js';
import type { Handler, HandlerContext } from './context.js';
import { putOpenOut } from './encode.js';
import { Fopen, OPEN_KILL_SUIDGID } from './protocol.js';
import { PAYLOAD_WORD } from './reply-writer.js';
import type { Request } from './request.js';
import { openIn, openOut, releaseIn } from './structs.js';

/** NOFLUSH: without the write-back cache, closing needn't write mapped pages back. */
export const openFlagsOf = (open: OpenResult): number =>
  Fopen.NOFLUSH | (open.keepCache ? Fopen.KEEP_CACHE : 0) | (open.directIo ? Fopen.DIRECT_IO : 0);

/**
 * An open that truncates takes the set-id bits away (HANDLE_KILLPRIV_V2: the kernel says when). If that can't be done
 * the handle is given back, so that a deferred request may start over.
 */
export const killSuidgid = (cx: HandlerContext, req: Request, ino: Ino, fh: Fh): void => {
  try {
    cx.vfs.vrele(cx.vfs.setattr(req, ino, fh, { killSuidgid: true }));
  } catch (error) {
    cx.vfs.release(fh);
    throw error;
  }
};

export const open: Handler = (cx, req, reply) => {
  const ino = asIno(req.nodeid);
  const result = cx.vfs.open(req, ino, req.u32(openIn.word.flags));
  if (req.u32(openIn.word.openFlags) & OPEN_KILL_SUIDGID) killSuidgid(cx, req, ino, result.fh);
  putOpenOut(cx.writer.words, PAYLOAD_WORD, result.fh, openFlagsOf(result));
  // Nobody took the handle: the kernel will never send its RELEASE.
  if (!reply.payload(openOut.size)) cx.vfs.release(result.fh);
};

export const release: Handler = (cx, req, reply) => {
  cx.vfs.release(asFh(req.u64(releaseIn.word.fh)));
  reply.errno(0);
};
