/**
 * The answer to one request. Consumed exactly once: a second answer throws InvariantError, since the kernel would take
 * it for the answer to nothing, or worse to a later request.
 *
 * The methods that answer return true if the kernel took it, false if the caller is gone (interrupted) or the
 * connection has ended: whatever was granted to the caller with it (a lookup count, an open handle) must then be taken
 * back.
 */
import { InvariantError } from '../../base/assert.js';
import type { ReplyWriter } from './reply-writer.js';
import type { TraceEntry } from './trace.js';

export class Reply {
  readonly uniqueLow: number;
  readonly uniqueHigh: number;
  /** Where the trace learns of the outcome; null when nobody traces. */
  readonly #trace: TraceEntry | null;
  readonly #writer: ReplyWriter;
  #answered = false;

  constructor(writer: ReplyWriter, uniqueLow: number, uniqueHigh: number, trace: TraceEntry | null) {
    this.#writer = writer;
    this.uniqueLow = uniqueLow;
    this.uniqueHigh = uniqueHigh;
    this.#trace = trace;
  }

  get answered(): boolean {
    return this.#answered;
  }

  /** `errno` 0 is success without payload. */
  errno(errno: number): boolean {
    this.#consume(errno, 0);
    return this.#writer.sendErrno(this.uniqueLow, this.uniqueHigh, errno);
  }

  /** Success with two 32-bit words. */
  words(word0: number, word1: number): boolean {
    this.#consume(0, 8);
    return this.#writer.sendWords(this.uniqueLow, this.uniqueHigh, word0, word1);
  }

  /** Success with `bytes` bytes composed in the writer's output buffer. */
  payload(bytes: number): boolean {
    this.#consume(0, bytes);
    return this.#writer.sendPayload(this.uniqueLow, this.uniqueHigh, bytes);
  }

  /** Success with what the writer's sink gathered. */
  gathered(): boolean {
    this.#consume(0, this.#writer.sink.bytesGathered);
    return this.#writer.sendGathered(this.uniqueLow, this.uniqueHigh);
  }

  /** For a request that has no answer (FORGET, an INTERRUPT): consumed without a word to the kernel. */
  none(): void {
    this.#consume(0, 0);
  }

  #consume(errno: number, bytes: number): void {
    if (this.#answered) throw new InvariantError('a request was answered twice');
    this.#answered = true;
    if (this.#trace !== null) this.#trace.finish(errno, bytes);
  }
}
