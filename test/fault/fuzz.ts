/**
 * Requests as no kernel sends them, against the whole way from the wire to the store, in this thread: session, core,
 * transaction groups, SQLite. Determined by its seed.
 *
 * What must hold: the session never throws, no exception but FsError comes out of the core, every request that wants an
 * answer gets exactly one (perhaps later), every invariant of src/vfs/invariants.ts, and at the end fsck finds nothing.
 */
import { Prng } from '../../src/base/prng.js';
import { ROOT_INO } from '../../src/base/ids.js';
import { bodyShapes, Opcode, OPCODE_COUNT, type OpcodeName } from '../../src/fuse/kernel/protocol.js';
import { entryOut, inHeader, openOut } from '../../src/fuse/kernel/structs.js';
import { FakeKernel } from '../support/fake-kernel.js';
import { InProcessCore } from '../harness/test-core.js';

const TWO_32 = 4294967296;
const NO_REPLY: readonly number[] = [
  Opcode.FORGET,
  Opcode.BATCH_FORGET,
  Opcode.INTERRUPT,
  Opcode.NOTIFY_REPLY,
];
const KNOWN = Object.keys(bodyShapes).filter((name) => name !== 'INIT') as OpcodeName[];
/** Those that make something come up more often, or there would be nothing to get wrong. */
const LIKELY: readonly OpcodeName[] = [
  'CREATE',
  'MKDIR',
  'LOOKUP',
  'WRITE',
  'READ',
  'OPEN',
  'SETATTR',
  'RENAME2',
  'FALLOCATE',
];
const REMEMBERED_MAX = 200;
const CHECK_EVERY = 250;

export interface FuzzResult {
  requests: number;
  answers: number;
  /** Answers by errno; 0 is success. */
  errnos: Record<string, number>;
  malformed: number;
  violations: string[];
}

export class Fuzzer {
  readonly #random: Prng;
  readonly #core: InProcessCore;
  readonly #kernel: FakeKernel;
  readonly #nodeids: number[] = [ROOT_INO];
  readonly #handles: number[] = [];
  /** unique → opcode of requests without an answer yet. */
  readonly #waiting = new Map<number, number>();
  readonly #result: FuzzResult = { requests: 0, answers: 0, errnos: {}, malformed: 0, violations: [] };
  readonly #sent = new Map<number, string>();
  #unique = 1000;

  constructor(seed: number) {
    this.#random = new Prng(seed);
    // Limits, so that absurd sizes meet ENOSPC and not the host's disk.
    const mkfs = { chunkBytes: 16384, sizeLimitBytes: 64 << 20, inodeLimit: 5000 };
    this.#core = new InProcessCore({ pages: 256, vnodesMax: 64, mkfs });
    this.#kernel = new FakeKernel(this.#core.vfs, this.#core.pool.buffer as SharedArrayBuffer);
    this.#kernel.init();
  }

  run(requests: number): FuzzResult {
    for (let i = 0; i < requests && this.#result.violations.length < 5; i++) this.#step(i);
    this.#settle();
    const { malformedRequests, unexpectedErrors } = this.#kernel.session.counters();
    this.#result.malformed = malformedRequests;
    if (unexpectedErrors > 0)
      this.#violation(`${unexpectedErrors} unexpected errors: ${this.#kernel.logged[0]}`);
    this.#kernel.close();
    this.#attempt('end', () => {
      const { fs } = this.#core.core;
      for (const fh of [...fs.state.handles.keys()]) fs.release(fh);
      fs.forgetAll();
      this.#core.close();
    });
    return this.#result;
  }

  #step(i: number): void {
    const message = this.#message();
    this.#result.requests++;
    this.#sent.set(this.#unique, message.toString('hex').slice(0, 200));
    this.#sent.delete(this.#unique - 20_000);
    this.#attempt(`request ${i} (${message.toString('hex').slice(0, 300)})`, () => {
      this.#kernel.end.write(message);
      this.#kernel.session.handleOne();
      this.#take();
      if (this.#random.int(3) === 0) this.#core.advance();
      if (this.#random.int(2000) === 0) this.#core.sync();
      if (i % CHECK_EVERY === 0) this.#core.check();
    });
  }

  #attempt(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#violation(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }

  #violation(what: string): void {
    this.#result.violations.push(what);
  }

  #take(): void {
    for (const { unique, errno, payload } of this.#kernel.answers()) {
      this.#result.answers++;
      this.#result.errnos[errno] = (this.#result.errnos[errno] ?? 0) + 1;
      const opcode = this.#waiting.get(unique);
      if (opcode === undefined)
        this.#violation(
          `an answer (${errno}) to ${unique}, which has none to come: ${this.#sent.get(unique)}`,
        );
      this.#waiting.delete(unique);
      if (errno === 0 && opcode !== undefined) this.#learn(opcode, payload);
    }
  }

  #learn(opcode: number, payload: Buffer): void {
    const keep = (list: number[], value: number): void => {
      if (list.length < REMEMBERED_MAX) list.push(value);
      else list[1 + this.#random.int(REMEMBERED_MAX - 1)] = value;
    };
    const makesEntry: readonly number[] = [
      Opcode.LOOKUP,
      Opcode.CREATE,
      Opcode.MKDIR,
      Opcode.MKNOD,
      Opcode.SYMLINK,
      Opcode.TMPFILE,
    ];
    if (makesEntry.includes(opcode) && payload.length >= entryOut.size) {
      const { nodeid } = entryOut.decode(payload);
      if (nodeid !== 0) keep(this.#nodeids, nodeid);
    }
    if (opcode === Opcode.CREATE || opcode === Opcode.TMPFILE)
      keep(this.#handles, openOut.decode(payload, entryOut.size).fh);
    if (opcode === Opcode.OPEN) keep(this.#handles, openOut.decode(payload).fh);
  }

  /** What waits for a commit must be answered once commits have been made. */
  #settle(): void {
    for (let i = 0; i < 1000 && this.#waiting.size > 0; i++) {
      this.#attempt('settling', () => {
        this.#core.advance();
        this.#take();
      });
    }
    if (this.#waiting.size > 0)
      this.#violation(
        `${this.#waiting.size} requests were never answered: opcodes ${[...this.#waiting.values()].join(', ')}`,
      );
  }

  #message(): Buffer {
    const random = this.#random;
    if (random.int(50) === 0) return this.#noise();
    const opcode = this.#opcode();
    const shape = KNOWN.includes(opcode.name as OpcodeName)
      ? bodyShapes[opcode.name as OpcodeName]
      : undefined;
    const parts: Buffer[] = [];
    const data =
      random.int(4) === 0 ? Buffer.alloc(random.pick([1, 100, 4096, 5000, 60_000]), 0x61) : Buffer.alloc(0);
    if (shape?.head !== undefined) parts.push(this.#head(shape.head, data.length));
    for (let i = 0; i < (shape?.names ?? 0); i++) parts.push(this.#name());
    parts.push(data);
    let bodyBytes = Buffer.concat(parts);
    if (random.int(30) === 0) bodyBytes = bodyBytes.subarray(0, random.int(bodyBytes.length + 1));
    if (random.int(30) === 0 && bodyBytes.length > 0)
      bodyBytes[random.int(bodyBytes.length)] ^= 1 << random.int(8);
    return this.#framed(opcode.number, bodyBytes);
  }

  #opcode(): { name: string; number: number } {
    const random = this.#random;
    const which = random.int(20);
    if (which === 0)
      return { name: '', number: random.pick([0, 7, OPCODE_COUNT, 4096, 0xffffffff, random.int(80)]) };
    const name = which < 10 ? random.pick(LIKELY) : random.pick(KNOWN);
    return { name, number: Opcode[name] };
  }

  #framed(opcode: number, body: Buffer): Buffer {
    const random = this.#random;
    const message = Buffer.alloc(inHeader.size + body.length);
    body.copy(message, inHeader.size);
    const unique = (this.#unique += 2);
    const torn = random.int(100) === 0;
    const len = torn
      ? random.pick([0, 39, message.length - 1, message.length + 1, 0xffffffff])
      : message.length;
    inHeader.encode(message, 0, {
      len,
      opcode,
      unique,
      nodeid: this.#nodeid(),
      uid: random.int(3),
      gid: 0,
      pid: 1,
    });
    if (!NO_REPLY.includes(opcode)) this.#waiting.set(unique, opcode);
    return message;
  }

  /** Not a message at all, perhaps with a header's length. */
  #noise(): Buffer {
    const bytes = Buffer.from(this.#random.fill(new Uint8Array(1 + this.#random.int(300))));
    if (bytes.length >= inHeader.size) {
      const opcode = bytes.readUInt32LE(4);
      // Unique 0 asks for no answer.
      const unique = this.#random.int(2) === 0 ? 0 : (this.#unique += 2);
      bytes.writeBigUInt64LE(BigInt(unique), inHeader.at.unique);
      if (unique !== 0 && !NO_REPLY.includes(opcode)) this.#waiting.set(unique, opcode);
    }
    return bytes;
  }

  #nodeid(): number {
    const random = this.#random;
    if (random.int(25) === 0) return random.pick([0, 999_999, 2 ** 32, 2 ** 53 - 1, 2 ** 63, 2 ** 64 - 2048]);
    return random.pick(this.#nodeids);
  }

  #name(): Buffer {
    const random = this.#random;
    const plain = Buffer.from(`n${random.int(60)}\0`);
    if (random.int(6) !== 0) return plain;
    return random.pick<() => Buffer>([
      () => Buffer.from('\0'),
      () => Buffer.from('.\0'),
      () => Buffer.from('..\0'),
      () => Buffer.from('a/b\0'),
      () => Buffer.from('/\0'),
      () => Buffer.from('never ends'),
      () => Buffer.from('a\0b\0'),
      () => Buffer.alloc(0),
      () => Buffer.from(`${'x'.repeat(random.pick([254, 255, 256, 4095, 5000]))}\0`),
      () => Buffer.concat([Buffer.from(random.fill(new Uint8Array(1 + random.int(40)))), Buffer.alloc(1)]),
      () =>
        Buffer.from(
          `${random.pick(['user.a', 'trusted.b', 'system.posix_acl_access', 'system.posix_acl_default', ''])}\0`,
        ),
    ])();
  }

  #head(head: NonNullable<NonNullable<(typeof bodyShapes)['READ']>['head']>, dataBytes: number): Buffer {
    const bytes = Buffer.alloc(head.size);
    const values: Record<string, number> = {};
    for (const field of Object.keys(head.fields)) values[field] = this.#field(field, dataBytes);
    head.encode(bytes, 0, values);
    const random = this.#random;
    if (random.int(20) === 0)
      bytes.writeUInt32LE(random.pick([0xffffffff, 0x80000000]), 4 * random.int(head.size >> 2));
    return bytes;
  }

  #field(name: string, dataBytes: number): number {
    const random = this.#random;
    if (/^(newdir|oldnodeid|nodeid)/.test(name)) return this.#nodeid();
    if (/^fh/.test(name))
      return random.int(10) === 0
        ? random.pick([0, 12345, 2 ** 60])
        : random.pick(this.#handles.length > 0 ? this.#handles : [1]);
    if (/^off/.test(name))
      return random.pick([
        0,
        1,
        4095,
        4096,
        random.int(200_000),
        2 ** 40,
        2 ** 53 - 2,
        2 ** 53,
        2 ** 63 - 1024,
        2 ** 64 - 2048,
      ]);
    if (name === 'size')
      return random.int(3) === 0 ? random.pick([0, 1, 65536, 1 << 20, 0xffffffff, 2 ** 53]) : dataBytes;
    if (name === 'length' || name === 'len')
      return random.pick([0, 1, 5000, random.int(200_000), 2 ** 40, 2 ** 53, 2 ** 64 - 2048]);
    if (name === 'mode')
      return random.pick([0o100644, 0o040755, 0o120777, 0o010644, 0o020644, 0, 3, 1, 0xffff, 0xffffffff]);
    if (name === 'nlookup' || name === 'count') return random.pick([0, 1, 2, 1000, TWO_32 - 1, 2 ** 53]);
    if (name === 'whence') return random.pick([3, 4, 3, 4, 0, 1, 2, 99]);
    if (name === 'cmd')
      return random.pick([0x80086601, 0x40086602, 0x801c581f, 0x401c5820, random.int(TWO_32)]);
    if (/flags|valid|mask/i.test(name)) return random.int(2) === 0 ? 1 << random.int(32) : random.int(TWO_32);
    if (name === 'unique') return 1000 + random.int(1000);
    return random.pick([0, 0, 1, 7, 1_700_000_000, 999_999_999, 1_000_000_000, TWO_32 - 1]);
  }
}
