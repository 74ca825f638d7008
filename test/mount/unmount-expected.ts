/**
 * What must come of each cell of the table of unmounts, and the table as native-notes/unmount.md shows it. A cell: the
 * exit code (of the command, or of the daemon after a signal), what the user's next use met, what becomes of the
 * daemon.
 */
import { TEST_CAPABILITIES } from '../harness/mount.js';
import { ENDS, type Cell, type End, type User } from './unmount-cell.js';

/** In the order of {@link ENDS}. */
type Row = readonly [string, string, string, string, string, string];

const REFUSED = '6 · ok · stays';
const CUT = '0 · ENOTCONN · gone';
const CUT_FROM_OTHER = '0 · ENOTCONN · serves the other';
const LAZY = '0 · ok · stays';
const KILLED = '– · ENOTCONN · gone';
const UNUSED = '0 · – · gone';

const READS: Row = [REFUSED, REFUSED, CUT, CUT, LAZY, KILLED];
const WRITES: Row = [REFUSED, CUT, CUT, CUT, LAZY, KILLED];
/** 1 where what it wrote while it was cut off, never synced, came too late. */
const LOOP_CUT = '0 or 1 · cut off · gone';
const LOOPS: Row = [
  '6 · goes on · stays',
  LOOP_CUT,
  LOOP_CUT,
  LOOP_CUT,
  '0 · goes on · stays',
  '– · cut off · gone',
];
/** Neither meets anything of the mount: a program's pages stay in the kernel, and so do locks. */
const UNHURT = '0 · ok · gone';
const UNHURT_KILLED = '– · ok · gone';

interface Line {
  means: string;
  row: Row;
}

const LINES: Record<User, Line> = {
  none: { means: 'nobody', row: [UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, '– · – · gone'] },
  'open-reader': { means: 'a file open for reading', row: READS },
  'open-writer': { means: 'a file open for writing', row: WRITES },
  'dirty-pages': { means: 'a large file in the kernel’s cache, not yet written back', row: WRITES },
  'dirty-mmap': { means: 'a dirty shared mapping, its descriptor closed', row: WRITES },
  cwd: { means: 'a working directory', row: READS },
  executable: {
    means: 'a running program',
    row: [REFUSED, REFUSED, UNHURT, UNHURT, LAZY, UNHURT_KILLED],
  },
  unlinked: { means: 'an unlinked, open file', row: WRITES },
  'lock-waiter': {
    means: 'a lock, and a process that waits for it',
    row: [REFUSED, UNHURT, UNHURT, UNHURT, LAZY, UNHURT_KILLED],
  },
  'stopped-writer': { means: 'a writer in a loop, stopped (SIGSTOP); continued afterwards', row: LOOPS },
  'tight-loop': { means: 'a writer in a loop, fsync after 64 records', row: LOOPS },
  'disk-full': {
    means: 'a writer, and the host disk is full',
    row: [
      '1 · ENOSPC · gone',
      '1 · ENOSPC · stays',
      '1 · ENOSPC · gone',
      '1 · ENOSPC · gone',
      '0 · ENOSPC · gone',
      '– · ENOSPC · gone',
    ],
  },
  'store-error': {
    means: 'a writer, and no write to the store succeeds',
    row: [
      '1 · EIO · gone',
      '1 · EIO · stays',
      '1 · EIO · gone',
      '1 · EIO · gone',
      '0 · EIO · gone',
      '– · EIO · gone',
    ],
  },
  'fsync-in-flight': { means: 'a writer in a loop, fsync after each record', row: LOOPS },
  'second-mount': {
    means: 'a file open for writing; the daemon serves a second mount',
    row: [REFUSED, CUT_FROM_OTHER, CUT_FROM_OTHER, CUT, '0 · ok · serves the other', KILLED],
  },
};

export const expectedOf = (user: User, end: End): string => {
  const cell = LINES[user].row[ENDS.indexOf(end)];
  return cell === CUT_FROM_OTHER && !TEST_CAPABILITIES.cutsOff ? cell.replace('ENOTCONN', 'EIO') : cell;
};

export const cellText = ({ exit, saw, daemon }: Pick<Cell, 'exit' | 'saw' | 'daemon'>): string =>
  [exit, saw, daemon].join(' · ');

const HEADINGS: Record<End, string> = {
  plain: '`umount`',
  'write-close': '`--write-close`',
  force: '`--force`',
  SIGTERM: 'SIGTERM',
  'umount -l': '`umount -l`',
  SIGKILL: 'SIGKILL',
};

/** Markdown. */
export const tableText = (): string =>
  [
    `| who uses the mount | ${ENDS.map((end) => HEADINGS[end]).join(' | ')} |`,
    `| --- |${' --- |'.repeat(ENDS.length)}`,
    ...Object.values(LINES).map(({ means, row }) => `| ${means} | ${row.join(' | ')} |`),
  ].join('\n');
