/** Exit codes: part of the command line's contract, listed in README.md, and compared with it by a test. */
import type { FailureKind } from '../daemon/failure.js';

export const ExitCode = {
  OK: 0,
  FAILURE: 1,
  USAGE: 2,
  STORE: 3,
  MOUNT: 4,
  STORE_IN_USE: 5,
  BUSY: 6,
  TIMED_OUT: 7,
  DAMAGED: 8,
} as const;
export type ExitCodeValue = (typeof ExitCode)[keyof typeof ExitCode];

/** In the order of the README's table. */
export const EXIT_CODES: readonly { code: ExitCodeValue; meaning: string }[] = [
  { code: ExitCode.OK, meaning: 'done' },
  { code: ExitCode.FAILURE, meaning: 'failed for another reason, said on stderr' },
  { code: ExitCode.USAGE, meaning: 'the command line is wrong' },
  { code: ExitCode.STORE, meaning: 'the store is missing, unreadable, not a vnodefs store, or too new' },
  { code: ExitCode.MOUNT, meaning: 'the mount point cannot be used, or nothing is mounted there' },
  { code: ExitCode.STORE_IN_USE, meaning: 'another daemon has the store mounted' },
  { code: ExitCode.BUSY, meaning: 'the mount is busy: files are open below it' },
  { code: ExitCode.TIMED_OUT, meaning: 'no answer, or not finished, in time' },
  { code: ExitCode.DAMAGED, meaning: 'fsck found errors' },
];

const codeByKind: Record<FailureKind, ExitCodeValue> = {
  general: ExitCode.FAILURE,
  usage: ExitCode.USAGE,
  store: ExitCode.STORE,
  mount: ExitCode.MOUNT,
  'store-in-use': ExitCode.STORE_IN_USE,
  busy: ExitCode.BUSY,
  'timed-out': ExitCode.TIMED_OUT,
  damaged: ExitCode.DAMAGED,
};

export const exitCodeOf = (kind: FailureKind): ExitCodeValue => codeByKind[kind];
