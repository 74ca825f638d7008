/**
 * The rows of all tables that are keyed by an inode number, side by side, in the order of the numbers: what the check
 * judges together. Only the entries, which are keyed by their directory, have to be sorted, which SQLite does in a
 * temporary file.
 */
import type Database from 'better-sqlite3';
import type { FindingSink } from './fsck-findings.js';
import { Stream } from './fsck-stream.js';

export const DIR = 0x4000;
export const FILE = 0x8000;
export const LINK = 0xa000;
export const TYPE_MASK = 0xf000;
export const TYPES = [0x1000, 0x2000, DIR, 0x6000, FILE, LINK, 0xc000];
export const ROOT = 1;
const MAX = Number.MAX_SAFE_INTEGER;

/** A name's row, without the name itself: it can be looked up by its cookie. */
export interface NameFact {
  parent: number;
  type: number;
  cookie: number;
}

export interface Facts {
  ino: number;
  inode:
    | {
        mode: number;
        nlink: number;
        size: number;
        allocPages: number;
        xattrCount: number;
        parent: number;
        nextCookie: number;
        outOfRange: boolean;
      }
    | undefined;
  /** Entries that lead to it. */
  names: NameFact[];
  /** Entries in it. */
  entries:
    { count: number; subdirs: number; minCookie: number; maxCookie: number; badNames: number } | undefined;
  linkBytes: number | undefined;
  xattrs: { count: number; bad: number };
  inlineBytes: number | undefined;
  chunks: { pages: number; minIdx: number; maxIdx: number; badExtents: number } | undefined;
  orphan: boolean;
}

/** SQL: a row of chunk_map with an index or extent that no chunk may have. */
export const badExtent = (chunkBytes: number): string =>
  `(idx NOT BETWEEN 0 AND ${Math.floor(Number.MAX_SAFE_INTEGER / chunkBytes)} OR pages NOT BETWEEN 1 AND ${chunkBytes / 4096})`;

export const BAD_NAME =
  "(length(name) NOT BETWEEN 1 AND 255 OR name IN (x'2e', x'2e2e') OR instr(name, x'2f') > 0 OR instr(name, x'00') > 0)";
const outside = (column: string, max: number | string, min: number | string = 0): string =>
  `${column} NOT BETWEEN ${min} AND ${max}`;
const U32 = 0xffffffff;
const OUT_OF_RANGE = [
  ...['uid', 'gid', 'rdev', 'flags'].map((column) => outside(column, U32)),
  ...['nlink', 'size', 'alloc_pages', 'xattr_count', 'parent', 'next_cookie'].map((c) => outside(c, MAX)),
  ...['atime', 'mtime', 'ctime', 'btime'].flatMap((time) => [
    outside(`${time}_nsec`, 999_999_999),
    outside(`${time}_sec`, MAX, -MAX),
  ]),
].join(' OR ');

type R = [number, ...number[]];

/** The tables side by side, in the order of inode numbers. */
export class Gathering {
  readonly inodes: Stream<R>;
  readonly names: Stream<R>;
  readonly entries: Stream<R>;
  readonly symlinks: Stream<R>;
  readonly xattrs: Stream<R>;
  readonly inline: Stream<R>;
  readonly chunks: Stream<R>;
  readonly orphans: Stream<R>;
  readonly all: readonly Stream<R>[];

  constructor(db: Database.Database, sink: FindingSink, chunkPages: number) {
    const open = (table: string, sql: string): Stream<R> => new Stream<R>(db, table, sql, sink);
    this.inodes = open(
      'inode',
      `SELECT ino, mode, nlink, size, alloc_pages, xattr_count, parent, next_cookie, (${OUT_OF_RANGE})
       FROM inode ORDER BY ino`,
    );
    this.names = open('dirent', 'SELECT ino, parent, type, cookie FROM dirent ORDER BY ino');
    this.entries = open(
      'dirent',
      `SELECT parent, count(*), sum(type = 4), min(cookie), max(cookie), sum(${BAD_NAME})
       FROM dirent NOT INDEXED GROUP BY parent ORDER BY parent`,
    );
    this.symlinks = open('symlink', 'SELECT ino, length(target) FROM symlink ORDER BY ino');
    this.xattrs = open(
      'xattr',
      `SELECT ino, count(*), sum(length(name) NOT BETWEEN 1 AND 255 OR instr(name, x'00') > 0 OR length(value) > 65536)
       FROM xattr GROUP BY ino ORDER BY ino`,
    );
    this.inline = open('inline_data', 'SELECT ino, length(data) FROM inline_data ORDER BY ino');
    this.chunks = open(
      'chunk_map',
      `SELECT ino, sum(pages), min(idx), max(idx), sum(${badExtent(chunkPages * 4096)})
       FROM chunk_map GROUP BY ino ORDER BY ino`,
    );
    this.orphans = open('orphan', 'SELECT ino FROM orphan ORDER BY ino');
    this.all = [
      this.inodes,
      this.names,
      this.entries,
      this.symlinks,
      this.xattrs,
      this.inline,
      this.chunks,
      this.orphans,
    ];
  }

  /** The facts of the next number; undefined at the end. */
  next(): Facts | undefined {
    const ino = this.all.reduce((least, stream) => Math.min(least, stream.key), Infinity);
    if (ino === Infinity) return undefined;
    const i = this.inodes.take(ino);
    const names: NameFact[] = [];
    for (let n = this.names.take(ino); n !== undefined; n = this.names.take(ino)) {
      names.push({ parent: n[1], type: n[2], cookie: n[3] });
    }
    const e = this.entries.take(ino);
    const x = this.xattrs.take(ino);
    const c = this.chunks.take(ino);
    return {
      ino,
      inode: i && {
        mode: i[1],
        nlink: i[2],
        size: i[3],
        allocPages: i[4],
        xattrCount: i[5],
        parent: i[6],
        nextCookie: i[7],
        outOfRange: i[8] !== 0,
      },
      names,
      entries: e && { count: e[1], subdirs: e[2], minCookie: e[3], maxCookie: e[4], badNames: e[5] },
      linkBytes: this.symlinks.take(ino)?.[1],
      xattrs: { count: x?.[1] ?? 0, bad: x?.[2] ?? 0 },
      inlineBytes: this.inline.take(ino)?.[1],
      chunks: c && { pages: c[1], minIdx: c[2], maxIdx: c[3], badExtents: c[4] },
      orphan: this.orphans.take(ino) !== undefined,
    };
  }

  close(): void {
    for (const stream of this.all) stream.close();
  }
}
