/**
 * Checks a store without changing it: SQLite's own structure first, then the rules of fsck-rules.ts, all in one read
 * transaction, so that a mounted store is checked as of one commit.
 */
import type Database from 'better-sqlite3';
import { fsckRules, type FsckRow } from './fsck-rules.js';
import { openStore } from './open.js';
import { openError, StoreError } from './store-error.js';
import { readSuperblock } from './superblock.js';
import type { Superblock } from './types.js';

export interface FsckFinding {
  /** A rule's name: see fsck-rules.ts; `sqlite` for damage below the tables. */
  rule: string;
  /** The inode (for entries: the directory) concerned; 0 for none. */
  ino: number;
  message: string;
}

export interface FsckReport {
  path: string;
  /** No findings. */
  clean: boolean;
  findings: FsckFinding[];
  /** Findings beyond `findingsMax` of a rule that were not listed. */
  omitted: number;
  inodes: number;
  dirents: number;
  chunks: number;
  superblock: Superblock | undefined;
}

export interface FsckOptions {
  /** At most so many findings a rule are listed; default 100. */
  findingsMax?: number;
}

/** Errors: StoreError only if the file can't be opened as a store at all. */
export function checkStore(path: string, options: FsckOptions = {}): FsckReport {
  const db = openStore(path, { mode: 'read', cacheKiB: 64 * 1024 });
  const report: FsckReport = {
    path,
    clean: false,
    findings: [],
    omitted: 0,
    inodes: 0,
    dirents: 0,
    chunks: 0,
    superblock: undefined,
  };
  try {
    db.exec('BEGIN');
    checkSqlite(db, report);
    checkTables(db, report, options.findingsMax ?? 100);
    report.clean = report.findings.length === 0;
    return report;
  } finally {
    db.close();
  }
}

function checkSqlite(db: Database.Database, report: FsckReport): void {
  try {
    const lines = db.pragma('integrity_check(100)') as { integrity_check: string }[];
    for (const { integrity_check: line } of lines) {
      if (line !== 'ok') report.findings.push({ rule: 'sqlite', ino: 0, message: line });
    }
  } catch (error) {
    report.findings.push({ rule: 'sqlite', ino: 0, message: openError(report.path, error).message });
  }
}

/** Damage below the tables may make any query fail: each failure is a finding, and the other rules still run. */
function checkTables(db: Database.Database, report: FsckReport, findingsMax: number): void {
  try {
    report.superblock = readSuperblock(db, report.path);
    const count = (table: string): number =>
      db.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number;
    report.inodes = count('inode');
    report.dirents = count('dirent');
    report.chunks = count('chunk');
  } catch (error) {
    const rule = error instanceof StoreError ? 'superblock' : 'sqlite';
    report.findings.push({ rule, ino: 0, message: openError(report.path, error).message });
    if (report.superblock === undefined) return;
  }
  for (const { rule, sql, message } of fsckRules(report.superblock)) {
    try {
      let listed = 0;
      for (const row of db.prepare(sql).iterate() as IterableIterator<FsckRow>) {
        if (listed++ < findingsMax) report.findings.push({ rule, ino: row.ino, message: message(row) });
        else report.omitted++;
      }
    } catch (error) {
      report.findings.push({
        rule,
        ino: 0,
        message: `could not be checked: ${openError(report.path, error).message}`,
      });
    }
  }
}
