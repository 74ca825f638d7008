/**
 * Values of rows, checked. SQLite looks at a column's type when a row is written, not when it is read: on a damaged page
 * a blob may have turned into a number.
 */
import { asIno, byteNameOf, type ByteName } from '../base/ids.js';
import type { InodeRecord } from './types.js';

export class WrongType extends Error {
  override readonly name = 'WrongType';
  constructor() {
    super('a value has the wrong type: the store is damaged');
  }
}

/** Throws WrongType for anything but an integer that a JS number holds exactly. */
export const intOf = (value: unknown): number => {
  if (!Number.isSafeInteger(value)) throw new WrongType();
  return value as number;
};

/** Throws WrongType. */
export const blobOf = (value: unknown): Uint8Array => {
  if (!(value instanceof Uint8Array)) throw new WrongType();
  return value;
};

/** Throws WrongType. */
export const nameOf = (value: unknown): ByteName => byteNameOf(blobOf(value));

/** A row of `ino` and INODE_COLUMNS (schema.ts), from column `at` on. Throws WrongType. */
export const inodeOf = (row: readonly unknown[], at = 0): InodeRecord => ({
  ino: asIno(intOf(row[at])),
  mode: intOf(row[at + 1]),
  uid: intOf(row[at + 2]),
  gid: intOf(row[at + 3]),
  nlink: intOf(row[at + 4]),
  size: intOf(row[at + 5]),
  rdev: intOf(row[at + 6]),
  allocPages: intOf(row[at + 7]),
  flags: intOf(row[at + 8]),
  xattrCount: intOf(row[at + 9]),
  parent: intOf(row[at + 10]),
  nextCookie: intOf(row[at + 11]),
  atimeSec: intOf(row[at + 12]),
  atimeNsec: intOf(row[at + 13]),
  mtimeSec: intOf(row[at + 14]),
  mtimeNsec: intOf(row[at + 15]),
  ctimeSec: intOf(row[at + 16]),
  ctimeNsec: intOf(row[at + 17]),
  btimeSec: intOf(row[at + 18]),
  btimeNsec: intOf(row[at + 19]),
});
