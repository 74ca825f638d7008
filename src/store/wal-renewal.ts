/**
 * Makes a write-ahead log trustworthy again after a write or sync of it failed.
 *
 * When writing back a page fails, the kernel reports it once and marks the page clean: it stays readable, may never
 * reach the disk, and no later fsync says so (fsync(2); "Can applications recover from fsync failures?", Rebello et al.
 * 2020). Frames that were committed without a sync may be lost like that in the middle of the log, and then everything
 * after them is, as frames are chained by checksums. Folding such a log into the main file would not do: a crash
 * half-way leaves a main file with newer pages under a log that ends early, which SQLite would replay over them. So
 * every frame is read, checked, and written once more where it is, which makes its pages dirty again; the sync after
 * that covers them all. A crash meanwhile changes nothing, since no byte changes.
 *
 * Format: sqlite.org/walformat.html.
 */
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { Errno, FsError } from '../base/errno.js';

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

const lost = (frame: number, frames: number): FsError =>
  new FsError(Errno.EIO, 'renewWal', {
    cause: new Error(
      `frame ${frame} of the ${frames} in the store's -wal file was lost by the failing disk: ` +
        'what is not in the store by now cannot be saved by trying again',
    ),
  });

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

const writeWhole = (fd: number, bytes: Buffer, offset: number): void => {
  for (let done = 0; done < bytes.length;)
    done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
};

const renew = (fd: number, frames: number): void => {
  const header = Buffer.alloc(HEADER_BYTES);
  if (!readWhole(fd, header, 0)) throw lost(0, frames);
  const magic = header.readUInt32BE(0);
  const bigEndian = (magic & 1) === 1;
  let sums = addSums({ a: 0, b: 0 }, header, 0, HEADER_SUMMED, bigEndian);
  if ((magic & ~1) >>> 0 !== MAGIC || !matches(sums, header, HEADER_SUMMED)) throw lost(0, frames);
  writeWhole(fd, header, 0);
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + header.readUInt32BE(8));
  for (let i = 0; i < frames; i++) {
    const offset = HEADER_BYTES + i * frame.length;
    if (!readWhole(fd, frame, offset)) throw lost(i + 1, frames);
    sums = addSums(sums, frame, 0, FRAME_SUMMED, bigEndian);
    sums = addSums(sums, frame, FRAME_HEADER_BYTES, frame.length, bigEndian);
    const salted = frame.compare(header, 16, 24, 8, 16) === 0;
    if (!salted || !matches(sums, frame, 16)) throw lost(i + 1, frames);
    writeWhole(fd, frame, offset);
  }
};

/**
 * Writes the first `frames` frames (all that the log's index knows) of the log at `path` anew, and syncs. Requires:
 * nobody appends meanwhile. Safe beside SQLite in one process: it keeps no locks on the log. Errors: FsError(EIO), also
 * if a frame can't be read back as it was written; then nothing is durable that was not before.
 */
export function renewWalFile(path: string, frames: number): void {
  if (frames === 0) return;
  try {
    const fd = openSync(path, 'r+');
    try {
      renew(fd, frames);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw error instanceof FsError ? error : new FsError(Errno.EIO, 'renewWal', { cause: error });
  }
}
