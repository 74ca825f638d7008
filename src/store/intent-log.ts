/**
 * The intent log: what an fsync has made durable before SQLite does, in `STORE-intent` beside the store. (After the ZFS
 * intent log; its format is in native-notes/disk-format.md.)
 *
 * One write and one fdatasync of a file whose blocks are all there, instead of a commit that rewrites and syncs whole
 * pages of SQLite's. What changed since the last fsync is appended here; the group that it belongs to is committed
 * later, with what comes after.
 *
 * The file has two halves, so that one can be written while the store gets what is in the other. In each, records lie
 * one after the other from its start, each on a page boundary. What follows the last is whatever was there before: a record
 * counts if its digest is right, its salt is the first one's, and it follows on the one before.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { Errno, FsError } from '../base/errno.js';
import { syncPath } from '../base/sync-path.js';
import type { EncodedTxg } from './txg-log.js';
import { PAGE_BYTES } from './types.js';

const MAGIC = 0x4c494e56; // "VNIL"
const VERSION = 1;
const UUID_AT = 8;
const SALT_AT = 24;
const SALT_BYTES = 8;
const TXG_AT = 32;
const PART_AT = 40;
const LOG_BYTES_AT = 44;
const PAGES_AT = 48;
const BEFORE_AT = 52;
const DIGEST_AT = 56;
const DIGEST_BYTES = 32;
const HEADER_BYTES = DIGEST_AT + DIGEST_BYTES;
/** Larger parts aren't taken. */
const RECORD_LOG_MAX = 64 << 10;
export const RECORD_PAGES_MAX = 64;
/** A half with less than this part of it left is nearly full. */
const NEARLY_FULL = 1 / 8;
/** So many times its size must be free on the host. */
const HOST_ROOM = 8;

export const intentLogPath = (store: string): string => `${store}-intent`;

/** Errors: Node's. */
export const removeIntentLog = (store: string): void => rmSync(intentLogPath(store), { force: true });

const halfOf = (bytes: number): number => Math.floor(bytes / 2 / PAGE_BYTES) * PAGE_BYTES;

const roundUp = (bytes: number): number => Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;

const digestOf = (record: Uint8Array): Buffer =>
  createHash('sha256').update(record.subarray(0, DIGEST_AT)).update(record.subarray(HEADER_BYTES)).digest();

/**
 * Makes the file, `bytes` long and with all its blocks written, durably, name and all: after that an fdatasync of it
 * has nothing to record but its pages. Owner and mode are the store's. Errors: FsError(ENOSPC), Node's (EEXIST: one is
 * there, to be brought in first); then nothing is left.
 */
export function prepareIntentLog(store: string, bytes: number): void {
  const host = statfsSync(store);
  // On a disk that is nearly full the store needs what is left.
  if (host.bavail * host.bsize < bytes * HOST_ROOM) throw new FsError(Errno.ENOSPC, 'intent log');
  const path = intentLogPath(store);
  const fd = openSync(path, 'wx+', 0o600);
  try {
    fill(fd, store, bytes);
    syncPath(dirname(path));
  } catch (error) {
    removeIntentLog(store);
    throw error;
  } finally {
    closeSync(fd);
  }
}

function fill(fd: number, store: string, bytes: number): void {
  const { mode, uid, gid } = statSync(store);
  fchmodSync(fd, mode & 0o666);
  if (process.geteuid?.() === 0) fchownSync(fd, uid, gid);
  const zeros = Buffer.alloc(1 << 20);
  for (let at = 0; at < bytes; at += zeros.length) {
    const length = Math.min(zeros.length, bytes - at);
    if (writeSync(fd, zeros, 0, length, at) !== length) throw new FsError(Errno.ENOSPC, 'intent log');
  }
  fsyncSync(fd);
}

/** Some of a group's changes: those since the part before, all of them together what an fsync had to make durable. */
export interface IntentPart extends EncodedTxg {
  txg: number;
  /** From 1 on, in each group. */
  part: number;
  /** Of a first part: how many the group before has here, all of them needed; 0: that group is in the store. */
  before: number;
}

/** Appends to a file that {@link prepareIntentLog} made. The caller calls {@link close}. */
export class IntentLog {
  readonly #path: string;
  readonly #fd: number;
  /** Bytes of each half. */
  readonly #halfBytes: number;
  readonly #ino: bigint;
  readonly #record = Buffer.alloc(roundUp(HEADER_BYTES + RECORD_LOG_MAX) + RECORD_PAGES_MAX * PAGE_BYTES);
  /** Where the half in use begins, and where the next record goes. */
  #start = 0;
  #at = 0;

  /** `uuid`: the store's. Errors: Node's. */
  constructor(store: string, uuid: string) {
    this.#path = intentLogPath(store);
    this.#fd = openSync(this.#path, constants.O_RDWR | constants.O_NOFOLLOW);
    const { size, ino } = fstatSync(this.#fd, { bigint: true });
    this.#halfBytes = halfOf(Number(size));
    this.#ino = ino;
    this.#record.writeUInt32LE(MAGIC, 0);
    this.#record.writeUInt32LE(VERSION, 4);
    this.#record.write(uuid, UUID_AT, 'hex');
    // Another for each opening: records that an earlier one left are none of this one's.
    randomBytes(SALT_BYTES).copy(this.#record, SALT_AT);
  }

  /**
   * Appends a part, whose pages are these frames of the pool in the order in which its log names them. False: it is too
   * large, or there is no room left in this half ({@link begin}). Errors: FsError(EIO), Node's; it may be in the log
   * then, or not.
   */
  append(
    { txg, part, before, log, logBytes }: IntentPart,
    frames: readonly number[],
    pool: Uint8Array,
  ): boolean {
    const end = HEADER_BYTES + logBytes + frames.length * PAGE_BYTES;
    if (logBytes > RECORD_LOG_MAX || frames.length > RECORD_PAGES_MAX) return false;
    if (roundUp(end) > this.#room) return false;
    if (statSync(this.#path, { bigint: true, throwIfNoEntry: false })?.ino !== this.#ino)
      throw new FsError(Errno.EIO, 'intent log taken away');
    const record = this.#record.subarray(0, end);
    record.writeDoubleLE(txg, TXG_AT);
    record.writeUInt32LE(part, PART_AT);
    record.writeUInt32LE(logBytes, LOG_BYTES_AT);
    record.writeUInt32LE(frames.length, PAGES_AT);
    record.writeUInt32LE(before, BEFORE_AT);
    record.set(new Uint8Array(log, 0, logBytes), HEADER_BYTES);
    let at = HEADER_BYTES + logBytes;
    for (const frame of frames) {
      record.set(pool.subarray(frame * PAGE_BYTES, (frame + 1) * PAGE_BYTES), at);
      at += PAGE_BYTES;
    }
    digestOf(record).copy(record, DIGEST_AT);
    if (writeSync(this.#fd, record, 0, end, this.#at) !== end) throw new FsError(Errno.EIO, 'intent log');
    this.#at += roundUp(end);
    return true;
  }

  /** Makes all that was appended durable. Errors: Node's. */
  sync(): void {
    fdatasyncSync(this.#fd);
  }

  /** Goes on at the start of that half. Requires that everything in it is durable in the store. */
  begin(half: 0 | 1): void {
    this.#start = half * this.#halfBytes;
    this.#at = this.#start;
  }

  get #room(): number {
    return this.#start + this.#halfBytes - this.#at;
  }

  /** The half in use is. */
  get nearlyFull(): boolean {
    return this.#room < this.#halfBytes * NEARLY_FULL;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** What was found in an intent log. `pages` are in the order in which its log names them; the frames there mean nothing. */
export interface IntentRecord extends IntentPart {
  pages: Uint8Array;
}

/**
 * What the intent log of the store with this uuid holds above group `txg`, in order; nothing if there is no log. Errors:
 * Node's.
 */
export function readIntentLog(store: string, uuid: string, txg: number): IntentRecord[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(intentLogPath(store));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const half = halfOf(bytes.length);
  const found = [0, half].flatMap((start) => recordsIn(bytes.subarray(start, start + half), uuid));
  const newer = found
    .filter((record) => record.txg > txg)
    .sort((a, b) => (a.txg === b.txg ? a.part - b.part : a.txg - b.txg));
  const end = newer.findIndex((record, i) => !(i === 0 ? record.part === 1 : follows(record, newer[i - 1])));
  return end < 0 ? newer : newer.slice(0, end);
}

/** Those of one half: what follows them is left over. */
function recordsIn(half: Buffer, uuid: string): IntentRecord[] {
  const records: IntentRecord[] = [];
  const salt = Buffer.from(half.subarray(SALT_AT, SALT_AT + SALT_BYTES));
  for (let at = 0; ;) {
    const record = recordAt(half, at, uuid, salt);
    const before = records.at(-1);
    if (record === undefined || (before !== undefined && !follows(record, before))) return records;
    records.push(record);
    at += roundUp(HEADER_BYTES + record.logBytes + record.pages.length);
  }
}

/** The next part of the group, or the first of the next group, with all parts of the one before there. */
const follows = ({ txg, part, before }: IntentPart, last: IntentPart): boolean =>
  txg === last.txg ? part === last.part + 1 : txg === last.txg + 1 && part === 1 && before === last.part;

function recordAt(bytes: Buffer, at: number, uuid: string, salt: Buffer): IntentRecord | undefined {
  if (at + HEADER_BYTES > bytes.length) return undefined;
  if (bytes.readUInt32LE(at) !== MAGIC || bytes.readUInt32LE(at + 4) !== VERSION) return undefined;
  if (bytes.toString('hex', at + UUID_AT, at + SALT_AT) !== uuid) return undefined;
  if (bytes.compare(salt, 0, SALT_BYTES, at + SALT_AT, at + SALT_AT + SALT_BYTES) !== 0) return undefined;
  const txg = bytes.readDoubleLE(at + TXG_AT);
  const part = bytes.readUInt32LE(at + PART_AT);
  const logBytes = bytes.readUInt32LE(at + LOG_BYTES_AT);
  const pages = bytes.readUInt32LE(at + PAGES_AT);
  const before = bytes.readUInt32LE(at + BEFORE_AT);
  if (logBytes > RECORD_LOG_MAX || pages > RECORD_PAGES_MAX) return undefined;
  const pagesAt = at + HEADER_BYTES + logBytes;
  const end = pagesAt + pages * PAGE_BYTES;
  if (end > bytes.length) return undefined;
  const digest = bytes.subarray(at + DIGEST_AT, at + HEADER_BYTES);
  if (!digestOf(bytes.subarray(at, end)).equals(digest)) return undefined;
  const log = new Uint8Array(bytes.subarray(at + HEADER_BYTES, pagesAt)).buffer;
  return { txg, part, before, log, logBytes, pages: new Uint8Array(bytes.subarray(pagesAt, end)) };
}
