/**
 * Repairs a store: the steps that a person takes one by one, so that the command line can ask in between.
 *
 *   check → nothing wrong: nothing is touched
 *         → backup, if wanted → repair: SQLite's structure first (indices made anew; if that isn't enough all readable rows go into a
 *           new file), then the tables, in rounds
 *
 * A round reads one snapshot from its start to its end on one connection and puts right on another what it finds; it is
 * one transaction. Structure comes before values, since counts follow from it. What is left after {@link ROUNDS_MAX},
 * or when a round finds nothing that it can put right, is reported as it is.
 */
import { constants, copyFileSync, chmodSync, existsSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncPath } from '../base/sync-path.js';
import { Collector, type FsckFinding, type FsckProgress, type Level } from './fsck-findings.js';
import { examine, FSCK_CACHE_KIB, type Examination, type FsckReport } from './fsck.js';
import { intentLogPath } from './intent-log.js';
import { replayIntentLog } from './intent-replay.js';
import { lockStore, type StoreLock } from './lock.js';
import { Mender } from './mender.js';
import { openStore } from './open.js';
import { salvage } from './salvage.js';
import { openError, StoreError } from './store-error.js';

const ROUNDS_MAX = 20;
const ACTIONS_MAX = 10_000;

/** What was wrong, and what was done about it. */
export interface RepairAction extends FsckFinding {
  action: string;
}

export interface RepairReport {
  before: FsckReport;
  after: FsckReport;
  actions: RepairAction[];
  /** Actions that were not listed, since there were too many. */
  omittedActions: number;
  rounds: number;
}

export interface RepairOptions {
  /** At most so many findings a rule are listed; default 100. */
  findingsMax?: number;
  onProgress?: (progress: FsckProgress) => void;
}

/** Holds the store's writer lock until {@link close}. */
export class Repair {
  readonly #path: string;
  readonly #findingsMax: number;
  readonly #progress: (progress: FsckProgress) => void;
  readonly #actions: RepairAction[] = [];
  #omitted = 0;
  #lock: StoreLock;
  #checked: Examination | undefined;

  /** Errors: StoreError 'locked' if the store is mounted, and others if it can't be opened. */
  constructor(path: string, options: RepairOptions = {}) {
    this.#path = path;
    this.#findingsMax = options.findingsMax ?? 100;
    this.#progress = options.onProgress ?? (() => undefined);
    this.#lock = lockStore(path);
  }

  /** Examines the store, changing nothing. Errors: StoreError if it can't be opened as a store. */
  check(): FsckReport {
    this.#checked = this.#examine(new Collector(this.#findingsMax), true);
    return this.#checked.report;
  }

  /** Copies the store to `file`, durably, with mode 0600. Errors: StoreError; an existing file is never replaced. */
  backup(file: string): void {
    try {
      for (const suffix of ['', '-wal', '-intent']) {
        const from = this.#path + suffix;
        if (!existsSync(from) || (suffix !== '' && statSync(from).size === 0)) continue;
        copyFileSync(from, file + suffix, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
        chmodSync(file + suffix, 0o600);
        syncPath(file + suffix);
      }
      syncPath(dirname(file));
    } catch (error) {
      throw backupError(file, error);
    }
  }

  /** Requires {@link check}. Errors: StoreError if nothing can be done; the store is then as it was, or better. */
  repair(): RepairReport {
    let before = this.#checked ?? this.#examine(new Collector(this.#findingsMax), true);
    let after = before;
    let rounds = 0;
    if (!before.report.clean) {
      if (this.#bringIn()) before = this.#examine(new Collector(this.#findingsMax), true);
      if (!before.sqliteSound || !before.schemaSound) this.#mendStructure(before);
      while (rounds < ROUNDS_MAX && this.#round()) rounds++;
      after = this.#examine(new Collector(this.#findingsMax), true);
      this.#tidy();
    }
    return {
      before: before.report,
      after: after.report,
      actions: this.#actions,
      omittedActions: this.#omitted,
      rounds,
    };
  }

  /** Releases the lock. Idempotent. */
  close(): void {
    this.#lock.release();
  }

  /**
   * What an intent log has, first; true: it had something. One that can't be used is put aside: what it has wouldn't fit a
   * store that has been repaired.
   */
  #bringIn(): boolean {
    try {
      return replayIntentLog(this.#path).groups > 0;
    } catch (error) {
      const log = intentLogPath(this.#path);
      const aside = `${log}-${Date.now()}`;
      renameSync(log, aside);
      const why = error instanceof Error ? error.message : String(error);
      const message = `what fsync had confirmed last can't be brought in: ${why}`;
      this.#note({ rule: 'intent', ino: 0, message }, `moved ${log} to ${aside}`);
      return false;
    }
  }

  #examine(collector: Collector, structure: boolean): Examination {
    const db = openStore(this.#path, { mode: 'read', cacheKiB: FSCK_CACHE_KIB });
    try {
      return examine(db, this.#path, collector, this.#progress, structure);
    } finally {
      db.close();
    }
  }

  #note(finding: FsckFinding, action: string): void {
    if (this.#actions.length < ACTIONS_MAX) this.#actions.push({ ...finding, action });
    else this.#omitted++;
  }

  #mendStructure({ report, schemaSound }: Examination): void {
    const found = report.findings.find(({ rule }) => rule === 'sqlite' || rule === 'schema');
    const finding = found ?? { rule: 'sqlite', ino: 0, message: 'the structure is damaged' };
    if (schemaSound && this.#reindex()) {
      this.#note(finding, 'made the indices anew');
      return;
    }
    const { partly, lock } = salvage(this.#path, (table) =>
      this.#progress({ step: `saving ${table}`, fraction: 0 }),
    );
    this.#lock.release();
    this.#lock = lock;
    const lost = partly.map(({ table, rows }) => `of ${table} only ${rows} rows could be read`);
    this.#note(finding, ['copied every readable row to a new file', ...lost].join('; '));
  }

  /** True: that was enough. */
  #reindex(): boolean {
    try {
      const db = openStore(this.#path, { mode: 'write', cacheKiB: FSCK_CACHE_KIB });
      try {
        db.pragma('synchronous = FULL');
        db.exec('REINDEX');
      } finally {
        db.close();
      }
    } catch {
      return false; // the rows themselves are damaged
    }
    return this.#examine(new Collector(1), true).sqliteSound;
  }

  /** One round. False: there was nothing that it could put right. */
  #round(): boolean {
    const collector = new Collector(0);
    const { report } = this.#examine(collector, false);
    const level: Level = collector.counts.structure > 0 ? 'structure' : 'value';
    if (collector.counts[level] === 0 && report.omitted === 0) return false;
    return this.#apply(level) || (level === 'structure' && this.#apply('value'));
  }

  #apply(level: Level): boolean {
    const reader = openStore(this.#path, { mode: 'read', cacheKiB: FSCK_CACHE_KIB });
    try {
      const writer = openStore(this.#path, { mode: 'write', cacheKiB: FSCK_CACHE_KIB });
      try {
        writer.pragma('synchronous = FULL');
        writer.exec('BEGIN IMMEDIATE');
        const mend = new Mender(writer, Math.floor(Date.now() / 1000));
        let applied = 0;
        const collector = new Collector(0, (at, finding, fix) => {
          if (at !== level) return;
          writer.exec('SAVEPOINT fix');
          try {
            this.#note(finding, fix(mend));
            applied++;
          } catch (error) {
            writer.exec('ROLLBACK TO fix');
            this.#note(
              finding,
              `could not be put right: ${error instanceof Error ? error.message : String(error)}`,
            );
          }
          writer.exec('RELEASE fix');
        });
        examine(reader, this.#path, collector, this.#progress, false);
        writer.exec('COMMIT');
        return applied > 0;
      } finally {
        writer.close();
      }
    } catch (error) {
      throw openError(this.#path, error);
    } finally {
      reader.close();
    }
  }

  /** Folds the log in, so that one file is left, and gives back what a repair freed. */
  #tidy(): void {
    const db = openStore(this.#path, { mode: 'write', cacheKiB: 1024 });
    try {
      db.pragma('synchronous = FULL');
      db.pragma('wal_checkpoint(TRUNCATE)');
    } catch (error) {
      throw openError(this.#path, error);
    } finally {
      db.close();
    }
  }
}

function backupError(file: string, error: unknown): StoreError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const why =
    code === 'EEXIST' ? 'it exists already; choose another name' : `${String(code)}; choose another place`;
  return new StoreError(
    code === 'ENOSPC' ? 'no-space' : 'io',
    file,
    `The backup ${file} can't be written: ${why}.`,
    {
      cause: error,
    },
  );
}
