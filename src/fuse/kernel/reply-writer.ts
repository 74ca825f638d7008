/**
 * The way back to the kernel: one output buffer and one small buffer a device.
 *
 * A reply is composed in {@link ReplyWriter.words} from {@link PAYLOAD_WORD} on, or gathered in
 * {@link ReplyWriter.sink}, and sent before anything else is composed. Short replies (an errno; eight bytes) have a
 * buffer of their own, so that they may be sent while a longer one is being composed: a barrier completes at any time.
 *
 * A write that fails with ENOENT means that the caller was interrupted and is gone: counted, not an error.
 */
import { Errno } from '../../base/errno.js';
import { addressOf, syscalls, type Syscalls } from '../../base/syscalls.js';
import { PAGE_BYTES } from './protocol.js';
import { ReadSink } from './read-sink.js';
import { outHeader } from './structs.js';

const OUT_HEADER_BYTES = outHeader.size;
/** Where the payload starts in the output buffer, in words and in bytes. */
export const PAYLOAD_WORD = OUT_HEADER_BYTES >> 2;
export const PAYLOAD_BYTE = OUT_HEADER_BYTES;
/** The kernel refuses larger ones (fs/fuse/dev.c, fuse_dev_do_write). */
const ERRNO_MAX = 511;

export class ReplyWriter {
  /** Bytes of payload that a reply can have. */
  readonly payloadBytesMax: number;
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  readonly sink: ReadSink;
  /** Writes refused with ENOENT: nobody waits for that answer any more. */
  interruptedWrites = 0;
  /** Writes refused otherwise: the connection ended, or a bug; and the last such errno. */
  refusedWrites = 0;
  refusedErrno = 0;

  readonly #fd: number;
  readonly #sys: Syscalls;
  readonly #address: number;
  readonly #small = new Uint32Array(6);
  readonly #smallAddress: number;

  constructor(fd: number, pool: SharedArrayBuffer, payloadBytesMax: number) {
    this.#fd = fd;
    this.#sys = syscalls();
    this.payloadBytesMax = payloadBytesMax;
    const buffer = new ArrayBuffer(PAGE_BYTES + payloadBytesMax);
    this.bytes = Buffer.from(buffer);
    this.words = new Uint32Array(buffer);
    this.#address = addressOf(this.words);
    this.#smallAddress = addressOf(this.#small);
    this.sink = new ReadSink(this.bytes, this.#address, OUT_HEADER_BYTES, pool);
  }

  /** `errno` 0: success without payload. True if the kernel took it. */
  sendErrno(uniqueLow: number, uniqueHigh: number, errno: number): boolean {
    const small = this.#small;
    small[0] = OUT_HEADER_BYTES;
    small[1] = errno >= 0 && errno <= ERRNO_MAX ? -errno : -Errno.EIO;
    small[2] = uniqueLow;
    small[3] = uniqueHigh;
    return this.#taken(this.#sys.write(this.#fd, this.#smallAddress, OUT_HEADER_BYTES));
  }

  /** Success with two words of payload. */
  sendWords(uniqueLow: number, uniqueHigh: number, word0: number, word1: number): boolean {
    const small = this.#small;
    small[0] = OUT_HEADER_BYTES + 8;
    small[1] = 0;
    small[2] = uniqueLow;
    small[3] = uniqueHigh;
    small[4] = word0;
    small[5] = word1;
    return this.#taken(this.#sys.write(this.#fd, this.#smallAddress, OUT_HEADER_BYTES + 8));
  }

  /** Success with the first `payloadBytes` bytes of payload composed in {@link words}. */
  sendPayload(uniqueLow: number, uniqueHigh: number, payloadBytes: number): boolean {
    const length = OUT_HEADER_BYTES + payloadBytes;
    this.#header(uniqueLow, uniqueHigh, length);
    return this.#taken(this.#sys.write(this.#fd, this.#address, length));
  }

  /** Success with what {@link sink} gathered. */
  sendGathered(uniqueLow: number, uniqueHigh: number): boolean {
    const { sink } = this;
    const length = OUT_HEADER_BYTES + sink.bytesGathered;
    this.#header(uniqueLow, uniqueHigh, length);
    if (sink.pieces === 1) return this.#taken(this.#sys.write(this.#fd, this.#address, length));
    return this.#taken(this.#sys.writev(this.#fd, sink.iovecsAddress, sink.pieces));
  }

  #header(uniqueLow: number, uniqueHigh: number, length: number): void {
    const words = this.words;
    words[0] = length;
    words[1] = 0;
    words[2] = uniqueLow;
    words[3] = uniqueHigh;
  }

  #taken(written: number): boolean {
    if (written >= 0) return true;
    const errno = this.#sys.errno();
    if (errno === Errno.ENOENT) this.interruptedWrites++;
    else {
      this.refusedWrites++;
      this.refusedErrno = errno;
    }
    return false;
  }
}
