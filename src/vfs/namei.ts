/**
 * Names in directories: lookup through the name cache and the store, and the two changes that all others are made of,
 * {@link setName} and {@link clearName}.
 */
import { fsError } from '../base/errno.js';
import type { ByteName, Ino } from '../base/ids.js';
import { asIno } from '../base/ids.js';
import type { NameEntry } from '../vnode/name-cache.js';
import type { Vnode } from '../vnode/vnode.js';
import { NAME_MAX, type FsState } from './state.js';

/** Entries. Reading as many takes about five times as long as looking up one. */
const SMALL_DIRECTORY = 32;
/** In a name cache smaller than this, a directory read whole would push out others' names. */
const NAMES_ROOM = 32 * SMALL_DIRECTORY;

/**
 * The entry of `name`; undefined or an entry with ino 0: there is none. Throws ENAMETOOLONG.
 * Handing out a negative entry lets a following create skip the store.
 */
export const findName = (fs: FsState, dvp: Vnode, name: ByteName): NameEntry | undefined => {
  if (name.length > NAME_MAX) throw fsError('ENAMETOOLONG');
  const cached = fs.vnodes.names.lookup(dvp, name);
  if (cached !== undefined) return cached;
  if (dvp.namesComplete) return undefined;
  if (completeNames(fs, dvp)) return dvp.names?.get(name);
  const found = fs.reader.lookupDirent(dvp.ino, name);
  return found
    ? fs.vnodes.names.enter(dvp, name, found.ino, found.type, found.cookie)
    : fs.vnodes.names.enter(dvp, name, asIno(0), 0, 0);
};

/**
 * Reads a small directory whole, once, so that the name cache answers for all its names, also for those it lacks, and
 * lists it: who looks up one name of a directory mostly wants others too. False: it is not small, or can't be read so.
 */
export const completeNames = (fs: FsState, dvp: Vnode): boolean => {
  const { names } = fs.vnodes;
  if (dvp.size > SMALL_DIRECTORY) return false;
  if (dvp.namesComplete) return true;
  if (!dvp.inStore || names.max < NAMES_ROOM) return false;
  // What was removed and isn't committed yet is still stored.
  const rows = fs.reader.readDirectory(dvp.ino, 2 * SMALL_DIRECTORY);
  if (rows === undefined) return false;
  const fresh = rows.filter((row) => dvp.names?.has(row.name) !== true);
  let entries = fresh.length;
  for (const { ino } of dvp.names?.values() ?? []) if (ino !== 0) entries++;
  if (entries !== dvp.size) return false; // a damaged store
  // Before they are entered: should one have to go at once, the cache says that they aren't complete any more.
  dvp.namesComplete = true;
  for (const { name, ino, type, cookie } of fresh) names.enter(dvp, name, ino, type, cookie);
  return dvp.namesComplete;
};

/** As {@link findName}, ENOENT if there is none. */
export const requireName = (fs: FsState, dvp: Vnode, name: ByteName): NameEntry => {
  const entry = findName(fs, dvp, name);
  if (entry === undefined || entry.ino === 0) throw fsError('ENOENT');
  return entry;
};

/**
 * Makes `name` in `dvp` lead to `ino`. A new name gets the directory's next cookie; a replaced one keeps its cookie, so
 * that a listing in progress shows the name once. The directory's times change too.
 */
export const setName = (fs: FsState, dvp: Vnode, name: ByteName, ino: Ino, mode: number): void => {
  const type = mode >>> 12;
  let entry = dvp.names?.get(name);
  if (entry === undefined || entry.ino === 0) {
    const cookie = dvp.nextCookie++;
    if (entry === undefined) {
      entry = fs.vnodes.names.insert(dvp, name, ino, type, cookie, false);
    } else {
      entry.ino = ino;
      entry.type = type;
      entry.cookie = cookie;
    }
    (dvp.added ??= []).push(entry);
    (dvp.addedCookies ??= []).push(cookie);
    dvp.size++;
  } else {
    entry.ino = ino;
    entry.type = type;
  }
  fs.txgs.dirtyName(entry);
  fs.modified(dvp);
};

/** Removes the name of a positive entry. */
export const clearName = (fs: FsState, entry: NameEntry): void => {
  const dvp = entry.dvp;
  entry.ino = asIno(0);
  entry.type = 0;
  dvp.size--;
  fs.txgs.dirtyName(entry);
  fs.modified(dvp);
};
