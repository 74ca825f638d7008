/**
 * What a check reports, and how a finding can be put right: each rule hands its finding and its repair to a
 * {@link FindingSink}, in one place. The check itself ignores the repairs; see repair.ts for who runs them.
 */
import type { Mender } from './mender.js';

export interface FsckFinding {
  /** A rule's name: see fsck-inodes.ts, fsck-chunks.ts, fsck-tree.ts; `sqlite` for damage below the tables. */
  rule: string;
  /** The inode (for entries: the directory) concerned; 0 for none. */
  ino: number;
  message: string;
}

/** Puts one finding right, and returns what it did, in a few words. */
export type Fix = (mend: Mender) => string;

/**
 * 'structure': rows appear, go, or lead elsewhere, so counts are not worth correcting before; 'value': a number that
 * follows from the rest.
 */
export type Level = 'structure' | 'value';

export interface FindingSink {
  structure(rule: string, ino: number, message: string, fix?: Fix): void;
  value(rule: string, ino: number, message: string, fix?: Fix): void;
}

/** How far a check has come. `fraction` is 0 to 1 within the step. */
export interface FsckProgress {
  step: string;
  fraction: number;
}

/** Gathers findings, at most `max` of each rule; the others are only counted. */
export class Collector implements FindingSink {
  readonly findings: FsckFinding[] = [];
  omitted = 0;
  /** Of these two kinds, listed or not. */
  readonly counts: Record<Level, number> = { structure: 0, value: 0 };
  readonly #max: number;
  readonly #byRule = new Map<string, number>();
  readonly #fix: ((level: Level, finding: FsckFinding, fix: Fix) => void) | undefined;

  /** `onFix` is told of every finding that can be put right, listed or not. */
  constructor(max: number, onFix?: (level: Level, finding: FsckFinding, fix: Fix) => void) {
    this.#max = max;
    this.#fix = onFix;
  }

  structure(rule: string, ino: number, message: string, fix?: Fix): void {
    this.#add('structure', { rule, ino, message }, fix);
  }

  value(rule: string, ino: number, message: string, fix?: Fix): void {
    this.#add('value', { rule, ino, message }, fix);
  }

  #add(level: Level, finding: FsckFinding, fix: Fix | undefined): void {
    this.counts[level]++;
    const before = this.#byRule.get(finding.rule) ?? 0;
    this.#byRule.set(finding.rule, before + 1);
    if (before < this.#max) this.findings.push(finding);
    else this.omitted++;
    if (fix !== undefined) this.#fix?.(level, finding, fix);
  }
}

/** An entry's name for people. */
export const shown = (name: Uint8Array | null | undefined): string =>
  JSON.stringify(Buffer.from(name ?? []).toString('utf8'));
