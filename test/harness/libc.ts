/**
 * The C library calls that node:fs lacks, through koffi, for tests that act as ordinary programs on a real
 * filesystem.
 * Each wrapper takes bytes for paths and throws {@link PosixError} with the errno's name.
 */
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';
import { type Path, PosixError } from './posix-client.js';

const lib = koffi.load('libc.so.6');

type Result = number | bigint;
type CFunction = (...args: (number | bigint | Uint8Array | null)[]) => Result;
const c = (declaration: string): CFunction => lib.func(declaration);

export const libc = {
  renameat2: c('int renameat2(int fromDir, void *from, int toDir, void *to, unsigned int flags)'),
  linkat: c('int linkat(int fromDir, void *from, int toDir, void *to, int flags)'),
  mknod: c('int mknod(void *path, unsigned int mode, uint64_t dev)'),
  truncate: c('int truncate(void *path, int64_t size)'),
  ftruncate: c('int ftruncate(int fd, int64_t size)'),
  lseek: c('int64_t lseek(int fd, int64_t offset, int whence)'),
  fallocate: c('int fallocate(int fd, int mode, int64_t offset, int64_t length)'),
  copyFileRange: c(
    'int64_t copy_file_range(int inFd, void *inOff, int outFd, void *outOff, size_t length, unsigned int flags)',
  ),
  mmap: c('int64_t mmap(uint64_t at, size_t length, int protection, int flags, int fd, int64_t offset)'),
  munmap: c('int munmap(uint64_t at, size_t length)'),
  msync: c('int msync(uint64_t at, size_t length, int flags)'),
  /** From an address, such as one in a mapping, into bytes of ours; and back. */
  copyFrom: c('int64_t memcpy(void *to, uint64_t from, size_t length)'),
  copyTo: c('int64_t memcpy(uint64_t to, void *from, size_t length)'),
  pipe2: c('int pipe2(void *fds, int flags)'),
  pread: c('int64_t pread(int fd, void *data, size_t bytes, int64_t offset)'),
  pwrite: c('int64_t pwrite(int fd, void *data, size_t bytes, int64_t offset)'),
  posixFadvise: c('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)'),
  ioctl: c('int ioctl(int fd, unsigned long request, void *argument)'),
  syncfs: c('int syncfs(int fd)'),
  utimensat: c('int utimensat(int dir, void *path, void *times, int flags)'),
  futimens: c('int futimens(int fd, void *times)'),
  getdents64: c('int64_t getdents64(int fd, void *buffer, size_t bytes)'),
  lsetxattr: c('int lsetxattr(void *path, void *name, void *value, size_t size, int flags)'),
  lgetxattr: c('int64_t lgetxattr(void *path, void *name, void *value, size_t size)'),
  llistxattr: c('int64_t llistxattr(void *path, void *list, size_t size)'),
  lremovexattr: c('int lremovexattr(void *path, void *name)'),
} as const;

/** A path or name as C sees it. */
export const cString = (path: Path): Buffer =>
  Buffer.concat([typeof path === 'string' ? Buffer.from(path) : path, Buffer.of(0)]);

/** Where bytes of ours lie, for alignment. They don't move. */
export const addressOf = (bytes: Uint8Array): bigint => BigInt(libc.copyFrom(bytes, 0, 0));

/** The result, or the errno as an error. */
export const check = (result: Result, call: string): number => {
  if (result < 0) throw new PosixError(getSystemErrorName(-koffi.errno()), call);
  return Number(result);
};
