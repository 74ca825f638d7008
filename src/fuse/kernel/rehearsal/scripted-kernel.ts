/** The kernel's side of a session: sends requests over a socket pair, has them handled, and takes the answers. */
import { addressOf, syscalls, type Syscalls } from '../../../base/syscalls.js';
import type { Fields, Layout, RecordOf } from '../layout.js';
import { Opcode } from '../protocol.js';
import type { KernelSession } from '../session.js';
import { batchForgetIn, dirent, forgetOne, inHeader, outHeader } from '../structs.js';

const REQUEST_BYTES = 64 * 1024;
/** As long as an answer of a session can be. */
const ANSWER_BYTES = (1 << 20) + outHeader.size;

export interface Ask<F extends Fields> {
  head?: Layout<F>;
  values?: Partial<RecordOf<F>>;
  /** ASCII. */
  names?: readonly string[];
  /** Bytes of data, whatever they are, after the names. */
  dataBytes?: number;
}

export class ScriptedKernel {
  /** The last answer's payload, and how many bytes of it there are. */
  readonly words: Uint32Array;
  payloadBytes = 0;
  requests = 0;
  readonly #fd: number;
  readonly #session: KernelSession;
  readonly #sys: Syscalls = syscalls();
  readonly #request = new Uint8Array(REQUEST_BYTES);
  readonly #requestAddress = addressOf(this.#request);
  readonly #header: Int32Array;
  readonly #answerAddress: number;

  /** `fd`: the other end of the session's. The caller closes both. */
  constructor(fd: number, session: KernelSession) {
    this.#fd = fd;
    this.#session = session;
    const answer = new ArrayBuffer(ANSWER_BYTES);
    this.#header = new Int32Array(answer, 0, outHeader.size >> 2);
    this.words = new Uint32Array(answer, outHeader.size);
    this.#answerAddress = addressOf(this.#header);
  }

  /** Sends a request and has it answered. Returns 0 or the errno; 0 for one that has no answer. */
  ask<F extends Fields>(opcode: number, nodeid: number, what: Ask<F> = {}): number {
    const { head, values = {}, names = [], dataBytes = 0 } = what;
    let at = inHeader.size;
    if (head !== undefined) {
      head.encode(this.#request, at, values);
      at += head.size;
    }
    for (const name of names) {
      for (let i = 0; i < name.length; i++) this.#request[at++] = name.charCodeAt(i);
      this.#request[at++] = 0;
    }
    return this.#send(opcode, nodeid, at + dataBytes);
  }

  /** The kernel gives back `count` lookups of each of `inodes` inodes, from `first` on. */
  forgetAll(first: number, inodes: number, count: number): void {
    let at = inHeader.size;
    batchForgetIn.encode(this.#request, at, { count: inodes });
    at += batchForgetIn.size;
    for (let nodeid = first; nodeid < first + inodes; nodeid++, at += forgetOne.size) {
      forgetOne.encode(this.#request, at, { nodeid, nlookup: count });
    }
    this.#send(Opcode.BATCH_FORGET, 0, at);
  }

  /** Of the last entry in the answer to a listing; 0 for an empty one. `before`: bytes of each entry before its dirent. */
  lastCookie(before: number): number {
    let cookie = 0;
    for (let at = before; at < this.payloadBytes;) {
      const word = at >> 2;
      cookie = this.words[word + dirent.word.off];
      at += before + ((dirent.size + this.words[word + dirent.word.namelen] + 7) & ~7);
    }
    return cookie;
  }

  #send(opcode: number, nodeid: number, bytes: number): number {
    inHeader.encode(this.#request, 0, { len: bytes, opcode, unique: 2 * ++this.requests, nodeid });
    this.#sys.write(this.#fd, this.#requestAddress, bytes);
    this.#session.handleOne();
    return this.takeAnswer();
  }

  /** Also one that was deferred. Returns its errno; 0 if there is none. */
  takeAnswer(): number {
    const got = this.#sys.read(this.#fd, this.#answerAddress, ANSWER_BYTES);
    this.payloadBytes = Math.max(0, got - outHeader.size);
    return got > 0 ? -this.#header[outHeader.word.error] : 0;
  }
}
