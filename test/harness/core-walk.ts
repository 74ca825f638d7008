/**
 * The kernel's part of path handling, played for the core in process: walking paths, following symlinks, and keeping
 * lookup counts as FUSE does. What the kernel would check but the core must not rely on (rename of a directory into
 * itself, unlink of a directory …) is deliberately passed on, so that the core has to defend itself.
 *
 * INVARIANT: every lookup that the core answered is remembered once and forgotten once: at the end of the call that
 * made it ({@link CoreWalk.op}), or when the last descriptor that needs it is closed.
 * Follows fs/namei.c (link_path_walk, pick_link) and fs/fuse/dir.c (fuse_lookup_name).
 */
import type { Ino } from '../../src/base/ids.js';
import { type ByteName, byteNameOf, ROOT_INO } from '../../src/base/ids.js';
import { errnoName, FsError } from '../../src/base/errno.js';
import { type Attributes, type Caller, type Done, type Vfs, WouldBlock } from '../../src/vfs/api.js';
import type { TestCoreOptions } from './test-core.js';
import { type FileStat, NS, type Path, PosixError, S } from './posix-client.js';

const PATH_BYTES_MAX = 4096;
const SYMLINKS_MAX = 40;
/** Turns of advance() before a wait counts as endless. */
const ADVANCE_LIMIT = 100_000;

/** What the core client needs; made by the factory in test-core.ts. */
export interface TestCore {
  vfs: Vfs;
  /** The shared page pool that DataSink.pool speaks of. */
  pool: Uint8Array;
  /**
   * Lets one piece of deferred work happen, synchronously: commit the sealed transaction group, run timers that are
   * due, call the wake functions of wait channels and the completion callbacks of barriers.
   */
  advance(): void;
  /** Throws if an invariant is broken. */
  check(options?: { asksStore?: boolean }): void;
  /** See InProcessCore.checkCrash. */
  checkCrash(): number;
  /** Unmounts, checks that no vnode, page, handle or lookup is left behind (throws otherwise), removes the store. */
  close(): void;
}
export type CreateTestCore = (options?: TestCoreOptions) => TestCore;

/** Where a walk ended. */
export interface Place {
  ino: Ino;
  stat: FileStat;
}
/** The directory that holds the last component, and that component. */
export interface Parent {
  ino: Ino;
  name: ByteName;
  /** Inodes from the root to `ino`: what `..` goes back through. */
  trail: Place[];
  /** The path ended in a slash. */
  slash: boolean;
}

const ns = (sec: number, nsec: number): bigint => BigInt(sec) * NS + BigInt(nsec);

export const snapshot = (vp: Attributes): FileStat => ({
  ino: vp.ino,
  mode: vp.mode,
  nlink: vp.nlink,
  uid: vp.uid,
  gid: vp.gid,
  rdev: vp.rdev,
  size: vp.size,
  blocks: vp.allocPages * 8,
  atimeNs: ns(vp.atimeSec, vp.atimeNsec),
  mtimeNs: ns(vp.mtimeSec, vp.mtimeNsec),
  ctimeNs: ns(vp.ctimeSec, vp.ctimeNsec),
  btimeNs: ns(vp.btimeSec, vp.btimeNsec),
});

export const typeOf = (stat: FileStat): number => stat.mode & S.IFMT;

export class CoreWalk {
  readonly #core: TestCore;
  readonly vfs: Vfs;
  caller: Caller = { uid: 0, gid: 0, pid: process.pid };
  #held: Ino[] = [];

  constructor(core: TestCore) {
    this.#core = core;
    this.vfs = core.vfs;
  }

  /** Runs one whole call of the client: errors become {@link PosixError}, lookups made meanwhile are given back. */
  op<T>(name: string, work: () => T): T {
    const outer = this.#held;
    this.#held = [];
    try {
      return work();
    } catch (error) {
      if (error instanceof FsError) throw new PosixError(errnoName(error.errno), name);
      throw error;
    } finally {
      for (const ino of this.#held) this.vfs.forget(ino, 1);
      this.#held = outer;
    }
  }

  /** One request to the core, sent again for as long as it would block. */
  ask<T>(request: () => T): T {
    for (;;) {
      try {
        return request();
      } catch (error) {
        if (!(error instanceof WouldBlock)) throw error;
        let awake = false;
        error.channel.wait(() => (awake = true));
        this.#advanceUntil(() => awake);
      }
    }
  }

  /** As {@link ask} with bytes that are gone afterwards, as the transport's request buffer is: the core has to copy them. */
  askWith<T>(data: Uint8Array, request: (lent: Buffer) => T): T {
    const lent = Buffer.from(data);
    try {
      return this.ask(() => request(lent));
    } finally {
      lent.fill(0xdb);
    }
  }

  /** A request that answers later. */
  askBarrier(request: (done: Done) => void): void {
    let finished = false;
    let failure: FsError | undefined;
    request((error) => {
      finished = true;
      failure = error;
    });
    this.#advanceUntil(() => finished);
    if (failure) throw failure;
  }

  #advanceUntil(condition: () => boolean): void {
    for (let i = 0; !condition(); i++) {
      if (i === ADVANCE_LIMIT) throw new Error('the core waits for something that never comes');
      this.#core.advance();
    }
  }

  /** Takes over the reference the core returned: remembered as a lookup until the call ends. */
  keep(vp: Attributes): Place {
    const place = { ino: vp.ino, stat: snapshot(vp) };
    this.vfs.rememberLookup(vp);
    this.vfs.vrele(vp);
    this.#held.push(place.ino);
    return place;
  }

  /** A lookup of this call now belongs to a descriptor, which gives it back when closed. */
  transfer(ino: Ino): void {
    const i = this.#held.lastIndexOf(ino);
    if (i >= 0) this.#held.splice(i, 1);
  }

  lookup(parent: Ino, name: ByteName): Place {
    return this.keep(this.ask(() => this.vfs.lookup(this.caller, parent, name)));
  }

  /** As {@link lookup}, undefined for ENOENT. */
  lookupMaybe(parent: Ino, name: ByteName): Place | undefined {
    try {
      return this.lookup(parent, name);
    } catch (error) {
      if (error instanceof FsError && errnoName(error.errno) === 'ENOENT') return undefined;
      throw error;
    }
  }

  getattr(ino: Ino): FileStat {
    const vp = this.ask(() => this.vfs.getattr(this.caller, ino, undefined));
    const stat = snapshot(vp);
    this.vfs.vrele(vp);
    return stat;
  }

  /** Everything up to the last component. ENOENT for an empty path. */
  parentOf(path: Path, links = { left: SYMLINKS_MAX }, start?: Place[]): Parent {
    const bytes = Buffer.from(path as string);
    if (bytes.length === 0) throw new PosixError('ENOENT', 'path');
    if (bytes.length >= PATH_BYTES_MAX) throw new PosixError('ENAMETOOLONG', 'path');
    const text = byteNameOf(bytes);
    const parts = text.split('/').filter((part) => part !== '') as ByteName[];
    const last = parts.pop() ?? ('.' as ByteName);
    let trail = start && !text.startsWith('/') ? start : [{ ino: ROOT_INO, stat: this.getattr(ROOT_INO) }];
    for (const part of parts) trail = this.#step(trail, part, links, true);
    const top = trail[trail.length - 1];
    if (typeOf(top.stat) !== S.IFDIR) throw new PosixError('ENOTDIR', 'path');
    return { ino: top.ino, name: last, trail, slash: text.endsWith('/') };
  }

  /** The inode at `path`; a symlink at its end is followed if asked, or if a slash comes after it. */
  resolve(path: Path, follow: boolean, links = { left: SYMLINKS_MAX }, start?: Place[]): Place {
    const trail = this.resolveTrail(path, follow, links, start);
    return trail[trail.length - 1];
  }

  resolveTrail(path: Path, follow: boolean, links = { left: SYMLINKS_MAX }, start?: Place[]): Place[] {
    const parent = this.parentOf(path, links, start);
    const trail = this.#step(parent.trail, parent.name, links, follow || parent.slash);
    if (parent.slash && typeOf(trail[trail.length - 1].stat) !== S.IFDIR) {
      throw new PosixError('ENOTDIR', 'path');
    }
    return trail;
  }

  /** The target of a symlink found at `place` in the directory `parent`, walked from there. */
  #step(trail: Place[], name: ByteName, links: { left: number }, follow: boolean): Place[] {
    const top = trail[trail.length - 1];
    if (typeOf(top.stat) !== S.IFDIR) throw new PosixError('ENOTDIR', 'path');
    if (name === '.') return trail;
    if (name === '..') return trail.length > 1 ? trail.slice(0, -1) : trail;
    const place = this.lookup(top.ino, name);
    if (typeOf(place.stat) !== S.IFLNK || !follow) return [...trail, place];
    if (links.left-- === 0) throw new PosixError('ELOOP', 'path');
    const target = Buffer.from(this.ask(() => this.vfs.readlink(this.caller, place.ino)));
    return this.resolveTrail(target, true, links, trail);
  }
}
