/**
 * The system calls that Node has no function for (or only a slow one), through koffi.
 *
 * The library is loaded on the first {@link syscalls} call of each thread: a worker's koffi is its own. Every function
 * follows its manual page: -1 on failure, then {@link Syscalls.errno} tells why and must be called before any other
 * JavaScript that could do a system call. Pointers are plain numbers (user addresses are below 2^47): take them once
 * with {@link addressOf} and keep a reference to the view for as long as the address is in use.
 */
import { createRequire } from 'node:module';
import { FsError } from './errno.js';
import { linuxErrno } from './macos/errno.js';
import { DARWIN_CLOCK_REALTIME, onMacos } from './macos/system.js';

type Address = number;

export interface Syscalls {
  /** Of the last failed call in this thread. */
  errno(): number;
  read(fd: number, buffer: Address, count: number): number;
  write(fd: number, buffer: Address, count: number): number;
  /** `iov`: `iovcnt` pairs of 64-bit address and length. */
  writev(fd: number, iov: Address, iovcnt: number): number;
  /** `fds`: `count` struct pollfd (int fd; short events; short revents). */
  poll(fds: Address, count: number, timeoutMs: number): number;
  /** As poll, of one descriptor and without a time limit, on a thread of libuv's pool: resolves to its revents. */
  pollAsync(fd: number, events: number): Promise<number>;
  eventfd(initial: number, flags: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  mount(source: string, target: string, type: string, flags: number, data: string): number;
  /** As mount, on a thread of libuv's pool: resolves to 0 or the errno. */
  mountAsync(source: string, target: string, type: string, flags: number, data: string): Promise<number>;
  umount2(target: string, flags: number): number;
  /** As umount2, on a thread of libuv's pool: resolves to 0 or the errno. */
  umount2Async(target: string, flags: number): Promise<number>;
  socketpair(domain: number, type: number, protocol: number, fds: Address): number;
  /** `message`: a struct msghdr. */
  recvmsg(fd: number, message: Address, flags: number): number;
  clockGettime(clock: number, timespec: Address): number;
  fsync(fd: number): number;
  fdatasync(fd: number): number;
  /** Offset and count 0: the whole file. */
  syncFileRange(fd: number, offset: number, count: number, flags: number): number;
  /** glibc only: throws elsewhere. */
  mallopt(parameter: number, value: number): number;
  madvise(address: Address, length: number, advice: number): number;
  flock(fd: number, operation: number): number;
  /** Ends the process at once: no exit handlers, no flushing. */
  exitNow(code: number): void;
  memmove(destination: ArrayBufferView, source: ArrayBufferView, count: number): Address;
}

export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const EFD_CLOEXEC = O_CLOEXEC;
export const EFD_NONBLOCK = O_NONBLOCK;
export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOCK_SEQPACKET = 5;
export const SOCK_CLOEXEC = O_CLOEXEC;
export const SOCK_NONBLOCK = O_NONBLOCK;
export const POLLIN = 1;
export const POLLERR = 8;
export const POLLHUP = 16;
export const F_DUPFD_CLOEXEC = 1030;
export const SYNC_FILE_RANGE_WRITE = 2;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;
export const CLOCK_REALTIME_COARSE = onMacos ? DARWIN_CLOCK_REALTIME : 5;
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_REMOUNT = 32;
export const MS_NOATIME = 1024;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

const UMOUNT2 = 'int umount2(const char *target, int flags)';

type Koffi = typeof import('koffi');
type AsyncFunction = (...args: unknown[]) => void;

const load = (): Syscalls => {
  const koffi = createRequire(import.meta.url)('koffi') as Koffi;
  const libc = koffi.load(null);
  const errno = onMacos ? () => linuxErrno(koffi.errno()) : () => koffi.errno();
  const bind = <F>(definition: string): F => libc.func(definition) as unknown as F;
  /** Bound at the first call: other systems have no such function, nor call it. */
  const bindOnLinux = <F extends (...args: never[]) => unknown>(definition: string): F => {
    let bound: F | undefined;
    return ((...args: Parameters<F>) => (bound ??= bind<F>(definition))(...args)) as F;
  };
  const fcntl = bind<(fd: number, command: number, type: string, argument: number) => number>(
    'int fcntl(int fd, int command, ...)',
  );
  const open = bind<(path: string, flags: number, type: string, mode: number) => number>(
    'int open(const char *path, int flags, ...)',
  );
  const poll = libc.func('int poll(uint64_t fds, uint64_t count, int timeout)');
  const pollLater = poll.async as unknown as AsyncFunction;
  const mount = libc.func(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
  );
  const later = (call: { async: unknown }, args: unknown[]): Promise<number> =>
    new Promise((resolve, reject) => {
      (call.async as AsyncFunction)(...args, (error: unknown, result: number) => {
        if (error instanceof Error) reject(error);
        // koffi carries the errno of an asynchronous call over to its callback.
        else resolve(result === 0 ? 0 : errno());
      });
    });
  return {
    errno,
    read: bind('int64_t read(int fd, uint64_t buffer, uint64_t count)'),
    write: bind('int64_t write(int fd, uint64_t buffer, uint64_t count)'),
    writev: bind('int64_t writev(int fd, uint64_t iov, int iovcnt)'),
    poll,
    pollAsync: (fd, events) =>
      new Promise((resolve, reject) => {
        const pollfd = Int32Array.of(fd, events);
        pollLater(addressOf(pollfd), 1, -1, (error: unknown) => {
          if (error instanceof Error) reject(error);
          else resolve(pollfd[1] >>> 16);
        });
      }),
    eventfd: bindOnLinux('int eventfd(unsigned int initial, int flags)'),
    fcntl: (fd, command, argument) => fcntl(fd, command, 'int', argument),
    open: (path, flags, mode) => open(path, flags, 'int', mode),
    close: bind('int close(int fd)'),
    mount,
    mountAsync: (...args) => later(mount, args),
    umount2: bindOnLinux(UMOUNT2),
    umount2Async: (...args) => later(libc.func(UMOUNT2), args),
    socketpair: bind('int socketpair(int domain, int type, int protocol, uint64_t fds)'),
    recvmsg: bind('int64_t recvmsg(int fd, uint64_t message, int flags)'),
    clockGettime: bind('int clock_gettime(int clock, uint64_t timespec)'),
    fsync: bind('int fsync(int fd)'),
    fdatasync: bind('int fdatasync(int fd)'),
    syncFileRange: bindOnLinux(
      'int sync_file_range(int fd, int64_t offset, int64_t count, unsigned int flags)',
    ),
    mallopt: bindOnLinux('int mallopt(int parameter, int value)'),
    madvise: bindOnLinux('int madvise(uint64_t address, size_t length, int advice)'),
    flock: bind('int flock(int fd, int operation)'),
    exitNow: bind('void _exit(int code)'),
    memmove: bind('uint64_t memmove(void *destination, void *source, size_t count)'),
  };
};

let loaded: Syscalls | undefined;

/** The bindings of this thread. Throws if koffi has no build for this machine. */
export const syscalls = (): Syscalls => (loaded ??= load());

/**
 * Where the first byte of `view` lies in this process. Stable for as long as its ArrayBuffer or
 * SharedArrayBuffer lives:
 * V8 never moves a backing store. An empty view has no address worth having: requires `view.byteLength > 0`.
 */
export const addressOf = (view: ArrayBufferView): number => syscalls().memmove(view, view, 0);

/** Loads a shared library for the whole process: what is loaded later finds it by its name. Throws if that fails. */
export const loadLibrary = (path: string): void => {
  (createRequire(import.meta.url)('koffi') as Koffi).load(path, { global: true });
};

/** The FsError for the last failed call of this thread: `op` names the call. */
export const syscallError = (op: string): FsError => new FsError(syscalls().errno(), op);
