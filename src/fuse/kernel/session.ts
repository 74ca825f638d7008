/**
 * One mount's connection with the kernel: reads requests from its device, has the core answer them, writes the
 * answers.
 *
 * States: new → (INIT answered) running → ended. Before running, every request but INIT is answered EIO.
 *
 * Invariants:
 *  - every request that wants an answer gets exactly one (Reply), now or when what it waits for has happened;
 *  - nothing that the kernel sends makes {@link KernelSession.handleOne} throw: only a broken invariant of ours does;
 *  - `#request` and its buffer belong to the request being handled; one that must wait takes a copy.
 */
import { InvariantError } from '../../base/assert.js';
import { Errno, errnoName, FsError } from '../../base/errno.js';
import { addressOf, syscalls, type Syscalls } from '../../base/syscalls.js';
import { type Vfs, WouldBlock } from '../../vfs/api.js';
import type { HandlerContext } from './context.js';
import { Deferrals } from './deferrals.js';
import { type AttrView, attrViewOf } from './encode.js';
import { handlers } from './handlers.js';
import { negotiate } from './negotiate.js';
import {
  bodyBytesMin,
  MIN_READ_BUFFER_BYTES,
  Opcode,
  opcodeCount,
  OPCODE_COUNT,
  opcodeName,
  PAGE_BYTES,
  PROTOCOL_MAJOR,
} from './protocol.js';
import { Reply } from './reply.js';
import { PAYLOAD_BYTE, ReplyWriter } from './reply-writer.js';
import { HEADER_BYTES, Request } from './request.js';
import type { EndCause, KernelSessionInit, KernelSessionOptions, SessionLog } from './session-options.js';
import { initOut, SETXATTR_IN_COMPAT_BYTES, setxattrIn, writeIn } from './structs.js';
import { ProtocolTrace, TraceEntry } from './trace.js';

/** What {@link KernelSession.handleOne} found: a request (perhaps more wait), none, or the end of the connection. */
export type Outcome = 'again' | 'empty' | 'ended';

const MAX_WRITE_BYTES = 1 << 20;
const MIN_PAYLOAD_BYTES = 128 * 1024;
/** A WRITE's data starts here in the message; the buffer is placed so that it falls on a page boundary. */
const WRITE_DATA_AT = HEADER_BYTES + writeIn.size;

const expectsNoReply = (opcode: number): boolean =>
  opcode === Opcode.FORGET ||
  opcode === Opcode.BATCH_FORGET ||
  opcode === Opcode.INTERRUPT ||
  opcode === Opcode.NOTIFY_REPLY;

/** A request over a buffer of at least `bytes` bytes, write data page-aligned. */
const pageAlignedRequest = (bytes: number): Request => {
  const buffer = new ArrayBuffer(bytes + 2 * PAGE_BYTES);
  const misalignment = (addressOf(new Uint8Array(buffer)) + WRITE_DATA_AT) % PAGE_BYTES;
  const start = (PAGE_BYTES - misalignment) % PAGE_BYTES;
  return new Request(buffer, start, bytes + PAGE_BYTES);
};

export class KernelSession implements HandlerContext {
  readonly fd: number;
  readonly vfs: Vfs;
  readonly writer: ReplyWriter;
  readonly attrView: AttrView;
  readonly birthTimes: boolean;
  readonly notify: HandlerContext['notify'];
  setxattrHeadBytes = SETXATTR_IN_COMPAT_BYTES;

  readonly #options: KernelSessionOptions;
  readonly #log: SessionLog;
  readonly #onInit: KernelSessionInit['onInit'];
  readonly #onEnd: KernelSessionInit['onEnd'];
  readonly #sys: Syscalls;
  readonly #request: Request;
  readonly #address: number;
  readonly #capacity: number;
  readonly #maxWriteBytes: number;
  readonly #deferrals = new Deferrals((req, reply) => this.#rerun(req, reply));
  readonly #trace: ProtocolTrace | null;
  /** By opcode; the last one counts unknown opcodes. */
  /** The first opcode that the agreed version doesn't have. */
  #opcodeEnd = OPCODE_COUNT;
  readonly #counts = new Float64Array(OPCODE_COUNT + 1);
  #malformed = 0;
  #bugs = 0;
  #state: 'new' | 'running' | 'ended' = 'new';

  constructor({ fd, vfs, pool, options, log, notify, onInit, onEnd }: KernelSessionInit) {
    this.fd = fd;
    this.vfs = vfs;
    this.notify = notify;
    this.#options = options;
    this.birthTimes = options.birthTimes;
    this.#log = log;
    this.#onInit = onInit;
    this.#onEnd = onEnd;
    this.#sys = syscalls();
    this.#maxWriteBytes = Math.min(MAX_WRITE_BYTES, vfs.maxWriteBytes);
    this.#request = pageAlignedRequest(
      Math.max(MIN_PAYLOAD_BYTES, MIN_READ_BUFFER_BYTES, this.#maxWriteBytes),
    );
    this.#address = addressOf(this.#request.bytes);
    this.#capacity = this.#request.bytes.length;
    this.writer = new ReplyWriter(fd, pool, Math.max(MIN_PAYLOAD_BYTES, this.#maxWriteBytes));
    this.attrView = attrViewOf(options);
    this.#trace =
      options.traceFile === undefined
        ? null
        : new ProtocolTrace(options.traceFile, (error) =>
            log('warn', 'the protocol trace ended: its file could not be written', { error: String(error) }),
          );
  }

  /** Reads one request, if there is one, and answers or defers it. Throws only InvariantError. */
  handleOne(): Outcome {
    if (this.#state === 'ended') return 'ended';
    const length = this.#sys.read(this.fd, this.#address, this.#capacity);
    if (length <= 0) return this.#noRequest(length);
    const req = this.#request;
    if (!req.load(length)) {
      this.#refuseMalformed(length);
      return 'again';
    }
    const { opcode } = req;
    this.#counts[opcode < OPCODE_COUNT ? opcode : OPCODE_COUNT]++;
    const trace = this.#trace === null ? null : new TraceEntry(this.#trace, req, this.setxattrHeadBytes);
    this.#dispatch(req, new Reply(this.writer, req.uniqueLow, req.uniqueHigh, trace));
    return 'again';
  }

  /** Requests so far, by opcode name; only those that came. */
  requestCounts(): Record<string, number> {
    const counts: Record<string, number> = {};
    this.#counts.forEach((count, opcode) => {
      if (count > 0) counts[opcode === OPCODE_COUNT ? 'unknown' : opcodeName(opcode)] = count;
    });
    return counts;
  }

  /** For status and metrics. */
  counters(): Record<string, number> {
    return {
      deferred: this.#deferrals.total,
      deferredNow: this.#deferrals.waiting,
      malformedRequests: this.#malformed,
      interruptedReplies: this.writer.interruptedWrites,
      refusedReplies: this.writer.refusedWrites,
      unexpectedErrors: this.#bugs,
    };
  }

  /** Writes what the trace has gathered; called when there is nothing else to do. */
  flushTrace(): void {
    this.#trace?.flush();
  }

  complete(reply: Reply, body: () => void): void {
    if (this.#state === 'ended') return;
    try {
      body();
    } catch (error) {
      this.#failed(error, this.#request, reply);
    }
  }

  /** FUSE_INTERRUPT. */
  interrupt(unique: number): void {
    this.#deferrals.interrupt(unique);
  }

  /** Stops serving: drops the requests that wait. Idempotent. The device stays open. */
  end(cause: EndCause): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#deferrals.dropAll();
    this.#trace?.close();
    this.#onEnd(cause);
  }

  #dispatch(req: Request, reply: Reply): void {
    const { opcode } = req;
    try {
      if (this.#state !== 'running') {
        if (opcode === Opcode.INIT) this.#init(req, reply);
        else reply.errno(Errno.EIO);
      } else if (opcode >= this.#opcodeEnd) {
        reply.errno(Errno.ENOSYS);
      } else if (req.bodyBytes < bodyBytesMin[opcode]) {
        this.#malformed++;
        if (expectsNoReply(opcode)) reply.none();
        else reply.errno(Errno.EINVAL);
      } else {
        handlers[opcode](this, req, reply);
      }
    } catch (error) {
      this.#failed(error, req, reply);
    }
  }

  #rerun(req: Request, reply: Reply): void {
    if (this.#state === 'ended') return;
    req.load(req.length);
    this.#dispatch(req, reply);
  }

  #failed(error: unknown, req: Request, reply: Reply): void {
    if (error instanceof InvariantError) throw error;
    if (error instanceof WouldBlock && !reply.answered) {
      const own = req === this.#request ? req.clone() : req;
      this.#deferrals.add(own, reply, error.channel);
      return;
    }
    if (error instanceof FsError && !reply.answered) {
      reply.errno(error.errno);
      return;
    }
    this.#bugs++;
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    this.#log('error', 'unexpected error while serving a request', {
      op: opcodeName(req.opcode),
      nodeid: req.nodeid,
      error: message,
      stack,
    });
    if (!reply.answered) reply.errno(Errno.EIO);
  }

  #noRequest(result: number): Outcome {
    const errno = result === 0 ? Errno.ENODEV : this.#sys.errno();
    switch (errno) {
      case Errno.EAGAIN:
        return 'empty';
      // ENOENT: the request was interrupted while being read (fs/fuse/dev.c, fuse_dev_do_read).
      case Errno.EINTR:
      case Errno.ENOENT:
        return 'again';
      case Errno.ENODEV:
        this.end('unmounted');
        return 'ended';
      default:
        if (errno !== Errno.ECONNABORTED) {
          this.#log('error', 'reading from the FUSE device failed', { errno: errnoName(errno) });
        }
        this.end('aborted');
        return 'ended';
    }
  }

  /** A message whose length isn't what its header says: answered EIO if it has a header at all. */
  #refuseMalformed(length: number): void {
    this.#malformed++;
    const req = this.#request;
    if (length < HEADER_BYTES || req.unique === 0 || expectsNoReply(req.words[1])) return;
    this.writer.sendErrno(req.uniqueLow, req.uniqueHigh, Errno.EIO);
  }

  #init(req: Request, reply: Reply): void {
    if (req.bodyBytes < bodyBytesMin[Opcode.INIT]) {
      reply.errno(Errno.EPROTO);
      return;
    }
    const body = req.bytes.subarray(HEADER_BYTES, req.length);
    const decision = negotiate(body, { ...this.#options, maxWriteBytes: this.#maxWriteBytes });
    const { bytes } = this.writer;
    switch (decision.kind) {
      case 'refused':
        this.#log('error', decision.reason, {});
        reply.errno(decision.errno);
        // The kernel fails every operation from now on: there is nothing left to serve.
        this.end('aborted');
        return;
      case 'other-major':
        initOut.encode(bytes, PAYLOAD_BYTE, { major: PROTOCOL_MAJOR });
        reply.payload(initOut.size);
        return;
      case 'negotiated': {
        const { result } = decision;
        initOut.encode(bytes, PAYLOAD_BYTE, result.reply);
        this.setxattrHeadBytes = result.setxattrExt ? setxattrIn.size : SETXATTR_IN_COMPAT_BYTES;
        this.#opcodeEnd = opcodeCount(result.minor);
        this.#state = 'running';
        reply.payload(initOut.size);
        this.#onInit(`${PROTOCOL_MAJOR}.${result.minor}`, result.features);
      }
    }
  }
}
