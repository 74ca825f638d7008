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
  /** The cookie of the last row that was given away. */
  #given = 0;

  /** The first `limit` rows of `parent` after this cookie; none: there are none. undefined: that must be read. */
  take(parent: Ino, after: number, limit: number): readonly DirentRecord[] | undefined {
    if (parent !== this.#parent || after < this.#after) return undefined;
    const next = this.#rows.findIndex(({ cookie }) => cookie > after);
    this.#goesOn = after > 0;
    if (next < 0 && !this.#complete) return undefined;
    this.#rows = next < 0 ? [] : this.#rows.slice(next);
    this.#after = after;
    const rows = this.#rows.length <= limit ? this.#rows : this.#rows.slice(0, limit);
    this.#given = rows.at(-1)?.cookie ?? after;
    return rows;
  }

  /** These rows were read, and given away; `complete`: nothing comes after them. */
  keep({ parent, after }: ScanPlace, rows: readonly DirentRecord[], complete: boolean): void {
    if (parent !== this.#parent) this.#goesOn = false;
    this.#parent = parent;
    this.#after = after;
    this.#rows = rows;
    this.#complete = complete;
    this.#given = rows.at(-1)?.cookie ?? after;
  }

  /** Where rows are to be read if a listing goes on that has fewer than `enough` ahead. */
  wanted(enough: number): ScanPlace | undefined {
    if (!this.#goesOn || this.#complete || this.#parent === 0) return undefined;
    const from = this.#rows.length - enough;
    if (from >= 0 && this.#rows[from].cookie > this.#given) return undefined;
    return { parent: this.#parent, after: this.#rows.at(-1)?.cookie ?? this.#after };
  }

  /** These follow, from {@link wanted} on. */
  add(rows: readonly DirentRecord[], complete: boolean): void {
    this.#rows = [...this.#rows, ...rows];
    this.#complete = complete;
  }

  forget(): void {
    this.#parent = 0;
    this.#rows = [];
    this.#goesOn = false;
  }
}
