/** What a team's process does with its operations: one implementation for files, one for the tree. */
import type { Flag } from '../../test/harness/posix-client.js';

export interface Exercise<Op> {
  /** Makes what the first operation expects. Called in one process only, before any operation. */
  setUp(): void;
  /** Performs an operation and applies it to the model. Returns how the outcome differs from the model's. */
  perform(op: Op): string | undefined;
  /** Another process has performed this one: applies it to the model. */
  follow(op: Op): void;
  /** Compares everything, wherever it is. */
  compareWhole(): string | undefined;
  /** Lets go of descriptors and mappings. */
  close(): void;
  /** The state that the model expects, a line a file; see {@link Inspector}. */
  expected(): string[];
}

/** The same lines, from the files alone; for a look after a remount. Names begin with the team's `prefix`. */
export type Inspector = (dir: string, prefix: string) => string[];

export interface TeamTask {
  kind: 'file' | 'tree';
  /** Below which everything is made; teams may share it: their names have different prefixes. */
  dir: string;
  prefix: string;
  seed: number;
  /** Operations to draw, when there is no `log`. */
  count: number;
  /** A file of operations, a line of JSON each, to replay. */
  log?: string;
  processes: number;
  files: number;
  bytesMax: number;
  io: 'mixed' | 'buffered' | 'direct' | 'mapped';
  dropCaches: boolean;
  /** Everything is compared after so many operations. */
  wholeEvery: number;
  /** What the place can't do: operations that need it are not drawn. */
  lacks: readonly Flag[];
}

/** Lines of JSON that a process of a team writes. */
export type TeamMessage =
  | { kind: 'progress'; done: number }
  | { kind: 'difference'; index: number; what: string }
  | { kind: 'finished'; expected: string[] };
