/**
 * The tree in memory, changed by logged requests under rules of its own, and how a tree is written down to be compared:
 * one line an inode that the root leads to, with everything a crash must not lose but the times (reads move them,
 * unlogged).
 */
import { createHash } from 'node:crypto';
import { asIno, ROOT_INO } from '../../src/base/ids.js';
import type { StoreReader } from '../../src/store/types.js';
import type { Change, LoggedEntry } from './request-log.js';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const KEEP_SIZE = 1;
const PUNCH_OR_ZERO = 2 | 16;

interface Inode {
  mode: number;
  uid: number;
  gid: number;
  rdev: number;
  links: number;
  size: number;
  /** May be shorter than `size`: the rest is zeros. */
  data: Buffer;
  target: string;
  xattrs: Map<string, string>;
  entries: Map<string, number>;
  /** Number of the last change that concerned it or a name of it. */
  changed: number;
  /** Of `data`, until it changes. */
  digest: string | undefined;
}

const isDir = (mode: number): boolean => (mode & S_IFMT) === S_IFDIR;

/** Trailing zeros count as a hole, on both sides. */
const digestOf = (data: Buffer): string => {
  let end = data.length;
  while (end > 0 && data[end - 1] === 0) end--;
  return end === 0 ? '-' : createHash('sha1').update(data.subarray(0, end)).digest('base64');
};

const lineOf = (
  ino: number,
  {
    mode,
    uid,
    gid,
    rdev,
    links,
    size,
  }: Omit<Inode, 'data' | 'xattrs' | 'entries' | 'changed' | 'digest' | 'target'>,
  content: string,
  xattrs: [string, string][],
): string => {
  const pairs = xattrs
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => JSON.stringify([name, value]));
  const shown = isDir(mode) ? 0 : size;
  return `${ino} ${mode.toString(8)} ${uid}:${gid} ${rdev} links=${links} size=${shown} ${content} ${pairs.join(' ')}`;
};

const listing = (entries: [string, number][]): string =>
  JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));

export class CrashModel {
  readonly #inodes = new Map<number, Inode>();
  /** Changes played so far. */
  changes = 0;

  /** Starts with the root of an empty store. */
  constructor(root: { mode: number; uid: number; gid: number }) {
    this.#inodes.set(ROOT_INO, this.#fresh(root.mode, root.uid, root.gid, 2));
  }

  #fresh(mode: number, uid = 0, gid = 0, links = 1): Inode {
    const empty = { rdev: 0, size: 0, data: Buffer.alloc(0), target: '', digest: undefined };
    return { mode, uid, gid, links, ...empty, xattrs: new Map(), entries: new Map(), changed: this.changes };
  }
  #get(ino: number): Inode {
    const inode = this.#inodes.get(ino);
    if (inode === undefined) throw new Error(`the log speaks of inode ${ino}, which the model doesn't know`);
    return inode;
  }
  #entry(parent: number, name: string): number {
    const ino = this.#get(parent).entries.get(name);
    if (ino === undefined)
      throw new Error(`the log speaks of ${name} in ${parent}, which the model doesn't know`);
    return ino;
  }
  #enter(parent: number, name: string, ino: number): void {
    const [dir, inode] = [this.#get(parent), this.#get(ino)];
    dir.entries.set(name, ino);
    if (isDir(inode.mode)) dir.links++;
    dir.changed = inode.changed = this.changes;
  }
  #leave(parent: number, name: string): Inode {
    const dir = this.#get(parent);
    const inode = this.#get(this.#entry(parent, name));
    dir.entries.delete(name);
    if (isDir(inode.mode)) dir.links--;
    dir.changed = inode.changed = this.changes;
    return inode;
  }
  #resize(inode: Inode, size: number): void {
    if (size < inode.data.length) inode.data = Buffer.from(inode.data.subarray(0, size));
    inode.size = size;
    inode.digest = undefined;
  }
  #put(inode: Inode, offset: number, data: Buffer): void {
    const end = offset + data.length;
    if (end > inode.data.length)
      inode.data = Buffer.concat([inode.data, Buffer.alloc(end - inode.data.length)]);
    data.copy(inode.data, offset);
    inode.size = Math.max(inode.size, end);
    inode.digest = undefined;
  }
  #slice(inode: Inode, offset: number, bytes: number): Buffer {
    const out = Buffer.alloc(bytes);
    inode.data.copy(out, 0, offset, offset + bytes);
    return out;
  }

  /** Number of the last change that a barrier on `ino` (0: any) owes. */
  owed(ino: number): number {
    return ino === 0 ? this.changes : (this.#inodes.get(ino)?.changed ?? 0);
  }

  play(entry: LoggedEntry): void {
    if (entry.change === 'seal' || entry.change === 'part' || entry.change === 'barrier') return;
    this.changes++;
    this.#play(entry, entry.data);
  }

  #play(entry: Change, data: Buffer | undefined): void {
    switch (entry.change) {
      case 'make': {
        const inode = this.#fresh(entry.mode, 0, 0, isDir(entry.mode) ? 2 : 1);
        inode.rdev = entry.rdev;
        inode.target = entry.target;
        inode.size = entry.target.length;
        this.#inodes.set(entry.ino, inode);
        this.#enter(entry.parent, entry.name, entry.ino);
        return;
      }
      case 'tmpfile':
        this.#inodes.set(entry.ino, this.#fresh(entry.mode, 0, 0, 0));
        return;
      case 'link':
        this.#enter(entry.parent, entry.name, entry.ino);
        this.#get(entry.ino).links++;
        return;
      case 'remove':
        this.#leave(entry.parent, entry.name).links--;
        return;
      case 'rename':
        this.#rename(entry);
        return;
      default:
        this.#change(entry, data);
    }
  }

  #rename({ parent, name, newParent, newName, flags }: Extract<Change, { change: 'rename' }>): void {
    if (flags & 4) throw new Error('the model has no whiteouts');
    const source = this.#entry(parent, name);
    const target = this.#get(newParent).entries.get(newName);
    if (source === target) return;
    this.#leave(parent, name);
    if (target !== undefined) {
      const replaced = this.#leave(newParent, newName);
      if (flags & 2) this.#enter(parent, name, target);
      else replaced.links--;
    }
    this.#enter(newParent, newName, source);
  }

  #change(
    entry: Exclude<Change, { change: 'make' | 'tmpfile' | 'link' | 'remove' | 'rename' }>,
    data?: Buffer,
  ): void {
    const inode = this.#get(entry.change === 'copy' ? entry.to : entry.ino);
    inode.changed = this.changes;
    switch (entry.change) {
      case 'attributes':
        if (entry.mode !== undefined) inode.mode = (inode.mode & S_IFMT) | (entry.mode & 0o7777);
        inode.uid = entry.uid ?? inode.uid;
        inode.gid = entry.gid ?? inode.gid;
        if (entry.size !== undefined) this.#resize(inode, entry.size);
        return;
      case 'write':
        this.#put(inode, entry.offset, data ?? Buffer.alloc(0));
        return;
      case 'fallocate': {
        const end = entry.offset + entry.length;
        if (entry.mode & PUNCH_OR_ZERO) inode.data.fill(0, entry.offset, Math.min(end, inode.data.length));
        if (!(entry.mode & KEEP_SIZE)) inode.size = Math.max(inode.size, end);
        inode.digest = undefined;
        return;
      }
      case 'copy':
        this.#put(inode, entry.toOffset, this.#slice(this.#get(entry.from), entry.fromOffset, entry.bytes));
        return;
      case 'setxattr':
        inode.xattrs.set(entry.name, entry.value);
        return;
      case 'removexattr':
        inode.xattrs.delete(entry.name);
    }
  }

  /** The whole tree, written down. */
  describe(): string[] {
    const lines: string[] = [];
    const seen = new Set<number>();
    const queue: number[] = [ROOT_INO];
    for (let ino = queue.pop(); ino !== undefined; ino = queue.pop()) {
      if (seen.has(ino)) continue;
      seen.add(ino);
      const inode = this.#get(ino);
      let content = inode.target;
      if (isDir(inode.mode)) {
        content = listing([...inode.entries]);
        queue.push(...inode.entries.values());
      } else if ((inode.mode & S_IFMT) === S_IFREG) content = inode.digest ??= digestOf(inode.data);
      lines.push(lineOf(ino, inode, content, [...inode.xattrs]));
    }
    return lines.sort();
  }
}

const readData = (reader: StoreReader, ino: number, size: number): Buffer => {
  const { chunkBytes } = reader.superblock;
  const parts: Buffer[] = [];
  let end = 0;
  for (
    let index = reader.nextChunk(asIno(ino), 0);
    index >= 0;
    index = reader.nextChunk(asIno(ino), index + 1)
  ) {
    const at = index * chunkBytes;
    if (at >= size) break;
    const bytes = reader.readChunk(asIno(ino), index) ?? new Uint8Array(0);
    if (at > end) parts.push(Buffer.alloc(at - end));
    parts.push(Buffer.from(bytes.subarray(0, Math.min(bytes.length, size - at))));
    end = at + (parts.at(-1)?.length ?? 0);
  }
  return Buffer.concat(parts);
};

/** The same of a store. */
export const describeStore = (reader: StoreReader): string[] => {
  const lines: string[] = [];
  const seen = new Set<number>();
  const queue: number[] = [ROOT_INO];
  for (let ino = queue.pop(); ino !== undefined; ino = queue.pop()) {
    if (seen.has(ino)) continue;
    seen.add(ino);
    const row = reader.loadInode(asIno(ino));
    if (row === undefined) {
      lines.push(`${ino} is missing`);
      continue;
    }
    let content = '';
    if (isDir(row.mode)) {
      const entries = reader
        .scanDirents(asIno(ino), 0, 1_000_000)
        .map((e): [string, number] => [e.name, e.ino]);
      content = listing(entries);
      queue.push(...entries.map(([, child]) => child));
    } else if ((row.mode & S_IFMT) === S_IFREG) content = digestOf(readData(reader, ino, row.size));
    else if ((row.mode & S_IFMT) === S_IFLNK) {
      content = Buffer.from(reader.readSymlink(asIno(ino)) ?? []).toString('latin1');
    }
    const xattrs = row.xattrCount === 0 ? [] : reader.listXattrs(asIno(ino));
    const pairs = xattrs.map((x): [string, string] => [x.name, Buffer.from(x.value).toString('latin1')]);
    lines.push(lineOf(ino, { ...row, links: row.nlink }, content, pairs));
  }
  return lines.sort();
};
