/** Descriptors that Node can't make or receive by itself: socket pairs, eventfds, and one passed over a socket. */
import { writeSync } from 'node:fs';
import { addressOf, AF_UNIX, EFD_CLOEXEC, EFD_NONBLOCK, syscallError, syscalls } from './syscalls.js';

/**
 * A connected pair of Unix sockets. `type` as SOCK_*, with SOCK_CLOEXEC and SOCK_NONBLOCK or'ed in. The caller
 * closes both.
 */
export const socketPair = (type: number): [number, number] => {
  const fds = new Int32Array(2);
  if (syscalls().socketpair(AF_UNIX, type, 0, addressOf(fds)) !== 0) throw syscallError('socketpair');
  return [fds[0], fds[1]];
};

/** A non-blocking eventfd(2), counter 0. The caller closes it. */
export const createEventFd = (): number => {
  const fd = syscalls().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw syscallError('eventfd');
  return fd;
};

/**
 * Wakes the thread that polls an eventfd. Any thread may. Through Node's own write(2): koffi keeps 3 MiB of address
 * space, in three mappings, for each thread that ever made a call with it, and a daemon that serves one mount after the
 * other starts a thread for each.
 */
export class EventFdWaker {
  readonly #one = new Uint32Array([1, 0]);
  readonly #fd: number;
  /** `fd`: -1 where nobody polls: an event loop hears of its messages by itself. */
  constructor(fd: number) {
    this.#fd = fd;
  }
  wake(): void {
    if (this.#fd < 0) return;
    try {
      writeSync(this.#fd, this.#one);
    } catch (error) {
      // The counter is full: it is awake anyway.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
/** struct cmsghdr on a 64-bit machine: size_t length, int level, int type; then the data. */
const CMSG_HEADER_BYTES = 16;

/**
 * Receives one descriptor sent with SCM_RIGHTS over `socket`, as fusermount3 does (unix(7), cmsg(3)). Blocks until a
 * message or end of stream is there. Returns undefined where the other side closed without sending one.
 */
export const receiveDescriptor = (socket: number): number | undefined => {
  const payload = new Uint8Array(8);
  const control = new Int32Array(8);
  const iov = new BigUint64Array([BigInt(addressOf(payload)), BigInt(payload.length)]);
  // struct msghdr: name, namelen (+ padding), iov, iovlen, control, controllen, flags (+ padding).
  const message = new BigUint64Array([
    0n,
    0n,
    BigInt(addressOf(iov)),
    1n,
    BigInt(addressOf(control)),
    BigInt(control.byteLength),
    0n,
  ]);
  const received = syscalls().recvmsg(socket, addressOf(message), MSG_CMSG_CLOEXEC);
  if (received < 0) throw syscallError('recvmsg');
  const complete = message[5] >= BigInt(CMSG_HEADER_BYTES + 4);
  if (received === 0 || !complete || control[2] !== SOL_SOCKET || control[3] !== SCM_RIGHTS) return undefined;
  return control[4];
};
