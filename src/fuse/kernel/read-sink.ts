/**
 * Gathers the answer to a READ: pieces of the shared page pool become iovecs, without a copy; anything else is copied
 * behind the header in the output buffer. Adjacent pieces are merged.
 *
 * Invariants: piece 0 starts with the reply's header; `bytesGathered` is the sum of all pieces without it. The core
 * hands out whole pages, so the largest read takes some 260 pieces, far below writev's limit.
 */
import { assert } from '../../base/assert.js';
import { addressOf } from '../../base/syscalls.js';
import type { DataSink } from '../../vfs/api.js';

const TWO_32 = 4294967296;
/** UIO_MAXIOV. */
const IOVECS_MAX = 1024;
const ZERO_BYTES = 128 * 1024;
/** struct iovec in words: address low, high; length low, high. */
const IOVEC_WORDS = 4;

export class ReadSink implements DataSink {
  /** Of the iovecs, for writev. A single piece lies at the start of the output buffer. */
  readonly iovecsAddress: number;
  pieces = 0;
  bytesGathered = 0;

  readonly #out: Uint8Array;
  readonly #outAddress: number;
  readonly #headerBytes: number;
  /** Keeps the pool alive as long as its address is in use. */
  readonly #pool: Uint8Array;
  readonly #poolAddress: number;
  readonly #zeros = new Uint8Array(ZERO_BYTES);
  readonly #zerosAddress: number;
  readonly #iovecs = new Uint32Array(IOVECS_MAX * IOVEC_WORDS);
  /** Address right behind the last piece, and that piece's length. */
  #lastEnd = 0;
  #lastLength = 0;
  /** Bytes of the output buffer in use, header included. */
  #staged = 0;

  constructor(out: Uint8Array, outAddress: number, headerBytes: number, pool: SharedArrayBuffer) {
    this.#out = out;
    this.#outAddress = outAddress;
    this.#headerBytes = headerBytes;
    this.#pool = new Uint8Array(pool);
    this.#poolAddress = pool.byteLength === 0 ? 0 : addressOf(this.#pool);
    this.#zerosAddress = addressOf(this.#zeros);
    this.iovecsAddress = addressOf(this.#iovecs);
  }

  /** Starts anew: forgets what was gathered. */
  begin(): void {
    this.pieces = 0;
    this.#lastEnd = 0;
    this.#append(this.#outAddress, this.#headerBytes);
    this.#staged = this.#headerBytes;
    this.bytesGathered = 0;
  }

  pool(offset: number, length: number): void {
    assert(offset >= 0 && offset + length <= this.#pool.length, 'a read from outside the page pool');
    this.#append(this.#poolAddress + offset, length);
  }

  bytes(data: Uint8Array): void {
    const at = this.#staged;
    assert(at + data.length <= this.#out.length, 'a read longer than asked for');
    this.#out.set(data, at);
    this.#staged = at + data.length;
    this.#append(this.#outAddress + at, data.length);
  }

  zeros(length: number): void {
    for (let left = length; left > 0; left -= ZERO_BYTES) {
      this.#append(this.#zerosAddress, Math.min(left, ZERO_BYTES));
    }
  }

  #append(address: number, length: number): void {
    if (length <= 0) return;
    const iovecs = this.#iovecs;
    this.bytesGathered += length;
    if (address === this.#lastEnd) {
      this.#lastLength += length;
      this.#lastEnd += length;
      iovecs[(this.pieces - 1) * IOVEC_WORDS + 2] = this.#lastLength;
      return;
    }
    assert(this.pieces < IOVECS_MAX, 'a read in too many pieces');
    const at = this.pieces * IOVEC_WORDS;
    iovecs[at] = address;
    iovecs[at + 1] = Math.floor(address / TWO_32);
    iovecs[at + 2] = length;
    iovecs[at + 3] = 0;
    this.pieces++;
    this.#lastEnd = address + length;
    this.#lastLength = length;
  }
}
