/** One end of a SOCK_SEQPACKET pair: whole messages in, whole messages out, never blocking. */
import { socketPair } from '../../src/base/descriptors.js';
import { addressOf, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET, syscalls } from '../../src/base/syscalls.js';

export class PacketEnd {
  readonly #fd: number;
  readonly #other: number;
  readonly #buffer = Buffer.alloc(1 << 21);
  readonly #address = addressOf(this.#buffer);
  constructor(fd: number, other: number) {
    this.#fd = fd;
    this.#other = other;
  }
  write(message: Uint8Array): void {
    const written = syscalls().write(this.#fd, addressOf(message), message.length);
    if (written !== message.length) throw new Error(`wrote ${written} of ${message.length}`);
  }
  read(): Buffer | undefined {
    const length = syscalls().read(this.#fd, this.#address, this.#buffer.length);
    return length <= 0 ? undefined : Buffer.from(this.#buffer.subarray(0, length));
  }
  close(): void {
    syscalls().close(this.#fd);
  }
  closeOther(): void {
    syscalls().close(this.#other);
  }
}

/** Our end, and the descriptor of the other. */
export const descriptorsOf = (): [PacketEnd, number] => {
  const [a, b] = socketPair(SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK);
  return [new PacketEnd(a, b), b];
};
