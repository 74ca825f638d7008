/**
 * Reads everything of a store through the core, as a mount with `-o ro` would, and judges what it sees by itself,
 * without fsck. An error that is no FsError (or StoreError at opening) is a crash of the daemon, and thrown.
 */
import { createHash } from 'node:crypto';
import { FsError } from '../../src/base/errno.js';
import { ManualClock } from '../../src/base/clock.js';
import { type Ino, ROOT_INO } from '../../src/base/ids.js';
import { kernelCapabilities } from '../../src/fuse/kernel/capabilities.js';
import type { DataSink } from '../../src/vfs/api.js';
import { Core } from '../../src/vfs/core.js';
import type { FileSystem } from '../../src/vfs/filesystem.js';
import { checkInvariants } from '../../src/vfs/invariants.js';
import { Shared } from '../../src/vfs/shared.js';

const CALLER = { uid: 0, gid: 0, pid: 1 };
const SEEK_DATA = 3;
const PIECE = 65536;
const READ_MAX = 1 << 20;
const ENTRIES_MAX = 100_000;
const ENXIO = 6;
const NO_MORE_DATA = -1;
const UNREADABLE = -2;

export interface Walked {
  /** Path → what is there, without its content. */
  tree: Map<string, string>;
  /** Path → digest of a regular file's data. */
  contents: Map<string, string>;
  /** `path: operation: errno`. */
  errors: string[];
  /** What can't be so in a sound tree. */
  wrong: string[];
}

/** Errors: StoreError, FsError if the store can't be mounted. */
export const walkStore = (store: string): Walked => {
  const pool = new SharedArrayBuffer(256 * 4096);
  const shared = new Shared({ pool, vnodesMax: 128, clock: new ManualClock() });
  const core = new Core(shared, {
    store,
    syncIntervalMs: 5000,
    syncer: { send: () => undefined },
    readOnly: true,
    noatime: true,
    hostFreeBytes: () => 1 << 30,
    capabilities: kernelCapabilities(),
  });
  try {
    const walked = new Walk(core.fs, new Uint8Array(pool)).run();
    walked.wrong.push(...checkInvariants(core.vnodes));
    return walked;
  } finally {
    core.close();
  }
};

class Walk {
  readonly #fs: FileSystem;
  readonly #pool: Uint8Array;
  readonly #found: Walked = { tree: new Map(), contents: new Map(), errors: [], wrong: [] };
  readonly #links = new Map<number, { seen: number; nlink: number }>();

  constructor(fs: FileSystem, pool: Uint8Array) {
    this.#fs = fs;
    this.#pool = pool;
  }

  run(): Walked {
    const visited = new Set<number>();
    const todo: [Ino, string][] = [[ROOT_INO, '']];
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      const [ino, path] = next;
      if (visited.has(ino)) {
        this.#found.wrong.push(`${path}: a directory with two names`);
        continue;
      }
      visited.add(ino);
      this.#directory(ino, path, todo);
    }
    for (const [ino, { seen, nlink }] of this.#links) {
      if (seen !== nlink) this.#found.wrong.push(`inode ${ino}: ${seen} names, link count ${nlink}`);
    }
    return this.#found;
  }

  #try<T>(what: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#found.errors.push(`${what}: errno ${error.errno}`);
      return undefined;
    }
  }

  #directory(ino: Ino, path: string, todo: [Ino, string][]): void {
    const entries: [Ino, string, number][] = [];
    this.#try(`${path}: readdir`, () =>
      this.#fs.readdir(CALLER, ino, 2, (name, child, type) => {
        entries.push([child, name, type]);
        return entries.length < ENTRIES_MAX;
      }),
    );
    this.#attributes(ino, path, entries.length, entries.filter(([, , type]) => type === 4).length);
    for (const [child, name, type] of entries) {
      const at = `${path}/${name}`;
      const vp = this.#try(`${at}: lookup`, () => this.#fs.lookup(CALLER, ino, name as never));
      if (vp === undefined) continue;
      const { mode, nlink } = vp;
      if (vp.ino !== child) this.#found.wrong.push(`${at}: listed as ${child}, looked up as ${vp.ino}`);
      if (mode >> 12 !== type) this.#found.wrong.push(`${at}: listed with type ${type}, has mode ${mode}`);
      this.#fs.vrele(vp);
      if (mode >> 12 === 4) {
        todo.push([child, at]);
        continue;
      }
      const link = this.#links.get(child) ?? { seen: 0, nlink };
      link.seen++;
      this.#links.set(child, link);
      this.#attributes(child, at, -1, 0);
      if (mode >> 12 === 8) this.#data(child, at);
    }
  }

  #attributes(ino: Ino, path: string, entries: number, subdirs: number): void {
    const vp = this.#try(`${path}: getattr`, () => this.#fs.getattr(CALLER, ino, undefined));
    if (vp === undefined) return;
    const { mode, uid, gid, nlink, size, rdev, mtimeSec } = vp;
    this.#fs.vrele(vp);
    if (entries >= 0 && size !== entries) this.#found.wrong.push(`${path}: ${entries} entries, size ${size}`);
    if (entries >= 0 && nlink !== 2 + subdirs)
      this.#found.wrong.push(`${path}: ${subdirs} directories, ${nlink} links`);
    let target = '';
    if (mode >> 12 === 10) {
      const bytes = this.#try(`${path}: readlink`, () => this.#fs.readlink(CALLER, ino));
      target = Buffer.from(bytes ?? []).toString('latin1');
      if (bytes !== undefined && bytes.length !== size)
        this.#found.wrong.push(`${path}: target and size differ`);
    }
    const names = this.#try(`${path}: listxattr`, () => this.#fs.listxattr(CALLER, ino)) ?? new Uint8Array(0);
    const xattrs: string[] = [];
    for (const name of Buffer.from(names).toString('latin1').split('\0').slice(0, -1)) {
      const value = this.#try(`${path}: getxattr`, () => this.#fs.getxattr(CALLER, ino, name as never));
      xattrs.push(`${name}=${Buffer.from(value ?? []).toString('base64')}`);
    }
    this.#found.tree.set(path, [mode, uid, gid, nlink, size, rdev, mtimeSec, target, ...xattrs].join(' '));
  }

  #data(ino: Ino, path: string): void {
    const open = this.#try(`${path}: open`, () => this.#fs.open(CALLER, ino, 0));
    if (open === undefined) return;
    const vp = this.#fs.getattr(CALLER, ino, undefined);
    const { size } = vp;
    this.#fs.vrele(vp);
    const hash = createHash('sha1').update(String(size));
    let budget = READ_MAX;
    let whole = true;
    for (let at = 0; at < size && budget > 0;) {
      const start = this.#seek(ino, open.fh, at, path);
      if (start === UNREADABLE) whole = false;
      if (start < 0) break;
      const length = Math.min(PIECE, size - start);
      const got = this.#try(`${path}: read`, () =>
        this.#fs.read(
          ino,
          open.fh,
          start,
          length,
          this.#sink((piece) => hash.update(piece)),
        ),
      );
      if (got === undefined) whole = false;
      else if (got !== length) this.#found.wrong.push(`${path}: ${got} of ${length} bytes at ${start}`);
      hash.update(`@${start}`);
      at = start + length;
      budget -= length;
    }
    this.#fs.release(open.fh);
    if (whole) this.#found.contents.set(path, hash.digest('hex'));
  }

  #seek(ino: Ino, fh: number, at: number, path: string): number {
    try {
      return this.#fs.lseek(ino, fh as never, at, SEEK_DATA);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      if (error.errno === ENXIO) return NO_MORE_DATA;
      this.#found.errors.push(`${path}: lseek: errno ${error.errno}`);
      return UNREADABLE;
    }
  }

  #sink(take: (piece: Uint8Array) => void): DataSink {
    return {
      pool: (offset, length) => take(this.#pool.subarray(offset, offset + length)),
      bytes: take,
      zeros: (length) => take(new Uint8Array(length)),
    };
  }
}
