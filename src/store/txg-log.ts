/**
 * The log of a transaction group: TxgOps as bytes, so that a group travels from the dispatcher to the syncer as one
 * transferred ArrayBuffer.
 *
 * A record starts on an 8-byte boundary: a u32 of operation code (low byte) and record length in 8-byte slots, a u32
 * length (of the name, the value or the page list), the numbers as float64, then the bytes, padded to 8. Native byte
 * order. A log leaves the process that wrote it only in an intent log, whose version must change with this encoding.
 * INVARIANT: a log holds whole records only; `logBytes` is a multiple of 8.
 */
import { assert, InvariantError } from '../base/assert.js';
import { asIno, type ByteName, type Ino } from '../base/ids.js';
import { blankInode, type InodeRecord, type StoreCounters, type TxgOps } from './types.js';

const Op = {
  putInode: 1,
  deleteInode: 2,
  putDirent: 3,
  deleteDirent: 4,
  setSymlink: 5,
  setXattr: 6,
  removeXattr: 7,
  addOrphan: 8,
  removeOrphan: 9,
  truncate: 10,
  dropChunks: 11,
  writePages: 12,
  setCounters: 13,
  cloneChunk: 14,
  allocate: 15,
} as const;

/** Slots (8 bytes) of an inode record: the header, 16 numbers, and four nanosecond fields in two slots. */
const INODE_SLOTS = 19;
const INITIAL_BYTES = 64 * 1024;
/** Pages of the largest chunk the format allows. */
const CHUNK_PAGES_MAX = 32;

/** A finished log: `log` may be longer than the `logBytes` in use. */
export interface EncodedTxg {
  log: ArrayBuffer;
  logBytes: number;
}

/** Appends operations to a log. One encoder serves a mount for its lifetime: see {@link take}. */
export class TxgEncoder implements TxgOps {
  #f64: Float64Array;
  #u32: Uint32Array;
  #u8: Uint8Array;
  #slots: number;
  /** Next free slot. */
  #at = 0;
  #records = 0;
  #lastBytes = INITIAL_BYTES;

  constructor(initialBytes = INITIAL_BYTES) {
    const log = new ArrayBuffer(Math.max(1024, Math.ceil(initialBytes / 8) * 8));
    this.#f64 = new Float64Array(log);
    this.#u32 = new Uint32Array(log);
    this.#u8 = new Uint8Array(log);
    this.#slots = this.#f64.length;
  }

  /** Bytes appended since the last {@link take}. */
  get logBytes(): number {
    return this.#at * 8;
  }

  /** Operations appended since the last {@link take}. */
  get records(): number {
    return this.#records;
  }

  /** The log as it is now, until the next operation. */
  peek(): EncodedTxg {
    return { log: this.#f64.buffer as ArrayBuffer, logBytes: this.#at * 8 };
  }

  /** Forgets what was appended. */
  clear(): void {
    this.#at = 0;
    this.#records = 0;
  }

  /** Appends the operations that `other` has from byte `from` on. */
  copyFrom(other: Pick<TxgEncoder, 'peek'>, from: number): void {
    const { log, logBytes } = other.peek();
    const slots = (logBytes - from) / 8;
    if (this.#at + slots > this.#slots) this.#grow(this.#at + slots);
    this.#f64.set(new Float64Array(log, from, slots), this.#at);
    this.#at += slots;
  }

  /** Hands the log over (it may be transferred) and starts an empty one, sized by what the last group needed. */
  take(): EncodedTxg {
    const taken = { log: this.#f64.buffer as ArrayBuffer, logBytes: this.#at * 8 };
    this.#lastBytes = Math.max(INITIAL_BYTES, Math.min(taken.logBytes, this.#lastBytes * 2));
    this.#at = 0;
    this.#records = 0;
    this.#adopt(new ArrayBuffer(Math.ceil(this.#lastBytes / 8) * 8));
    return taken;
  }

  putInode(r: InodeRecord): void {
    const at = this.#begin(Op.putInode, 0, INODE_SLOTS);
    const f = this.#f64;
    f[at + 1] = r.ino;
    f[at + 2] = r.mode;
    f[at + 3] = r.uid;
    f[at + 4] = r.gid;
    f[at + 5] = r.nlink;
    f[at + 6] = r.size;
    f[at + 7] = r.rdev;
    f[at + 8] = r.allocPages;
    f[at + 9] = r.flags;
    f[at + 10] = r.xattrCount;
    f[at + 11] = r.parent;
    f[at + 12] = r.nextCookie;
    // A slot carries its seconds as a double (may be negative); the four nanosecond fields share two slots.
    f[at + 13] = r.atimeSec;
    f[at + 14] = r.mtimeSec;
    f[at + 15] = r.ctimeSec;
    f[at + 16] = r.btimeSec;
    const u = this.#u32;
    const n = (at + 17) * 2;
    u[n] = r.atimeNsec;
    u[n + 1] = r.mtimeNsec;
    u[n + 2] = r.ctimeNsec;
    u[n + 3] = r.btimeNsec;
  }

  deleteInode(ino: Ino): void {
    this.#inoOnly(Op.deleteInode, ino);
  }

  putDirent(parent: Ino, name: ByteName, ino: Ino, type: number, cookie: number): void {
    const at = this.#begin(Op.putDirent, name.length, 5 + slotsOf(name.length));
    const f = this.#f64;
    f[at + 1] = parent;
    f[at + 2] = ino;
    f[at + 3] = type;
    f[at + 4] = cookie;
    this.#name(at + 5, name);
  }

  deleteDirent(parent: Ino, name: ByteName): void {
    const at = this.#begin(Op.deleteDirent, name.length, 2 + slotsOf(name.length));
    this.#f64[at + 1] = parent;
    this.#name(at + 2, name);
  }

  setSymlink(ino: Ino, target: Uint8Array): void {
    const at = this.#begin(Op.setSymlink, target.length, 2 + slotsOf(target.length));
    this.#f64[at + 1] = ino;
    this.#u8.set(target, (at + 2) * 8);
  }

  setXattr(ino: Ino, name: ByteName, value: Uint8Array): void {
    const nameSlots = slotsOf(name.length);
    const at = this.#begin(Op.setXattr, name.length, 3 + nameSlots + slotsOf(value.length));
    this.#f64[at + 1] = ino;
    this.#f64[at + 2] = value.length;
    this.#name(at + 3, name);
    this.#u8.set(value, (at + 3 + nameSlots) * 8);
  }

  removeXattr(ino: Ino, name: ByteName): void {
    const at = this.#begin(Op.removeXattr, name.length, 2 + slotsOf(name.length));
    this.#f64[at + 1] = ino;
    this.#name(at + 2, name);
  }

  addOrphan(ino: Ino): void {
    this.#inoOnly(Op.addOrphan, ino);
  }

  removeOrphan(ino: Ino): void {
    this.#inoOnly(Op.removeOrphan, ino);
  }

  truncate(ino: Ino, size: number): void {
    const at = this.#begin(Op.truncate, 0, 3);
    this.#f64[at + 1] = ino;
    this.#f64[at + 2] = size;
  }

  dropChunks(ino: Ino, fromIndex: number, toIndex: number): void {
    const at = this.#begin(Op.dropChunks, 0, 4);
    this.#f64[at + 1] = ino;
    this.#f64[at + 2] = fromIndex;
    this.#f64[at + 3] = toIndex;
  }

  writePages(
    ino: Ino,
    index: number,
    fileSize: number,
    pages: ArrayLike<number>,
    frames: ArrayLike<number>,
    count: number,
  ): void {
    assert(count <= CHUNK_PAGES_MAX, 'writePages: more pages than a chunk holds');
    const at = this.#begin(Op.writePages, count, 4 + count);
    const f = this.#f64;
    f[at + 1] = ino;
    f[at + 2] = index;
    f[at + 3] = fileSize;
    const u = this.#u32;
    let n = (at + 4) * 2;
    for (let i = 0; i < count; i++) {
      u[n++] = pages[i];
      u[n++] = frames[i];
    }
  }

  cloneChunk(ino: Ino, index: number, chunk: number, pages: number): void {
    const at = this.#begin(Op.cloneChunk, 0, 5);
    const f = this.#f64;
    f[at + 1] = ino;
    f[at + 2] = index;
    f[at + 3] = chunk;
    f[at + 4] = pages;
  }

  allocate(ino: Ino, index: number, pages: number): void {
    const at = this.#begin(Op.allocate, 0, 4);
    this.#f64[at + 1] = ino;
    this.#f64[at + 2] = index;
    this.#f64[at + 3] = pages;
  }

  setCounters(counters: StoreCounters): void {
    const at = this.#begin(Op.setCounters, 0, 4);
    const f = this.#f64;
    f[at + 1] = counters.nextIno;
    f[at + 2] = counters.inodeCount;
    f[at + 3] = counters.allocPages;
  }

  #inoOnly(op: number, ino: Ino): void {
    const at = this.#begin(op, 0, 2);
    this.#f64[at + 1] = ino;
  }

  /**
   * Reserves `slots` slots, writes the header, returns the record's first slot. May replace the arrays: read
   * `this.#f64` after the call, not in the expression that holds it (its left side would be evaluated first).
   */
  #begin(op: number, length: number, slots: number): number {
    const at = this.#at;
    if (at + slots > this.#slots) this.#grow(at + slots);
    this.#at = at + slots;
    this.#records++;
    this.#u32[at * 2] = op | (slots << 8);
    this.#u32[at * 2 + 1] = length;
    return at;
  }

  #name(slot: number, name: ByteName): void {
    const u8 = this.#u8;
    const start = slot * 8;
    for (let i = 0; i < name.length; i++) u8[start + i] = name.charCodeAt(i);
  }

  #grow(slots: number): void {
    const old = this.#u8.subarray(0, this.#at * 8);
    this.#adopt(new ArrayBuffer(Math.max(slots, this.#slots * 2) * 8));
    this.#u8.set(old);
  }

  #adopt(log: ArrayBuffer): void {
    this.#f64 = new Float64Array(log);
    this.#u32 = new Uint32Array(log);
    this.#u8 = new Uint8Array(log);
    this.#slots = this.#f64.length;
  }
}

const slotsOf = (bytes: number): number => (bytes + 7) >>> 3;

/**
 * Plays a log into `sink`, in order. The inode record, page list and frame list given to the sink are reused for the
 * next call: the sink keeps nothing. Byte arrays are views of `log`. Errors: InvariantError for a log that no encoder
 * wrote; whatever the sink throws.
 */
export function decodeTxg(log: ArrayBuffer, logBytes: number, sink: TxgOps): void {
  assert(logBytes % 8 === 0 && logBytes <= log.byteLength, 'decodeTxg: bad log length');
  const f = new Float64Array(log, 0, logBytes / 8);
  const u = new Uint32Array(log, 0, logBytes / 4);
  const bytes = Buffer.from(log, 0, logBytes);
  const scratch = new DecodeScratch();
  const end = logBytes / 8;
  let at = 0;
  while (at < end) {
    const head = u[at * 2];
    const next = at + (head >>> 8);
    assert(next > at && next <= end, 'decodeTxg: a record reaches past the end of the log');
    if ((head & 0xff) === Op.putInode) decodeInode(f, u, at, scratch.inode, sink);
    else decodeOther(head & 0xff, f, u, bytes, at, scratch, sink);
    at = next;
  }
}

/** Has every list of pages name, instead of frames of a pool, the pages' places in the log: 0 is the first of the first list. */
export function renumberFrames(log: ArrayBuffer, logBytes: number): void {
  assert(logBytes % 8 === 0 && logBytes <= log.byteLength, 'renumberFrames: bad log length');
  const u = new Uint32Array(log, 0, logBytes / 4);
  let place = 0;
  for (let at = 0; at < logBytes / 8;) {
    const head = u[at * 2];
    assert(head >>> 8 > 0, 'renumberFrames: an empty record');
    if ((head & 0xff) === Op.writePages) {
      for (let i = 0; i < u[at * 2 + 1]; i++) u[(at + 4 + i) * 2 + 1] = place++;
    }
    at += head >>> 8;
  }
}

/** What decoding reuses from record to record. */
class DecodeScratch {
  readonly inode = blankInode();
  readonly pages = new Uint32Array(CHUNK_PAGES_MAX);
  readonly frames = new Uint32Array(CHUNK_PAGES_MAX);
}

function decodeInode(f: Float64Array, u: Uint32Array, at: number, r: InodeRecord, sink: TxgOps): void {
  r.ino = asIno(f[at + 1]);
  r.mode = f[at + 2];
  r.uid = f[at + 3];
  r.gid = f[at + 4];
  r.nlink = f[at + 5];
  r.size = f[at + 6];
  r.rdev = f[at + 7];
  r.allocPages = f[at + 8];
  r.flags = f[at + 9];
  r.xattrCount = f[at + 10];
  r.parent = f[at + 11];
  r.nextCookie = f[at + 12];
  r.atimeSec = f[at + 13];
  r.mtimeSec = f[at + 14];
  r.ctimeSec = f[at + 15];
  r.btimeSec = f[at + 16];
  const n = (at + 17) * 2;
  r.atimeNsec = u[n];
  r.mtimeNsec = u[n + 1];
  r.ctimeNsec = u[n + 2];
  r.btimeNsec = u[n + 3];
  sink.putInode(r);
}

/** Decodes the record at slot `at`. */
function decodeOther(
  op: number,
  f: Float64Array,
  u: Uint32Array,
  bytes: Buffer,
  at: number,
  scratch: DecodeScratch,
  sink: TxgOps,
): void {
  const length = u[at * 2 + 1];
  const ino = asIno(f[at + 1]);
  switch (op) {
    case Op.putDirent:
      sink.putDirent(ino, nameAt(bytes, at + 5, length), asIno(f[at + 2]), f[at + 3], f[at + 4]);
      return;
    case Op.deleteDirent:
      sink.deleteDirent(ino, nameAt(bytes, at + 2, length));
      return;
    case Op.writePages: {
      const { pages, frames } = scratch;
      let n = (at + 4) * 2;
      for (let i = 0; i < length; i++) {
        pages[i] = u[n++];
        frames[i] = u[n++];
      }
      sink.writePages(ino, f[at + 2], f[at + 3], pages, frames, length);
      return;
    }
    case Op.deleteInode:
      sink.deleteInode(ino);
      return;
    case Op.setSymlink:
      sink.setSymlink(ino, bytes.subarray((at + 2) * 8, (at + 2) * 8 + length));
      return;
    case Op.setXattr: {
      const valueSlot = at + 3 + slotsOf(length);
      const valueLength = f[at + 2];
      const value = bytes.subarray(valueSlot * 8, valueSlot * 8 + valueLength);
      sink.setXattr(ino, nameAt(bytes, at + 3, length), value);
      return;
    }
    case Op.removeXattr:
      sink.removeXattr(ino, nameAt(bytes, at + 2, length));
      return;
    case Op.addOrphan:
      sink.addOrphan(ino);
      return;
    case Op.removeOrphan:
      sink.removeOrphan(ino);
      return;
    case Op.truncate:
      sink.truncate(ino, f[at + 2]);
      return;
    case Op.dropChunks:
      sink.dropChunks(ino, f[at + 2], f[at + 3]);
      return;
    case Op.cloneChunk:
      sink.cloneChunk(ino, f[at + 2], f[at + 3], f[at + 4]);
      return;
    case Op.allocate:
      sink.allocate(ino, f[at + 2], f[at + 3]);
      return;
    case Op.setCounters:
      sink.setCounters({ nextIno: f[at + 1], inodeCount: f[at + 2], allocPages: f[at + 3] });
      return;
    default:
      throw new InvariantError(`decodeTxg: unknown operation ${op}`);
  }
}

const nameAt = (bytes: Buffer, slot: number, length: number): ByteName =>
  bytes.toString('latin1', slot * 8, slot * 8 + length) as ByteName;
