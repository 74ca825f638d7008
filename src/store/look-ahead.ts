/**
 * Names and inodes that were read before anybody asked for them: a program that looks up two names of a directory in
 * ascending order (git status, find, tar, a shell's glob) is likely to look up those that follow.
 *
 * INVARIANT: all of it was in the store when, or after, the newest commit that the dispatcher has heard of was made;
 * so it must be forgotten when the next is heard of. What has changed since then in memory hides it, as it hides the
 * store's own rows.
 */
import type { ByteName, Ino } from '../base/ids.js';
import type { DirentRecord, InodeRecord } from './types.js';

const FIRST_BATCH = 16;
const LARGEST_BATCH = 256;
/** Inodes kept at most. */
const INODES_MAX = 1024;

export class LookAhead {
  #parent = 0;
  #last = '';
  #batch = 0;
  /** The names of `#parent` from this one to {@link #to} are known, those without an entry not to exist. */
  #from = '';
  /** undefined: to the directory's end; '' (no name): nothing is known. */
  #to: string | undefined = '';
  readonly #names = new Map<ByteName, DirentRecord>();
  readonly #inodes = new Map<Ino, InodeRecord>();
  #off = false;

  /** True: {@link dirent} tells. */
  knows(parent: Ino, name: ByteName): boolean {
    if (parent !== this.#parent || name < this.#from) return false;
    return this.#to === undefined || name <= this.#to;
  }

  /** Requires {@link knows}. undefined: there is none. */
  dirent(name: ByteName): DirentRecord | undefined {
    this.#last = name;
    return this.#names.get(name);
  }

  /** How many names, from this one on, are to be read at once; 0: this one alone. For a name that isn't known. */
  wanted(parent: Ino, name: ByteName): number {
    const follows = parent === this.#parent && name > this.#last;
    if (parent !== this.#parent) this.#forgetNames();
    this.#parent = parent;
    this.#last = name;
    if (!follows) this.#batch = 0;
    else if (!this.#off) this.#batch = Math.min(LARGEST_BATCH, Math.max(FIRST_BATCH, this.#batch * 2));
    return this.#batch;
  }

  /** `rows`: what is there from `from` on, in order; `complete`: nothing comes after them. Requires {@link wanted}. */
  keepNames(from: ByteName, rows: readonly DirentRecord[], complete: boolean): void {
    this.#names.clear();
    for (const row of rows) this.#names.set(row.name, row);
    this.#from = from;
    this.#to = complete ? undefined : (rows.at(-1)?.name ?? '');
  }

  keepInode(record: InodeRecord): void {
    if (this.#inodes.size >= INODES_MAX) this.#inodes.clear();
    this.#inodes.set(record.ino, record);
  }

  hasInode(ino: Ino): boolean {
    return this.#inodes.has(ino);
  }

  /** Each is given once: its vnode has it then. */
  takeInode(ino: Ino): InodeRecord | undefined {
    const record = this.#inodes.get(ino);
    if (record !== undefined) this.#inodes.delete(ino);
    return record;
  }

  /** Something in the way of the rows ahead can't be read: from now on each by itself, so that only what is broken fails. */
  turnOff(): void {
    this.#off = true;
    this.#batch = 0;
    this.forget();
  }

  get off(): boolean {
    return this.#off;
  }

  forget(): void {
    this.#forgetNames();
    this.#inodes.clear();
  }

  #forgetNames(): void {
    this.#names.clear();
    this.#to = '';
  }
}
