/**
 * flock(2) through koffi: Node has no binding for it. The lock belongs to the open file description, so two descriptors
 * of one process exclude each other too, and the kernel drops it when the process dies.
 */
import { Errno, FsError } from './errno.js';
import { LOCK_EX, LOCK_NB, LOCK_UN, syscalls } from './syscalls.js';

/** Returns 0 or the errno. */
function flock(fd: number, operation: number): number {
  const sys = syscalls();
  return sys.flock(fd, operation) === 0 ? 0 : sys.errno();
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
