/**
 * READDIR and READDIRPLUS. Entries are written straight into the output buffer until it, or the size asked for,
 * is full.
 *
 * Each entry of READDIRPLUS but `.` and `..` adds a lookup count. It is taken when the entry is written, since the
 * attributes are live only then, and given back if the answer never reaches the kernel.
 */
import { asIno, type ByteName, type Ino } from '../../base/ids.js';
import type { DirentPlusSink, DirentSink } from '../../vfs/api.js';
import type { Handler, HandlerContext } from './context.js';
import { direntBytes, putDirent, putEntryOut } from './encode.js';
import { PAYLOAD_BYTE, PAYLOAD_WORD } from './reply-writer.js';
import type { Request } from './request.js';
import { entryOut, readIn } from './structs.js';

const roomFor = (cx: HandlerContext, req: Request): number =>
  Math.min(req.u32(readIn.word.size), cx.writer.payloadBytesMax);

export const readdir: Handler = (cx, req, reply) => {
  const { bytes, words } = cx.writer;
  const room = roomFor(cx, req);
  let used = 0;
  const sink: DirentSink = (name, ino, type, nextCookie) => {
    const size = direntBytes(name, false);
    if (used + size > room) return false;
    putDirent(bytes, words, PAYLOAD_BYTE + used, name, ino, type, nextCookie);
    used += size;
    return true;
  };
  cx.vfs.readdir(req, asIno(req.nodeid), req.u64(readIn.word.offset), sink);
  reply.payload(used);
};

const isDots = (name: ByteName): boolean => name === '.' || name === '..';

export const readdirplus: Handler = (cx, req, reply) => {
  const { bytes, words } = cx.writer;
  const room = roomFor(cx, req);
  const parent = asIno(req.nodeid);
  const remembered: Ino[] = [];
  let used = 0;
  const sink: DirentPlusSink = (name, ino, type, nextCookie, attributes) => {
    const size = direntBytes(name, true);
    if (used + size > room) return false;
    const at = PAYLOAD_WORD + (used >> 2);
    if (attributes === undefined || isDots(name)) words.fill(0, at, at + (entryOut.size >> 2));
    else {
      putEntryOut(words, at, attributes, cx.attrView);
      cx.vfs.rememberLookup(attributes, parent, name);
      remembered.push(attributes.ino);
    }
    putDirent(bytes, words, PAYLOAD_BYTE + used + entryOut.size, name, ino, type, nextCookie);
    used += size;
    return true;
  };
  let taken = false;
  try {
    cx.vfs.readdirplus(req, parent, req.u64(readIn.word.offset), sink);
    taken = reply.payload(used);
  } finally {
    if (!taken) for (const ino of remembered) cx.vfs.forget(ino, 1);
  }
};
