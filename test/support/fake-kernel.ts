/**
 * The kernel's side of a device, for tests: a socket pair of packets stands for /dev/fuse. `send` puts a request in,
 * the session handles it, `replies` reads what it answered.
 */
import { descriptorsOf, type PacketEnd } from './packet-end.js';
import type { Vfs } from '../../src/vfs/api.js';
import type { Fields, Layout, RecordOf } from '../../src/fuse/kernel/layout.js';
import { Opcode } from '../../src/fuse/kernel/protocol.js';
import { KernelSession } from '../../src/fuse/kernel/session.js';
import {
  defaultSessionOptions,
  type EndCause,
  type KernelSessionOptions,
} from '../../src/fuse/kernel/session-options.js';
import { inHeader, initInExt, outHeader } from '../../src/fuse/kernel/structs.js';

export interface AnswerMessage {
  unique: number;
  /** 0 or a positive errno. */
  errno: number;
  payload: Buffer;
}

export class FakeKernel {
  readonly session: KernelSession;
  readonly end: PacketEnd;
  readonly logged: string[] = [];
  readonly inits: string[] = [];
  readonly ended: EndCause[] = [];
  #unique = 2;

  constructor(vfs: Vfs, pool: SharedArrayBuffer, options: Partial<KernelSessionOptions> = {}) {
    const [end, fd] = descriptorsOf();
    this.end = end;
    this.session = new KernelSession({
      fd,
      vfs,
      pool,
      options: { ...defaultSessionOptions, ...options },
      log: (_level, message, fields) => this.logged.push(`${message} ${JSON.stringify(fields)}`),
      onInit: (protocol) => this.inits.push(protocol),
      onEnd: (cause) => this.ended.push(cause),
    });
  }

  /** Sends a request with header and `parts`; returns its unique id. */
  send(opcode: number, nodeid: number, ...parts: Uint8Array[]): number {
    const unique = this.#unique;
    this.#unique += 2;
    const header = Buffer.alloc(inHeader.size);
    const len = parts.reduce((sum, part) => sum + part.length, header.length);
    inHeader.encode(header, 0, { len, opcode, unique, nodeid, uid: 1000, gid: 100, pid: 77 });
    this.end.write(Buffer.concat([header, ...parts]));
    return unique;
  }

  /** All answers waiting. */
  answers(): AnswerMessage[] {
    const list: AnswerMessage[] = [];
    for (let bytes = this.end.read(); bytes !== undefined; bytes = this.end.read()) {
      const { len, error, unique } = outHeader.decode(bytes);
      if (len !== bytes.length) throw new Error(`length ${len} in a reply of ${bytes.length} bytes`);
      list.push({ unique, errno: -error, payload: bytes.subarray(outHeader.size) });
    }
    return list;
  }

  /** Sends a request, has it handled, and returns its one answer. */
  ask(opcode: number, nodeid: number, ...parts: Uint8Array[]): AnswerMessage {
    const unique = this.send(opcode, nodeid, ...parts);
    this.session.handleOne();
    const answers = this.answers();
    if (answers.length !== 1 || answers[0].unique !== unique) {
      throw new Error(`expected one answer to ${unique}, got ${JSON.stringify(answers)}`);
    }
    return answers[0];
  }

  init(minor = 45, flags = 0xffffffff, flags2 = 0xffffffff): AnswerMessage {
    const body = Buffer.alloc(64);
    initInExt.encode(body, 0, { major: 7, minor, maxReadahead: 131072, flags, flags2 });
    return this.ask(Opcode.INIT, 0, body);
  }

  close(): void {
    this.end.close();
    this.session.handleOne();
    this.end.closeOther();
  }
}

export const body = <F extends Fields>(struct: Layout<F>, values: Partial<RecordOf<F>>): Buffer => {
  const bytes = Buffer.alloc(struct.size);
  struct.encode(bytes, 0, values);
  return bytes;
};
export const z = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1');
