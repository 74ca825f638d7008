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
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { Errno, FsError } from '../base/errno.js';
import { readWalHeader, walFrames } from './wal-frames.js';

const lost = (frame: number, frames: number): FsError =>
  new FsError(Errno.EIO, 'renewWal', {
    cause: new Error(
      `frame ${frame} of the ${frames} in the store's -wal file was lost by the failing disk: ` +
        'what is not in the store by now cannot be saved by trying again',
    ),
  });

const writeWhole = (fd: number, bytes: Buffer, offset: number): void => {
  for (let done = 0; done < bytes.length;)
    done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
};

const renew = (fd: number, frames: number): void => {
  const header = readWalHeader(fd);
  if (header === undefined) throw lost(0, frames);
  writeWhole(fd, header.bytes, 0);
  let renewed = 0;
  for (const { bytes, offset } of walFrames(fd, header)) {
    writeWhole(fd, bytes, offset);
    if (++renewed === frames) return;
  }
  throw lost(renewed + 1, frames);
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
