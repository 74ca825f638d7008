/**
 * The core's error numbers are Linux's. macOS numbers differ from 35 on (its sys/errno.h): sent as they are, EDEADLK
 * would arrive as EAGAIN, ENODATA of a missing extended attribute as something unknown.
 */
import { Errno, type ErrnoName } from '../errno.js';

/** sys/errno.h of Darwin, for those that aren't the same number on Linux. ENODATA is told as ENOATTR, which xattr callers expect. */
const DARWIN: Partial<Record<ErrnoName, number>> = {
  EAGAIN: 35,
  ENAMETOOLONG: 63,
  ENOSYS: 78,
  ENOTEMPTY: 66,
  ELOOP: 62,
  ENODATA: 93,
  EPROTO: 100,
  EOVERFLOW: 84,
  EILSEQ: 92,
  EOPNOTSUPP: 102,
  ECONNABORTED: 53,
  ENOTCONN: 57,
  ESTALE: 70,
  EDQUOT: 69,
};

/** Up to here both systems have the same numbers, but for EAGAIN (Darwin's 11 is EDEADLK). */
const COMMON_MAX = 34;
const EIO = 5;

const byLinux = new Map<number, number>(
  Object.entries(DARWIN).map(([name, darwin]) => [Errno[name as ErrnoName], darwin]),
);

const byDarwin = new Map<number, number>([...byLinux].map(([linux, darwin]) => [darwin, linux]));
const DARWIN_EDEADLK = 11;

/** A number that has no counterpart becomes EIO. */
export const darwinErrno = (linux: number): number =>
  byLinux.get(linux) ?? (linux <= COMMON_MAX ? linux : EIO);

/** Of a system call that failed on Darwin; what has no counterpart among ours becomes EIO. */
export const linuxErrno = (darwin: number): number =>
  byDarwin.get(darwin) ?? (darwin <= COMMON_MAX && darwin !== DARWIN_EDEADLK ? darwin : EIO);
