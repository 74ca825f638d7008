/**
 * Brings an older store up to the newest format, one step after the other, all in one transaction: a crash leaves the
 * old format, never a half. One way only. Each released format keeps a frozen file in test/format.
 */
import type Database from 'better-sqlite3';
import { FORMAT_VERSION } from './schema.js';
import { StoreError } from './store-error.js';

export interface Migration {
  /** The format this step starts from; it ends at `from + 1`. */
  from: number;
  apply(db: Database.Database): void;
}

/** Format 1 is the first, so there is nothing to do yet. */
export const MIGRATIONS: readonly Migration[] = [];

/**
 * Requires the writer lock. `steps` and `target` are parameters for the tests.
 * Errors: StoreError('damaged') when no step leads on; SQLite's errors, after a rollback.
 */
export function migrate(
  db: Database.Database,
  path: string,
  steps: readonly Migration[] = MIGRATIONS,
  target: number = FORMAT_VERSION,
): void {
  let version = Number(db.pragma('user_version', { simple: true }));
  if (version === target) return;
  db.transaction(() => {
    while (version < target) {
      const step = steps.find((candidate) => candidate.from === version);
      if (step === undefined) {
        throw new StoreError(
          'damaged',
          path,
          `${path} has format ${version}, which this vnodefs can't bring up to date.`,
        );
      }
      step.apply(db);
      version++;
    }
    db.pragma(`user_version = ${target}`);
  }).immediate();
}
