/**
 * Which process is meant by a pid: the pid and its start time, since pids are used again (proc(5), /proc/PID/stat field
 * 22, in clock ticks since boot).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { isRunning } from '../base/processes.js';

export interface ProcessIdentity {
  pid: number;
  /** Clock ticks since boot; 0 where /proc doesn't tell. */
  startTicks: number;
}

/** From the text of /proc/PID/stat. The command (field 2) is in parentheses and may itself hold any of ` ()`. */
export const parseStat = (text: string): { state: string; startTicks: number } => {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', startTicks: Number(fields[19] ?? 0) };
};

const readStat = (pid: number): { state: string; startTicks: number } | undefined => {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined;
  }
};

export const identify = (pid: number): ProcessIdentity => ({
  pid,
  startTicks: readStat(pid)?.startTicks ?? 0,
});

/**
 * A killed process is shown as a zombie as soon as its first thread has ended: while others still run, its files (and
 * so its mount and its lock) are still open.
 */
const hasThreads = (pid: number): boolean => {
  try {
    return readdirSync(`/proc/${pid}/task`).length > 1;
  } catch {
    return false;
  }
};

/** False once it has ended, even while its parent hasn't reaped it. */
export const isAlive = (identity: ProcessIdentity): boolean => {
  const stat = readStat(identity.pid);
  if (stat !== undefined) {
    const hasEnded = stat.state === 'X' || (stat.state === 'Z' && !hasThreads(identity.pid));
    return !hasEnded && stat.startTicks === identity.startTicks;
  }
  if (identity.startTicks !== 0) return false;
  return isRunning(identity.pid);
};
