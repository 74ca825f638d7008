/**
 * Runs a team: starts its processes, joined by pipes for the turn, and waits until one reports a difference or all have
 * ended. A team that makes no progress for {@link STALL_MS} has found something too: a hang.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { check, libc } from '../../test/harness/libc.js';
import type { TeamMessage, TeamTask } from './exercise.js';

const O_CLOEXEC = 0o2000000;
const STALL_MS = 300_000;
/** For processes that were killed: one that hangs in the kernel stays. */
const DEATH_MS = 10_000;
const MEMBER = fileURLToPath(new URL('./team-member.js', import.meta.url));

export type Outcome =
  | { kind: 'agreed'; expected: string[] }
  | { kind: 'differed'; index: number; what: string }
  /** A process died or stood still: how far the team had come at least. */
  | { kind: 'broken'; index: number; what: string };

const openPipe = (): [number, number] => {
  const fds = Buffer.alloc(8);
  check(libc.pipe2(fds, O_CLOEXEC), 'pipe2');
  return [fds.readInt32LE(0), fds.readInt32LE(4)];
};

const eachLine = (stream: Readable, take: (message: TeamMessage) => void): void => {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (part: string) => {
    const lines = (text + part).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) take(JSON.parse(line) as TeamMessage);
  });
};

/** Never rejects. `onProgress` gets the number of operations done so far; `signal` breaks it off. */
export const runTeam = async (
  task: TeamTask,
  onProgress: (done: number) => void,
  signal: AbortSignal,
): Promise<Outcome> => {
  const pipes = Array.from({ length: task.processes }, openPipe);
  const fds = pipes.flat();
  const members: ChildProcess[] = [];
  let outcome: Outcome | undefined;
  let done = 0;
  let giveUp = (): void => undefined;
  const stuck = new Promise<void>((resolve) => (giveUp = resolve));
  const settle = (found: Outcome): void => {
    // The first that is told counts: what follows is its consequence.
    if (outcome !== undefined) return;
    outcome = found;
    if (found.kind === 'agreed') return;
    for (const member of members) member.kill('SIGKILL');
    setTimeout(giveUp, DEATH_MS).unref();
  };
  const interrupt = (): void => settle({ kind: 'broken', index: done, what: 'interrupted' });
  signal.addEventListener('abort', interrupt);
  const stall = setInterval(() => {
    settle({ kind: 'broken', index: done, what: `no progress for ${STALL_MS / 1000} seconds` });
  }, STALL_MS);

  const ends = Array.from({ length: task.processes }, (_, me) => {
    const member = spawn(process.execPath, [MEMBER, String(me), JSON.stringify(task)], {
      stdio: ['ignore', 'pipe', 'pipe', ...fds],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    members.push(member);
    let said = '';
    member.stderr?.on('data', (part: Buffer) => (said = (said + part.toString()).slice(-2000)));
    eachLine(member.stdout as Readable, (message) => {
      if (message.kind === 'progress') {
        done = Math.max(done, message.done);
        stall.refresh();
        onProgress(done);
      } else if (message.kind === 'finished') settle({ kind: 'agreed', expected: message.expected });
      else settle({ kind: 'differed', index: message.index, what: message.what });
    });
    return new Promise<void>((resolve) => {
      member.on('error', (error) => settle({ kind: 'broken', index: done, what: String(error) }));
      member.on('close', (code, signal) => {
        if (code !== 0) {
          const what = `process ${me} ended with ${signal ?? `code ${code}`}: ${said}`;
          settle({ kind: 'broken', index: done, what });
        }
        resolve();
      });
    });
  });
  for (const fd of fds) closeSync(fd);
  if (signal.aborted) interrupt();
  await Promise.race([Promise.all(ends), stuck]);
  clearInterval(stall);
  signal.removeEventListener('abort', interrupt);
  return outcome ?? { kind: 'broken', index: done, what: 'the processes ended without a word' };
};
