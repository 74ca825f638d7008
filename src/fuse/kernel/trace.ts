/**
 * The protocol trace: one JSON line a request, `{t, op, unique, nodeid, uid, gid, pid, args, names, errno, size, us}`,
 * written when it is answered. No file contents. `t` is Unix time in seconds, `us` the time from reading the request to
 * answering it.
 *
 * The file must not lie below a mount that this process serves.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { bodyShapes, opcodeName, type OpcodeName } from './protocol.js';
import { HEADER_BYTES, type Request } from './request.js';

const FLUSH_BYTES = 64 * 1024;
const PADDING = /^(padding|dummy|unused|reserved)/;

/** NUL-terminated texts from byte `start` of the message, at most `count`; torn ones are left out. */
const textsOf = (req: Request, start: number, count: number): string[] => {
  const texts: string[] = [];
  let at = start;
  while (texts.length < count && at < req.length) {
    const end = req.bytes.indexOf(0, at);
    if (end < 0 || end >= req.length) break;
    texts.push(req.bytes.toString('utf8', at, end));
    at = end + 1;
  }
  return texts;
};

/** Everything known when a request comes in; {@link finish} adds the outcome and writes the line. */
export class TraceEntry {
  readonly #trace: ProtocolTrace;
  readonly #line: Record<string, unknown>;
  readonly #startMs = performance.now();

  constructor(trace: ProtocolTrace, req: Request, setxattrHeadBytes: number) {
    const op = opcodeName(req.opcode);
    const shape = bodyShapes[op as OpcodeName];
    const line: Record<string, unknown> = {
      t: Date.now() / 1000,
      op,
      unique: req.unique,
      nodeid: req.nodeid,
      uid: req.uid,
      gid: req.gid,
      pid: req.pid,
    };
    const head = shape?.head;
    if (head !== undefined && req.bodyBytes >= head.size) {
      const fields = Object.entries(head.decode(req.bytes, HEADER_BYTES));
      line.args = Object.fromEntries(fields.filter(([name]) => !PADDING.test(name)));
    }
    if (shape !== undefined && shape.names > 0) {
      const headBytes = op === 'SETXATTR' ? setxattrHeadBytes : (head?.size ?? 0);
      line.names = textsOf(req, HEADER_BYTES + headBytes, shape.names);
    }
    this.#trace = trace;
    this.#line = line;
  }

  /** `bytes`: of the reply's payload. */
  finish(errno: number, bytes: number): void {
    this.#line.errno = errno;
    this.#line.size = bytes;
    this.#line.us = Math.round((performance.now() - this.#startMs) * 1000);
    this.#trace.append(JSON.stringify(this.#line));
  }
}

/**
 * The file. A trace that can't be written any more (a full disk) ends; the mount goes on.
 */
export class ProtocolTrace {
  readonly #fd: number;
  readonly #onFailure: (error: unknown) => void;
  #pending = '';
  #failed = false;
  constructor(path: string, onFailure: (error: unknown) => void) {
    this.#fd = openSync(path, 'a');
    this.#onFailure = onFailure;
  }
  append(line: string): void {
    if (this.#failed) return;
    this.#pending += line + '\n';
    if (this.#pending.length >= FLUSH_BYTES) this.flush();
  }
  flush(): void {
    if (this.#pending === '') return;
    const text = this.#pending;
    this.#pending = '';
    try {
      writeSync(this.#fd, text);
    } catch (error) {
      this.#failed = true;
      this.#onFailure(error);
    }
  }
  close(): void {
    this.flush();
    closeSync(this.#fd);
  }
}
