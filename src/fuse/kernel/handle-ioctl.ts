/**
 * IOCTL: inode flags, which the kernel turns into these four commands itself (fuse_fileattr_get and _set,
 * fs/fuse/ioctl.c), having checked who may set them. It never passes on FICLONE: `cp --reflink=auto` falls back to
 * copy_file_range.
 */
import { fsError } from '../../base/errno.js';
import { asIno } from '../../base/ids.js';
import { FS_APPEND_FL, FS_IMMUTABLE_FL, FS_NOATIME_FL, FS_NODUMP_FL } from '../../vnode/vnode.js';
import type { Handler, HandlerContext } from './context.js';
import { PAYLOAD_WORD } from './reply-writer.js';
import type { Reply } from './reply.js';
import type { Request } from './request.js';
import { ioctlIn, ioctlOut } from './structs.js';

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC32_GETFLAGS = 0x80046601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_IOC32_SETFLAGS = 0x40046602;
const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
/** struct fsxattr: xflags, extsize, nextents, projid, cowextsize, 8 bytes of padding. */
const FSXATTR_BYTES = 28;
const PROJECT_WORD = 3;

/** [FS_*_FL, FS_XFLAG_*] */
const XFLAGS = [
  [FS_IMMUTABLE_FL, 0x8],
  [FS_APPEND_FL, 0x10],
  [FS_NOATIME_FL, 0x40],
  [FS_NODUMP_FL, 0x80],
] as const;

const toXflags = (flags: number): number =>
  XFLAGS.reduce((sum, [flag, xflag]) => (flags & flag ? sum | xflag : sum), 0);

/** EOPNOTSUPP for a bit that has no flag here. */
const fromXflags = (xflags: number): number => {
  const flags = XFLAGS.reduce((sum, [flag, xflag]) => (xflags & xflag ? sum | flag : sum), 0);
  if (toXflags(flags) !== xflags) throw fsError('EOPNOTSUPP', 'ioctl');
  return flags;
};

/** Answers with the inode's flags in the first of `bytes` bytes, the rest zeros. */
const answerFlags = (
  cx: HandlerContext,
  req: Request,
  reply: Reply,
  bytes: number,
  shown: (flags: number) => number,
): void => {
  if (req.u32(ioctlIn.word.outSize) < bytes) throw fsError('EINVAL', 'ioctl');
  const vp = cx.vfs.getattr(req, asIno(req.nodeid), undefined);
  try {
    const { words } = cx.writer;
    const at = PAYLOAD_WORD + (ioctlOut.size >> 2);
    words.fill(0, PAYLOAD_WORD, at + (bytes >> 2));
    words[at] = shown(vp.flags);
    reply.payload(ioctlOut.size + bytes);
  } finally {
    cx.vfs.vrele(vp);
  }
};

const setFlags = (cx: HandlerContext, req: Request, reply: Reply, flags: number): void => {
  cx.vfs.setFlags(req, asIno(req.nodeid), flags);
  cx.writer.words.fill(0, PAYLOAD_WORD, PAYLOAD_WORD + (ioctlOut.size >> 2));
  reply.payload(ioctlOut.size);
};

/** The argument as 32-bit words; EINVAL if shorter than `bytes`. */
const argument = (req: Request, bytes: number): Uint32Array => {
  req.skip(ioctlIn.size);
  return new Uint32Array(Uint8Array.prototype.slice.call(req.data(bytes)).buffer);
};

export const ioctl: Handler = (cx, req, reply) => {
  switch (req.u32(ioctlIn.word.cmd)) {
    case FS_IOC_GETFLAGS:
    case FS_IOC32_GETFLAGS:
      answerFlags(cx, req, reply, 4, (flags) => flags);
      return;
    case FS_IOC_FSGETXATTR:
      answerFlags(cx, req, reply, FSXATTR_BYTES, toXflags);
      return;
    case FS_IOC_SETFLAGS:
    case FS_IOC32_SETFLAGS:
      setFlags(cx, req, reply, argument(req, 4)[0]);
      return;
    case FS_IOC_FSSETXATTR: {
      const words = argument(req, FSXATTR_BYTES);
      // Extent size hints and project quotas don't exist here.
      if (words.some((word, i) => i > 0 && i <= PROJECT_WORD + 1 && i !== 2 && word !== 0))
        throw fsError('EOPNOTSUPP', 'ioctl');
      setFlags(cx, req, reply, fromXflags(words[0]));
      return;
    }
    default:
      throw fsError('ENOTTY', 'ioctl');
  }
};
