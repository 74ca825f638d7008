/**
 * Pages that a store should have and that are nowhere: its file has lost its end. SQLite says so itself only of a file
 * without a log. With one it takes the length from the log, and reads such a page as zeros or fails, depending on the
 * way it reads it; folding in the log makes the file long enough, with zeros, and the loss can't be seen any more.
 */
import type Database from 'better-sqlite3';
import { closeSync, openSync, statSync } from 'node:fs';
import { readWalHeader, walFrames } from './wal-frames.js';

/**
 * How many pages are neither in the file nor in the committed part of its log. Reads the log if the file alone is too
 * short. Errors: SQLite's, and those of read(2).
 */
export function missingPages(db: Database.Database, path: string): number {
  // First the length that the connection's snapshot has: a checkpoint may only make the file longer after that.
  const pages = Number(db.pragma('page_count', { simple: true }));
  const pageBytes = Number(db.pragma('page_size', { simple: true }));
  const missing = new Set<number>();
  for (let page = Math.floor(statSync(path).size / pageBytes) + 1; page <= pages; page++) missing.add(page);
  if (missing.size > 0) findInLog(`${path}-wal`, missing);
  return missing.size;
}

/** Takes out of `missing` the pages that the log holds. */
function findInLog(log: string, missing: Set<number>): void {
  let fd: number;
  try {
    fd = openSync(log, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const header = readWalHeader(fd);
    if (header === undefined) return;
    const uncommitted: number[] = [];
    for (const { page, commits } of walFrames(fd, header)) {
      uncommitted.push(page);
      if (!commits) continue;
      for (const found of uncommitted) missing.delete(found);
      if (missing.size === 0) return;
      uncommitted.length = 0;
    }
  } finally {
    closeSync(fd);
  }
}
