/**
 * Directory listing: the store's rows in cookie order, merged with the names that are not in the store yet.
 *
 * A cookie names the entry it was given with: listing goes on after it, whatever was added or removed meanwhile. So an
 * entry that exists throughout is listed exactly once (POSIX readdir). Cookies 1 and 2 are `.` and `..`.
 */
import { asIno, byteName, type ByteName, type Ino } from '../base/ids.js';
import { isFsError } from '../base/errno.js';
import type { DirentRecord } from '../store/types.js';
import type { Vnode } from '../vnode/vnode.js';
import type { DirentPlusSink, DirentSink } from './api.js';
import { completeNames } from './namei.js';
import { withVnode, type FsState } from './state.js';

const DOT = byteName('.');
const DOTDOT = byteName('..');
const DT_DIR = 4;
const BATCH = 512;
/** Inodes read ahead of a listing with attributes. */
const AHEAD = 64;

/** Entries of `dvp` with cookie > `after` in cookie order, as they are now. */
function* entriesAfter(fs: FsState, dvp: Vnode, after: number): Generator<DirentRecord> {
  if (completeNames(fs, dvp)) {
    yield* cachedAfter(dvp, after);
    return;
  }
  let cookie = after;
  for (;;) {
    const rows = dvp.inStore ? fs.reader.scanDirents(dvp.ino, cookie, BATCH) : [];
    const last = rows.at(-1)?.cookie ?? Infinity;
    const batch = merge(rows, dvp, cookie, last);
    yield* batch;
    if (last === Infinity) return;
    cookie = last;
  }
}

/** Of a directory whose cached names are complete. */
const cachedAfter = (dvp: Vnode, after: number): DirentRecord[] => {
  const found: DirentRecord[] = [];
  for (const { name, ino, type, cookie } of dvp.names?.values() ?? []) {
    if (ino !== 0 && cookie > after) found.push({ name, ino, type, cookie });
  }
  return found.sort((a, b) => a.cookie - b.cookie);
};

const merge = (rows: readonly DirentRecord[], dvp: Vnode, after: number, last: number): DirentRecord[] => {
  const stored: DirentRecord[] = [];
  for (const row of rows) {
    const entry = dvp.dirtyNames > 0 ? dvp.names?.get(row.name) : undefined;
    if (entry === undefined || entry.dirtyTxg === 0) stored.push(row);
    // A dirty entry with another cookie comes from the overlay, at its own place.
    else if (entry.ino !== 0 && entry.cookie === row.cookie) {
      stored.push({ name: row.name, ino: entry.ino, type: entry.type, cookie: row.cookie });
    }
  }
  const added = overlay(dvp, after, last);
  if (added.length === 0) return stored;
  const merged: DirentRecord[] = [];
  let s = 0;
  for (const entry of added) {
    while (s < stored.length && stored[s].cookie < entry.cookie) merged.push(stored[s++]);
    // Committed already, though we have not heard of it: the row is the same entry.
    if (s < stored.length && stored[s].cookie === entry.cookie) s++;
    merged.push(entry);
  }
  while (s < stored.length) merged.push(stored[s++]);
  return merged;
};

/** Dirty additions with after < cookie <= last; at most a batch of them unless the store's rows reach further. */
const overlay = (dvp: Vnode, after: number, last: number): DirentRecord[] => {
  const { added, addedCookies } = dvp;
  if (added === undefined || addedCookies === undefined) return [];
  const found: DirentRecord[] = [];
  for (let i = firstAbove(addedCookies, after); i < added.length && addedCookies[i] <= last; i++) {
    const entry = added[i];
    // A stale slot: removed, or removed and added again under a later cookie.
    if (entry.ino === 0 || entry.cookie !== addedCookies[i]) continue;
    found.push({ name: entry.name, ino: entry.ino, type: entry.type, cookie: entry.cookie });
  }
  return found;
};

/** Index of the first element > value in an ascending array. */
const firstAbove = (sorted: readonly number[], value: number): number => {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const mid = (low + high) >>> 1;
    if (sorted[mid] <= value) low = mid + 1;
    else high = mid;
  }
  return low;
};

/** `.` and `..` after `cookie`; false when the sink is full. */
const dots = (
  dvp: Vnode,
  cookie: number,
  emit: (name: ByteName, ino: Ino, cookie: number) => boolean,
): boolean => {
  if (cookie < 1 && !emit(DOT, dvp.ino, 1)) return false;
  return cookie >= 2 || emit(DOTDOT, asIno(dvp.parent), 2);
};

export const readdir = (fs: FsState, ino: Ino, cookie: number, sink: DirentSink): void =>
  withVnode(fs, fs.vgetDir(ino), (dvp) => {
    if (!dots(dvp, cookie, (name, dotIno, at) => sink(name, dotIno, DT_DIR, at))) return;
    for (const entry of entriesAfter(fs, dvp, Math.max(cookie, 2))) {
      if (!sink(entry.name, entry.ino, entry.type, entry.cookie)) break;
    }
    fs.accessed(dvp);
  });

/**
 * As readdir, with attributes. An entry whose inode can't be read comes without them: its lookup will show the
 * error.
 */
export const readdirplus = (fs: FsState, ino: Ino, cookie: number, sink: DirentPlusSink): void =>
  withVnode(fs, fs.vgetDir(ino), (dvp) => {
    if (!dots(dvp, cookie, (name, dotIno, at) => sink(name, dotIno, DT_DIR, at, undefined))) return;
    for (const entry of withInodesAhead(fs, entriesAfter(fs, dvp, Math.max(cookie, 2)))) {
      const vp = vgetOrUndefined(fs, entry.ino);
      try {
        if (!sink(entry.name, entry.ino, entry.type, entry.cookie, vp)) break;
      } finally {
        if (vp !== undefined) fs.vnodes.vrele(vp);
      }
    }
    fs.accessed(dvp);
  });

/** The same entries; their inodes are read a few at a time, as it isn't known how many the sink takes. */
function* withInodesAhead(fs: FsState, entries: Generator<DirentRecord>): Generator<DirentRecord> {
  let batch: DirentRecord[] = [];
  for (const entry of entries) {
    batch.push(entry);
    if (batch.length < AHEAD) continue;
    yield* readAhead(fs, batch);
    batch = [];
  }
  yield* readAhead(fs, batch);
}

const readAhead = (fs: FsState, entries: DirentRecord[]): DirentRecord[] => {
  const absent = entries.filter(({ ino }) => fs.vnodes.peek(fs.mp, ino) === undefined);
  fs.reader.readInodesAhead(absent.map(({ ino }) => ino));
  return entries;
};

const vgetOrUndefined = (fs: FsState, ino: Ino): Vnode | undefined => {
  try {
    return fs.vget(ino);
  } catch (error) {
    if (isFsError(error)) return undefined;
    throw error;
  }
};
