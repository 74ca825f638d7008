/**
 * One request of the kernel, decoded where it lies. Reading a field is an index into the buffer: nothing is copied
 * until a name or a deferral needs it.
 *
 * Fields past what {@link bodyBytesMin} promises must be checked by who reads them; names are checked here.
 */
import { fsError } from '../../base/errno.js';
import type { ByteName } from '../../base/ids.js';
import type { Caller } from '../../vfs/api.js';
import { inHeader } from './structs.js';

const TWO_32 = 4294967296;
export const HEADER_BYTES = inHeader.size;
const HEADER_WORDS = HEADER_BYTES >> 2;
const H = inHeader.word;
const SLASH = 0x2f;

/** Most numbers are small: then V8 gets one of its small integers, not a double on the heap that a Map has to hash. */
const u64Of = (low: number, high: number): number => (high === 0 ? low : high * TWO_32 + low);

/** The request is also its own caller: uid, gid and pid as the header has them. */
export class Request implements Caller {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  /** Bytes of the message. */
  length = 0;
  opcode = 0;
  nodeid = 0;
  uid = 0;
  gid = 0;
  pid = 0;
  /** Where {@link name} stopped: the byte after the last NUL. */
  #cursor = 0;

  /** `byteOffset` a multiple of 8. */
  constructor(buffer: ArrayBuffer, byteOffset: number, byteLength: number) {
    this.bytes = Buffer.from(buffer, byteOffset, byteLength);
    this.words = new Uint32Array(buffer, byteOffset, byteLength >> 2);
  }

  /**
   * Takes the header of a message of `length` bytes that now lies in the buffer. False for a message that can't be one:
   * shorter than a header, or of another length than its header says.
   */
  load(length: number): boolean {
    const words = this.words;
    if (length < HEADER_BYTES || words[H.len] !== length) return false;
    this.length = length;
    this.opcode = words[H.opcode];
    this.nodeid = u64Of(words[H.nodeid], words[H.nodeid + 1]);
    this.uid = words[H.uid];
    this.gid = words[H.gid];
    this.pid = words[H.pid];
    this.#cursor = HEADER_BYTES;
    return true;
  }

  get uniqueLow(): number {
    return this.words[H.unique];
  }
  get uniqueHigh(): number {
    return this.words[H.unique + 1];
  }
  /** As a double: exact, since the kernel counts up from 0. */
  get unique(): number {
    return u64Of(this.uniqueLow, this.uniqueHigh);
  }
  get bodyBytes(): number {
    return this.length - HEADER_BYTES;
  }

  /** A 32-bit field of the body; `word` from a {@link Layout}. */
  u32(word: number): number {
    return this.words[HEADER_WORDS + word];
  }
  u64(word: number): number {
    return u64Of(this.words[HEADER_WORDS + word], this.words[HEADER_WORDS + word + 1]);
  }
  i64(word: number): number {
    return (this.words[HEADER_WORDS + word + 1] | 0) * TWO_32 + this.words[HEADER_WORDS + word];
  }

  /** Names start after a fixed structure of `bytes` bytes. */
  skip(bytes: number): void {
    this.#cursor = HEADER_BYTES + bytes;
  }

  /** The next name of a directory entry. EINVAL if unterminated, empty, holding a slash, or `.` or `..`. */
  name(): ByteName {
    const name = this.#text(true);
    if (name === '.' || name === '..') throw fsError('EINVAL');
    return name;
  }
  /** As {@link name}, but `.` and `..` are names too: LOOKUP for exported file handles. */
  nameOrDots(): ByteName {
    return this.#text(true);
  }
  /** The next NUL-terminated text that isn't an entry's name (xattr). EINVAL if unterminated or empty. */
  text(): ByteName {
    return this.#text(false);
  }
  /** The next NUL-terminated bytes (a symlink's target), as a copy. EINVAL if unterminated or empty. */
  terminatedBytes(): Uint8Array {
    const start = this.#cursor;
    const end = this.#terminator(false);
    return Uint8Array.prototype.slice.call(this.bytes, start, end);
  }
  /** What follows the last name: `count` bytes, not copied. EINVAL if the message is shorter. */
  data(count: number): Uint8Array {
    if (this.#cursor + count > this.length) throw fsError('EINVAL');
    return this.bytes.subarray(this.#cursor, this.#cursor + count);
  }

  /** A copy with a buffer of its own, for a request that must wait. */
  clone(): Request {
    const room = (this.length + 7) & ~7;
    const copy = new Request(new ArrayBuffer(room), 0, room);
    this.bytes.copy(copy.bytes, 0, 0, this.length);
    copy.load(this.length);
    return copy;
  }

  /** Index of the next NUL; moves the cursor past it. */
  #terminator(refuseSlash: boolean): number {
    const { bytes, length } = this;
    const start = this.#cursor;
    let end = start;
    while (end < length && bytes[end] !== 0) {
      if (refuseSlash && bytes[end] === SLASH) throw fsError('EINVAL');
      end++;
    }
    if (end >= length || end === start) throw fsError('EINVAL');
    this.#cursor = end + 1;
    return end;
  }
  #text(refuseSlash: boolean): ByteName {
    const start = this.#cursor;
    const end = this.#terminator(refuseSlash);
    return this.bytes.toString('latin1', start, end) as ByteName;
  }
}
