/**
 * The frames of a write-ahead log that count: each with the log's salts and the checksum that chains it to those before.
 * Format: sqlite.org/walformat.html. SQLite keeps no locks on this file, so reading it by another descriptor is safe.
 */
import { readSync } from 'node:fs';
import { endianness } from 'node:os';

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC = 0x377f0682;
/** Of the header and of a frame's header that are checksummed. */
const HEADER_SUMMED = 24;
const FRAME_SUMMED = 8;

interface Sums {
  a: number;
  b: number;
}

export interface WalHeader {
  bytes: Buffer;
  /** Bytes of a frame with its header. */
  frameBytes: number;
  bigEndian: boolean;
}

export interface WalFrame {
  /** Of its header, in the log. */
  offset: number;
  /** The page of the database that it holds, from 1. */
  page: number;
  /** It ends a transaction. */
  commits: boolean;
  /** Header and page; valid until the next frame is asked for. */
  bytes: Buffer;
}

/** `bigEndian`: how the words are to be read. `to - from` is a multiple of 8. */
const addSums = ({ a, b }: Sums, bytes: Buffer, from: number, to: number, bigEndian: boolean): Sums => {
  const native = !bigEndian && endianness() === 'LE' && (bytes.byteOffset + from) % 4 === 0;
  if (native) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + from, (to - from) >> 2);
    for (let i = 0; i < words.length; i += 2) {
      a = (a + words[i] + b) | 0;
      b = (b + words[i + 1] + a) | 0;
    }
    return { a, b };
  }
  for (let at = from; at < to; at += 8) {
    a = (a + (bigEndian ? bytes.readInt32BE(at) : bytes.readInt32LE(at)) + b) | 0;
    b = (b + (bigEndian ? bytes.readInt32BE(at + 4) : bytes.readInt32LE(at + 4)) + a) | 0;
  }
  return { a, b };
};

const matches = ({ a, b }: Sums, bytes: Buffer, at: number): boolean =>
  bytes.readInt32BE(at) === a && bytes.readInt32BE(at + 4) === b;

/** Reads `bytes` whole at `offset`, or tells that the file ends before. */
const readWhole = (fd: number, bytes: Buffer, offset: number): boolean => {
  let done = 0;
  while (done < bytes.length) {
    const got = readSync(fd, bytes, done, bytes.length - done, offset + done);
    if (got === 0) return false;
    done += got;
  }
  return true;
};

const headerSums = ({ bytes, bigEndian }: WalHeader): Sums =>
  addSums({ a: 0, b: 0 }, bytes, 0, HEADER_SUMMED, bigEndian);

/** undefined: there is no valid one. Errors: those of read(2). */
export function readWalHeader(fd: number): WalHeader | undefined {
  const bytes = Buffer.alloc(HEADER_BYTES);
  if (!readWhole(fd, bytes, 0)) return undefined;
  const magic = bytes.readUInt32BE(0);
  const frameBytes = FRAME_HEADER_BYTES + bytes.readUInt32BE(8);
  const header = { bytes, frameBytes, bigEndian: (magic & 1) === 1 };
  const known = (magic & ~1) >>> 0 === MAGIC && frameBytes <= FRAME_HEADER_BYTES + 65_536;
  return known && matches(headerSums(header), bytes, HEADER_SUMMED) ? header : undefined;
}

/** The valid frames in order, whether a transaction ends after them or not. Errors: those of read(2). */
export function* walFrames(fd: number, header: WalHeader): Generator<WalFrame, void> {
  const { bigEndian, frameBytes } = header;
  const bytes = Buffer.alloc(frameBytes);
  let sums = headerSums(header);
  for (let offset = HEADER_BYTES; readWhole(fd, bytes, offset); offset += frameBytes) {
    sums = addSums(sums, bytes, 0, FRAME_SUMMED, bigEndian);
    sums = addSums(sums, bytes, FRAME_HEADER_BYTES, frameBytes, bigEndian);
    const salted = bytes.compare(header.bytes, 16, 24, 8, 16) === 0;
    if (!salted || !matches(sums, bytes, 16)) return;
    yield { offset, page: bytes.readUInt32BE(0), commits: bytes.readUInt32BE(4) !== 0, bytes };
  }
}
