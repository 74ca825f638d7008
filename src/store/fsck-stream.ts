/**
 * A query's rows, ordered by their first column, read one ahead, so that several tables can be walked side by side. A
 * table that can't be read to its end is a finding, and the rules that need it are skipped from there on.
 */
import type Database from 'better-sqlite3';
import type { FindingSink } from './fsck-findings.js';

export type Cell = number | Buffer | null;
export type Row = [number, ...Cell[]];

export class Stream<R extends Row = Row> {
  /** True: rows are missing, so nothing may be concluded from their absence. */
  broken = false;
  readonly #table: string;
  readonly #sink: FindingSink;
  #rows: Iterator<R> | undefined;
  #next: R | undefined;
  #last = -Infinity;

  /** The connection may run only reading statements while a stream is open. */
  constructor(db: Database.Database, table: string, sql: string, sink: FindingSink) {
    this.#table = table;
    this.#sink = sink;
    try {
      this.#rows = db.prepare(sql).raw().iterate() as Iterator<R>;
    } catch (error) {
      this.#fail(error);
    }
    this.#advance();
  }

  /** The first column of the next row; Infinity at the end. */
  get key(): number {
    return this.#next === undefined ? Infinity : this.#next[0];
  }

  /** The next row, if its key is `key`. */
  take(key: number): R | undefined {
    const row = this.#next;
    if (row === undefined || row[0] !== key) return undefined;
    this.#advance();
    return row;
  }

  /** Ends the statement. Idempotent. */
  close(): void {
    this.#rows?.return?.();
    this.#rows = undefined;
    this.#next = undefined;
  }

  #advance(): void {
    this.#next = undefined;
    if (this.#rows === undefined) return;
    try {
      const result = this.#rows.next();
      if (result.done === true) {
        this.#rows = undefined;
        return;
      }
      const key: unknown = result.value[0];
      if (typeof key !== 'number' || key < this.#last) throw new Error(`its rows are out of order`);
      this.#last = key;
      this.#next = result.value;
    } catch (error) {
      this.close();
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.broken = true;
    const why = error instanceof Error ? error.message : String(error);
    this.#sink.structure('sqlite', 0, `the table ${this.#table} can't be read to its end: ${why}`);
  }
}
