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
/** Directories remembered: programs look names up in several at once (git does with threads). */
const DIRECTORIES_MAX = 32;
/** Inodes kept at most. */
const INODES_MAX = 1024;

/** What is known of a directory's names. */
class Names {
  /** The last name asked for. */
  last = '';
  batch = 0;
  /** The names from this one to {@link to} are known, those without an entry not to exist. */
  from = '';
  /** undefined: to the directory's end; '' (no name): nothing is known. */
  to: string | undefined = '';
  readonly entries = new Map<ByteName, DirentRecord>();
}

export class LookAhead {
  /** By their number; the one longest unused first. */
  readonly #directories = new Map<Ino, Names>();
  readonly #inodes = new Map<Ino, InodeRecord>();
  #off = false;

  /** True: {@link dirent} tells. */
  knows(parent: Ino, name: ByteName): boolean {
    const names = this.#directories.get(parent);
    if (names === undefined || name < names.from) return false;
    return names.to === undefined || name <= names.to;
  }

  /** Requires {@link knows}. undefined: there is none. */
  dirent(parent: Ino, name: ByteName): DirentRecord | undefined {
    const names = this.#directories.get(parent);
    if (names === undefined) return undefined;
    names.last = name;
    return names.entries.get(name);
  }

  /** How many names, from this one on, are to be read at once; 0: this one alone. For a name that isn't known. */
  wanted(parent: Ino, name: ByteName): number {
    const names = this.#use(parent);
    const follows = names.last !== '' && name > names.last;
    names.last = name;
    if (!follows || this.#off) names.batch = 0;
    else names.batch = Math.min(LARGEST_BATCH, Math.max(FIRST_BATCH, names.batch * 2));
    return names.batch;
  }

  #use(parent: Ino): Names {
    const names = this.#directories.get(parent) ?? new Names();
    this.#directories.delete(parent);
    this.#directories.set(parent, names);
    if (this.#directories.size > DIRECTORIES_MAX) {
      for (const oldest of this.#directories.keys()) {
        this.#directories.delete(oldest);
        break;
      }
    }
    return names;
  }

  /** `rows`: what is there from `from` on, in order; `complete`: nothing comes after them. */
  keepNames(parent: Ino, from: ByteName, rows: readonly DirentRecord[], complete: boolean): void {
    const names = this.#use(parent);
    names.entries.clear();
    for (const row of rows) names.entries.set(row.name, row);
    names.from = from;
    names.to = complete ? undefined : (rows.at(-1)?.name ?? '');
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
    this.forget();
  }

  get off(): boolean {
    return this.#off;
  }

  forget(): void {
    // How each is being walked stays known.
    for (const names of this.#directories.values()) {
      names.entries.clear();
      names.to = '';
    }
    this.#inodes.clear();
  }
}
