/**
 * Checks a store without changing it: SQLite's own structure first, then the rules of native-notes/disk-format.md, each
 * table read once (the directory entries and the chunk map once more, in another order), all in one read transaction,
 * so that a mounted store is checked as of one commit.
 *
 * Memory: SQLite's page cache, its sorter up to the same size (what is larger goes to a temporary file), and 17 bytes
 * for each directory.
 */
import type Database from 'better-sqlite3';
import { checkChunks, checkCookies } from './fsck-chunks.js';
import { Collector, type FindingSink, type FsckFinding, type FsckProgress } from './fsck-findings.js';
import { checkInodes, type Totals } from './fsck-inodes.js';
import { checkSchema, checkSettings, checkSqlite } from './fsck-schema.js';
import { TreeCheck } from './fsck-tree.js';
import { openStore } from './open.js';
import { openError, StoreError } from './store-error.js';
import { readCounters, readSuperblock } from './superblock.js';
import type { Superblock } from './types.js';

export type { FsckFinding, FsckProgress } from './fsck-findings.js';

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
  /** Called now and then. */
  onProgress?: (progress: FsckProgress) => void;
}

export const FSCK_CACHE_KIB = 64 * 1024;

/** Errors: StoreError only if the file can't be opened as a store at all. */
export function checkStore(path: string, options: FsckOptions = {}): FsckReport {
  const db = openStore(path, { mode: 'read', cacheKiB: FSCK_CACHE_KIB });
  try {
    const collector = new Collector(options.findingsMax ?? 100);
    return examine(db, path, collector, options.onProgress ?? (() => undefined)).report;
  } finally {
    db.close();
  }
}

/** What the check of the lower layers said: rows may be judged, or repaired, only if they are sound. */
export interface Examination {
  report: FsckReport;
  sqliteSound: boolean;
  schemaSound: boolean;
}

/**
 * Examines a store on an open connection, in one read transaction of its own. Without `structure` SQLite's own
 * structure is taken to be sound: for the rounds of a repair.
 */
export function examine(
  db: Database.Database,
  path: string,
  collector: Collector,
  progress: (progress: FsckProgress) => void,
  structure = true,
): Examination {
  const report: FsckReport = {
    path,
    clean: false,
    findings: collector.findings,
    omitted: 0,
    inodes: 0,
    dirents: 0,
    chunks: 0,
    superblock: undefined,
  };
  let sqliteSound = false;
  let schemaSound = false;
  db.pragma('temp_store = FILE');
  db.exec('BEGIN');
  try {
    if (structure) progress({ step: 'structure', fraction: 0 });
    sqliteSound = !structure || checkSqlite(db, path, collector, 100);
    schemaSound = checkSchema(db, collector);
    checkSettings(db, collector);
    report.superblock = superblockOf(db, path, collector);
    if (schemaSound && report.superblock !== undefined) checkTables(db, report, collector, progress);
  } catch (error) {
    collector.structure('sqlite', 0, openError(path, error).message);
    sqliteSound = false;
  } finally {
    db.exec('ROLLBACK');
  }
  report.omitted = collector.omitted;
  report.clean = report.findings.length === 0 && report.omitted === 0;
  return { report, sqliteSound, schemaSound };
}

function superblockOf(db: Database.Database, path: string, sink: FindingSink): Superblock | undefined {
  try {
    return readSuperblock(db, path);
  } catch (error) {
    const rule = error instanceof StoreError ? 'superblock' : 'sqlite';
    sink.structure(rule, 0, openError(path, error).message, (m) => m.mendSuperblock());
    return undefined;
  }
}

function checkTables(
  db: Database.Database,
  report: FsckReport,
  sink: FindingSink,
  progress: (progress: FsckProgress) => void,
): void {
  const superblock = report.superblock!;
  const counters = countersOf(db, report.path, sink);
  const tree = new TreeCheck();
  const totals = checkInodes(db, superblock, sink, tree, Math.max(1, counters?.inodeCount ?? 1), progress);
  report.inodes = totals.inodes;
  report.dirents = totals.dirents;
  progress({ step: 'directories', fraction: 0 });
  if (totals.complete) tree.finish(sink);
  checkCookies(db, sink);
  progress({ step: 'chunks', fraction: 0 });
  report.chunks = checkChunks(db, superblock.chunkBytes, sink, progress);
  if (totals.complete && counters !== undefined) judgeCounters(counters, totals, sink);
}

type Counters = { nextIno: number; inodeCount: number; allocPages: number };

function countersOf(db: Database.Database, path: string, sink: FindingSink): Counters | undefined {
  try {
    return readCounters(db, path);
  } catch (error) {
    sink.structure('counters', 0, openError(path, error).message, (m) => m.mendCounters());
    return undefined;
  }
}

function judgeCounters(counters: Counters, totals: Totals, sink: FindingSink): void {
  const wrong = (what: string): void => sink.value('counters', 0, what, (m) => m.mendCounters());
  if (counters.inodeCount !== totals.inodes)
    wrong(`the store counts ${counters.inodeCount} inodes, has ${totals.inodes}`);
  if (counters.allocPages !== totals.allocPages)
    wrong(`the store counts ${counters.allocPages} data pages, its inodes are charged ${totals.allocPages}`);
  if (counters.nextIno <= totals.lastIno)
    wrong(`the next inode number is ${counters.nextIno}, but ${totals.lastIno} is in use`);
  if (!Number.isSafeInteger(counters.nextIno))
    wrong(`the next inode number ${counters.nextIno} is not a valid one`);
}
