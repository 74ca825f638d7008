/**
 * Which other processes hold a read transaction on a store: while they do, SQLite can't fold in what was committed
 * since, nor begin its write-ahead log anew. From the locks that SQLite's readers keep on the -shm file
 * (sqlite.org/walformat.html, "WAL locks"). Linux only.
 */
import { readFileSync, statSync } from 'node:fs';

/** WAL_READ_LOCK(0) to (4): bytes of the -shm file. */
const FIRST_READ_LOCK = 123;
const LAST_READ_LOCK = 127;
/** `1: POSIX  ADVISORY  READ 8573 fe:00:2170938 128 128`: pid, inode, first and last byte. */
const LOCK = /^\d+: +(?:POSIX|OFDLCK) +\w+ +READ +(-?\d+) +[\da-f]+:[\da-f]+:(\d+) +(\d+) +(\d+|EOF)$/;

const nameOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '?';
  }
};

/** As "sqlite3 (process 123)"; empty if nobody does, or it can't be told. Closes no descriptor of the store: only /proc is read. */
export const walReaders = (store: string): string[] => {
  let locks: string;
  let ino: bigint;
  try {
    ino = statSync(`${store}-shm`, { bigint: true }).ino;
    locks = readFileSync('/proc/locks', 'latin1');
  } catch {
    return [];
  }
  const pids = new Set<number>();
  for (const line of locks.split('\n')) {
    const found = LOCK.exec(line);
    if (found === null || BigInt(found[2]) !== ino) continue;
    const last = found[4] === 'EOF' ? Infinity : Number(found[4]);
    if (Number(found[3]) <= LAST_READ_LOCK && last >= FIRST_READ_LOCK) pids.add(Number(found[1]));
  }
  pids.delete(process.pid);
  return [...pids].map((pid) => `${nameOf(pid)} (process ${pid})`);
};
