/**
 * Rows of a directory that is being listed: those that the last answer had no room for, and, once the listing goes on, some
 * that were read before it asked for them.
 *
 * INVARIANT: as for look-ahead.ts, so it must be forgotten whenever a commit is heard of.
 */
import type { Ino } from '../base/ids.js';
import type { DirentRecord } from './types.js';

/** Where rows are to be read. */
export interface ScanPlace {
  parent: Ino;
  after: number;
}

export class ScanAhead {
  #parent: Ino | 0 = 0;
  /** In cookie order: all that the directory has after this cookie, up to the last of them. */
  #after = 0;
  #rows: readonly DirentRecord[] = [];
  /** Nothing comes after them. */
  #complete = false;
  /** Somebody went on where they were before. */
  #goesOn = false;
  /** The last of them has been given away. */
  #allGiven = false;

  /** The first `limit` rows of `parent` after this cookie; none: there are none. undefined: that must be read. */
  take(parent: Ino, after: number, limit: number): readonly DirentRecord[] | undefined {
    if (parent !== this.#parent || after < this.#after) return undefined;
    const next = this.#rows.findIndex(({ cookie }) => cookie > after);
    this.#goesOn = after > 0;
    if (next < 0 && !this.#complete) return undefined;
    this.#rows = next < 0 ? [] : this.#rows.slice(next);
    this.#after = after;
    this.#allGiven = this.#rows.length <= limit;
    return this.#allGiven ? this.#rows : this.#rows.slice(0, limit);
  }

  /** These rows were read, and given away; `complete`: nothing comes after them. */
  keep({ parent, after }: ScanPlace, rows: readonly DirentRecord[], complete: boolean): void {
    if (parent !== this.#parent) this.#goesOn = false;
    this.#parent = parent;
    this.#after = after;
    this.#rows = rows;
    this.#complete = complete;
    this.#allGiven = true;
  }

  /** Where a listing will go on that knows no more. */
  get wanted(): ScanPlace | undefined {
    const last = this.#rows.at(-1);
    if (!this.#goesOn || !this.#allGiven || this.#complete || this.#parent === 0 || last === undefined)
      return undefined;
    return { parent: this.#parent, after: last.cookie };
  }

  /** These follow, from {@link wanted} on. */
  add(rows: readonly DirentRecord[], complete: boolean): void {
    this.#rows = [...this.#rows, ...rows];
    this.#complete = complete;
    this.#allGiven = false;
  }

  forget(): void {
    this.#parent = 0;
    this.#rows = [];
    this.#goesOn = false;
  }
}
