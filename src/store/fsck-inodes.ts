/**
 * One pass over everything that is keyed by an inode number, all tables side by side: sections 4 to 7 of
 * native-notes/disk-format.md.
 *
 * The rows of one number are gathered as {@link Facts} and judged together: that is also what a repair goes by. A
 * number that rows refer to but that has no inode is a ghost: if anything of it is left it gets an inode again.
 */
import Database from 'better-sqlite3';
import { type FindingSink, type Fix, type FsckProgress, shown } from './fsck-findings.js';
import { DataJudge } from './fsck-data.js';
import {
  BAD_NAME,
  DIR,
  type Facts,
  FILE,
  Gathering,
  LINK,
  type NameFact,
  ROOT,
  TYPE_MASK,
  TYPES,
} from './fsck-facts.js';
import type { TreeCheck } from './fsck-tree.js';
import type { Superblock } from './types.js';

/** What the store really holds: the counters row must say the same. */
export interface Totals {
  inodes: number;
  allocPages: number;
  lastIno: number;
  dirents: number;
  /** False: the inodes could not be read to the end. */
  complete: boolean;
}

/** Judges every inode. `expected` is how many the store says it has, for the progress. */
export function checkInodes(
  db: Database.Database,
  superblock: Superblock,
  sink: FindingSink,
  tree: TreeCheck,
  expected: number,
  progress: (progress: FsckProgress) => void,
): Totals {
  const gathering = new Gathering(db, sink, superblock.chunkBytes / 4096);
  const judge = new InodeJudge(db, superblock, sink, gathering);
  const totals: Totals = { inodes: 0, allocPages: 0, lastIno: ROOT, dirents: 0, complete: true };
  let root = false;
  try {
    for (let facts = gathering.next(); facts !== undefined; facts = gathering.next()) {
      totals.dirents += facts.entries?.count ?? 0;
      if (facts.inode !== undefined) {
        totals.inodes++;
        totals.allocPages += facts.inode.allocPages;
        totals.lastIno = facts.ino;
        if (facts.ino === ROOT) root = true;
        if (totals.inodes % 16384 === 0) progress({ step: 'inodes', fraction: totals.inodes / expected });
      }
      try {
        judge.judge(facts, tree);
      } catch (error) {
        if (!(error instanceof Database.SqliteError)) throw error;
        sink.structure('sqlite', facts.ino, `inode ${facts.ino} could not be examined: ${error.message}`);
      }
    }
    totals.complete = !gathering.inodes.broken;
    if (!root && totals.complete)
      sink.structure('root', ROOT, 'the root directory is missing', (m) => m.recreate(ROOT, DIR, 0));
    return totals;
  } finally {
    gathering.close();
  }
}

class InodeJudge {
  readonly #db: Database.Database;
  readonly #superblock: Superblock;
  readonly #sink: FindingSink;
  readonly #from: Gathering;
  readonly #nameAt;
  readonly #data: DataJudge;

  constructor(db: Database.Database, superblock: Superblock, sink: FindingSink, from: Gathering) {
    this.#db = db;
    this.#superblock = superblock;
    this.#sink = sink;
    this.#from = from;
    this.#data = new DataJudge(db, superblock, sink);
    this.#nameAt = db.prepare('SELECT name FROM dirent WHERE parent = ? AND cookie = ?').pluck();
  }

  judge(facts: Facts, tree: TreeCheck): void {
    const { ino } = facts;
    if (ino < 1 || !Number.isSafeInteger(ino)) this.#badNumber(facts);
    else if (facts.inode === undefined) this.#ghost(facts);
    else {
      if ((facts.inode.mode & TYPE_MASK) === DIR)
        tree.add(ino, ino === ROOT ? ROOT : (facts.names[0]?.parent ?? 0));
      if (facts.entries !== undefined && facts.entries.badNames > 0) this.#badNames(ino);
      if (this.#type(facts)) this.#known(facts);
    }
  }

  #name({ parent, cookie }: NameFact): string {
    try {
      return shown(this.#nameAt.get(parent, cookie) as Buffer | undefined);
    } catch {
      return 'that is unreadable';
    }
  }

  #badNumber({ ino, inode }: Facts): void {
    const what = inode === undefined ? 'rows refer to' : 'there is an inode with';
    this.#sink.structure('inode-number', ino, `${what} the number ${ino}, which no inode may have`, (m) =>
      m.dropBadNumbers(),
    );
  }

  /** Rows that belong to an inode that isn't there. */
  #ghost(facts: Facts): void {
    const { ino, names, entries, orphan } = facts;
    if (this.#from.inodes.broken) return;
    const sink = this.#sink;
    const type = evidence(facts);
    let fix: Fix | undefined = (m) => {
      if (ino === ROOT) return m.recreate(ROOT, DIR, 0);
      if (type === 0) return m.dropGhost(ino, names);
      const made = m.recreate(ino, type, facts.linkBytes ?? m.dataEnd(ino, this.#superblock.chunkBytes));
      return names.length > 0 ? made : `${made}; ${m.adopt(ino)}`;
    };
    // All of them are put right together, by the first.
    const report = (rule: string, at: number, what: string): void => {
      sink.structure(rule, at, what, fix);
      fix = undefined;
    };
    if (entries !== undefined)
      report('dirent-parent', ino, `${entries.count} entries are in directory ${ino}, which does not exist`);
    for (const name of names)
      report(
        'dirent-target',
        name.parent,
        `entry ${this.#name(name)} leads to inode ${ino}, which does not exist`,
      );
    if (facts.chunks !== undefined || facts.inlineBytes !== undefined)
      report('chunk-owner', ino, 'file data of an inode that does not exist');
    if (facts.linkBytes !== undefined)
      report('symlink', ino, 'a link target belongs to an inode that does not exist');
    if (facts.xattrs.count > 0)
      report('xattr-owner', ino, 'extended attributes of an inode that does not exist');
    if (orphan) report('orphan', ino, 'listed as an orphan but does not exist');
  }

  #badNames(ino: number): void {
    const rows = this.#db
      .prepare(`SELECT name, cookie FROM dirent WHERE parent = ? AND ${BAD_NAME} LIMIT 1000`)
      .all(ino) as { name: Buffer; cookie: number }[];
    for (const { name } of rows) {
      this.#sink.structure('dirent-name', ino, `entry ${shown(name)} has a name that no file may have`, (m) =>
        m.renameEntry(ino, name),
      );
    }
  }

  /** False: the type is wrong, so there is no point in judging the rest by it. */
  #type(facts: Facts): boolean {
    const { ino, names, orphan } = facts;
    const { mode } = facts.inode!;
    const type = mode & TYPE_MASK;
    const sink = this.#sink;
    const wanted = evidence(facts);
    const byName = names.length > 0 ? (names[0].type << 12) & TYPE_MASK : 0;
    if (ino === ROOT && type !== DIR) {
      sink.structure('root', ino, 'the root is not a directory', (m) => m.setType(ino, DIR));
      return false;
    }
    if (!TYPES.includes(type) || !(mode >= 0 && mode <= 0xffff)) {
      const type = wanted !== 0 ? wanted : TYPES.includes(byName) ? byName : FILE;
      const what = `mode ${mode.toString(8)} (octal) has no valid file type`;
      sink.structure('inode-type', ino, what, (m) => m.setType(ino, type));
      return false;
    }
    if (wanted === 0 || wanted === type) return true;
    const own = ownRows(facts, type);
    // What is stored for it speaks for another type: so does its name, or nothing speaks for this one.
    const retype = ino !== ROOT && !own && (byName === wanted || (names.length === 0 && !orphan));
    const [rule, what] = STRANGE[wanted] ?? ['chunk-owner', ''];
    sink.structure(rule, ino, what, (m) => {
      if (retype) return m.setType(ino, wanted);
      if (wanted === DIR) return m.moveEntries(ino);
      return wanted === LINK ? m.moveLink(ino) : m.moveData(ino, this.#superblock.chunkBytes);
    });
    return false;
  }

  #known(facts: Facts): void {
    const { ino, names, orphan } = facts;
    const inode = facts.inode!;
    const sink = this.#sink;
    const isDir = (inode.mode & TYPE_MASK) === DIR;
    if (inode.outOfRange || isDir !== inode.parent > 0)
      sink.value('inode-fields', ino, 'a column is out of its range', (m) => m.clampInode(ino, isDir));
    if (!this.#from.names.broken) {
      for (const name of names) {
        if (name.type === inode.mode >> 12) continue;
        const what = `entry ${this.#name(name)} has type ${name.type}, its inode type ${inode.mode >> 12}`;
        sink.structure('dirent-type', name.parent, what, (m) => m.retypeEntry(ino, name, inode.mode >> 12));
      }
      if (isDir) this.#directory(facts);
      else this.#linked(facts);
    }
    if (orphan && inode.nlink !== 0)
      sink.structure('orphan', ino, `orphan with link count ${inode.nlink}`, (m) =>
        names.length > 0 ? m.dropOrphan(ino) : m.adopt(ino),
      );
    if (!this.#from.xattrs.broken) {
      if (facts.xattrs.bad > 0)
        sink.structure(
          'xattr',
          ino,
          `${facts.xattrs.bad} extended attributes are too long or have no valid name`,
          (m) => m.dropBadXattrs(ino),
        );
      if (inode.xattrCount !== facts.xattrs.count) {
        const { count } = facts.xattrs;
        const what = `attribute count is ${inode.xattrCount}, but ${count} are stored`;
        sink.value('xattr-count', ino, what, (m) => m.setInode(ino, { xattr_count: count }));
      }
    }
    if (!this.#from.symlinks.broken) this.#symlink(facts);
    if (!this.#from.chunks.broken && !this.#from.inline.broken) this.#data.judge(facts);
  }

  #linked({ ino, inode, names, orphan }: Facts): void {
    const links = names.length;
    if (links === 0 && !(orphan && inode!.nlink === 0) && !this.#from.orphans.broken) {
      const what = 'no path from the root leads to it, and it is not an orphan';
      this.#sink.structure('unreachable', ino, what, (m) => m.adopt(ino));
    }
    if (inode!.nlink !== links) {
      const what = `link count is ${inode!.nlink}, but ${links} names lead to it`;
      this.#sink.value('link-count', ino, what, (m) => m.setInode(ino, { nlink: links }));
    }
  }

  #directory(facts: Facts): void {
    const { ino, names, orphan } = facts;
    const inode = facts.inode!;
    const sink = this.#sink;
    const entries = facts.entries ?? { count: 0, subdirs: 0, minCookie: 3, maxCookie: 2, badNames: 0 };
    const gone = orphan && inode.nlink === 0 && names.length === 0 && ino !== ROOT;
    if (gone && entries.count > 0)
      sink.structure('orphan', ino, `removed directory with ${entries.count} entries`, (m) => m.adopt(ino));
    if (ino === ROOT ? names.length > 0 : names.length > 1) {
      const what = `directory has ${names.length} names (the root must have none, others one)`;
      const keep = ino === ROOT ? undefined : (names.find((n) => n.parent === inode.parent) ?? names[0]);
      sink.structure('dir-names', ino, what, (m) => {
        for (const name of names) if (name !== keep) m.dropEntry(ino, name);
        return `removed all names${keep === undefined ? '' : ' but one'}`;
      });
    } else if (ino !== ROOT && names.length === 0 && !gone && !this.#from.orphans.broken) {
      const what = 'no path from the root leads to it, and it is not an orphan';
      sink.structure('unreachable', ino, what, (m) => m.adopt(ino));
    }
    const parent = ino === ROOT ? ROOT : (names[0]?.parent ?? inode.parent);
    if (names.length <= 1 && parent !== inode.parent) {
      const rule = ino === ROOT ? 'root' : 'dir-parent';
      const what = `directory's parent is recorded as ${inode.parent}, but its name is in directory ${parent}`;
      sink.value(rule, ino, ino === ROOT ? 'the root directory is not its own parent' : what, (m) =>
        m.setInode(ino, { parent }),
      );
    }
    if (this.#from.entries.broken) return;
    if (inode.nlink !== 2 + entries.subdirs && !gone) {
      const links = 2 + entries.subdirs;
      const what = `directory's link count is ${inode.nlink}, should be ${links}`;
      sink.value('link-count', ino, what, (m) => m.setInode(ino, { nlink: links }));
    }
    if (inode.size !== entries.count) {
      const what = `directory of ${entries.count} entries, size says ${inode.size}`;
      sink.value('dir-size', ino, what, (m) => m.setInode(ino, { size: entries.count }));
    }
    if (entries.minCookie < 3 || entries.maxCookie >= inode.nextCookie || inode.nextCookie < 3) {
      const what = `an entry has a cookie outside 3 to ${inode.nextCookie - 1}`;
      sink.structure('dirent-cookie', ino, what, (m) => m.renumberCookies(ino));
    }
  }

  #symlink({ ino, inode, names, linkBytes }: Facts): void {
    if ((inode!.mode & TYPE_MASK) !== LINK) return;
    if (linkBytes === undefined || !(linkBytes >= 1 && linkBytes <= 4095)) {
      const what =
        linkBytes === undefined ? 'symbolic link without a target' : `target of ${linkBytes} bytes`;
      this.#sink.structure('symlink', ino, what, (m) => m.dropInode(ino, names));
    } else if (inode!.size !== linkBytes) {
      const what = `target of ${linkBytes} bytes, size says ${inode!.size}`;
      this.#sink.value('symlink', ino, what, (m) => m.setInode(ino, { size: linkBytes }));
    }
  }
}

const STRANGE: Record<number, [string, string]> = {
  [DIR]: ['dirent-parent', 'there are entries in it, but it is not a directory'],
  [LINK]: ['symlink', 'a link target belongs to something that is not a symbolic link'],
  [FILE]: ['chunk-owner', 'file data of something that is not a regular file'],
};

const ownRows = (facts: Facts, type: number): boolean => {
  if (type === DIR) return facts.entries !== undefined;
  if (type === LINK) return facts.linkBytes !== undefined;
  return type === FILE && (facts.chunks !== undefined || facts.inlineBytes !== undefined);
};

/** The file type that the rows of other tables speak for, but not the inode's own; 0 if there are none. */
const evidence = (facts: Facts): number => {
  const own = facts.inode === undefined ? 0 : facts.inode.mode & TYPE_MASK;
  return [DIR, LINK, FILE].find((type) => type !== own && ownRows(facts, type)) ?? 0;
};
