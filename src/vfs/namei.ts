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

/**
 * The entry of `name`; undefined or an entry with ino 0: there is none. Throws ENAMETOOLONG.
 * Handing out a negative entry lets a following create skip the store.
 */
export const findName = (fs: FsState, dvp: Vnode, name: ByteName): NameEntry | undefined => {
  if (name.length > NAME_MAX) throw fsError('ENAMETOOLONG');
  const cached = fs.vnodes.names.lookup(dvp, name);
  if (cached !== undefined) return cached;
  if (dvp.namesComplete) return undefined;
  const found = fs.reader.lookupDirent(dvp.ino, name);
  return found
    ? fs.vnodes.names.enter(dvp, name, found.ino, found.type, found.cookie)
    : fs.vnodes.names.enter(dvp, name, asIno(0), 0, 0);
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
