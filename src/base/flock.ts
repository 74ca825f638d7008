/**
 * flock(2) through koffi: Node has no binding for it. The lock belongs to the open file description, so two descriptors
 * of one process exclude each other too, and the kernel drops it when the process dies.
 */
import koffi from 'koffi';
import { Errno, FsError } from './errno.js';
import { linuxErrno } from './macos/errno.js';
import { onMacos } from './macos/system.js';

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

type FlockCall = (fd: number, operation: number) => number;

let call: FlockCall | undefined;

/** Bound at first use, so that tools which never lock don't load koffi's library. */
function flock(fd: number, operation: number): number {
  call ??= koffi.load(null).func('int flock(int fd, int operation)') as FlockCall;
  if (call(fd, operation) === 0) return 0;
  return onMacos ? linuxErrno(koffi.errno()) : koffi.errno();
}

/** Takes the exclusive lock without waiting. False: someone else holds it. Errors: FsError. */
export function tryLockExclusive(fd: number): boolean {
  let errno = flock(fd, LOCK_EX | LOCK_NB);
  while (errno === Errno.EINTR) errno = flock(fd, LOCK_EX | LOCK_NB);
  if (errno === 0) return true;
  if (errno === Errno.EAGAIN) return false;
  throw new FsError(errno, 'flock');
}

/** Errors: FsError. */
export function unlock(fd: number): void {
  const errno = flock(fd, LOCK_UN);
  if (errno !== 0) throw new FsError(errno, 'flock');
}
