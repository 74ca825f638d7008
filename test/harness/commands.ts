/** Child processes of the tests: always with a deadline, output kept for the message when they fail. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { childEnvironment } from './environment.js';

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  timeoutMs?: number;
  uid?: number;
  gid?: number;
  input?: string | Buffer;
}
export interface Result {
  /** Exit code; null if killed (by the deadline too). */
  status: number | null;
  stdout: string;
  stderr: string;
}

const DEADLINE_MS = 60_000;
const OUTPUT_BYTES_MAX = 64 << 20;

/** Output goes through files: a daemon that a command leaves behind mustn't keep a pipe, and with it us, open. */
export const tryRun = (command: string, args: readonly string[], options: RunOptions = {}): Result => {
  const dir = mkdtempSync(join(tmpdir(), 'vnodefs-run-'));
  const files = [join(dir, 'out'), join(dir, 'err')];
  const fds = files.map((file) => openSync(file, 'w'));
  try {
    const child = spawnSync(command, args, {
      cwd: options.cwd,
      env: childEnvironment(options.env),
      uid: options.uid,
      gid: options.gid,
      input: options.input,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', fds[0], fds[1]],
      timeout: options.timeoutMs ?? DEADLINE_MS,
      killSignal: 'SIGKILL',
      maxBuffer: OUTPUT_BYTES_MAX,
    });
    const [stdout, stderr] = files.map((file) => readFileSync(file, 'utf8'));
    return { status: child.status, stdout, stderr: stderr + (child.error ? String(child.error) : '') };
  } finally {
    fds.forEach((fd) => closeSync(fd));
    rmSync(dir, { recursive: true, force: true });
  }
};

/** As {@link tryRun}, throws unless it exits with 0; returns what it wrote to standard output. */
export const run = (command: string, args: readonly string[], options: RunOptions = {}): string => {
  const result = tryRun(command, args, options);
  if (result.status !== 0) {
    const tail = `${result.stdout.slice(-1500)}\n${result.stderr.slice(-1500)}`.trim();
    throw new Error(`${command} ${args.join(' ')}: exit ${result.status}\n${tail}`);
  }
  return result.stdout;
};

export interface Running {
  pid: number;
  done: Promise<Result>;
}

/** Starts a command beside the test; `done` always settles, after the deadline by SIGKILL. */
export const start = (command: string, args: readonly string[], options: RunOptions = {}): Running => {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: childEnvironment(options.env),
    uid: options.uid,
    gid: options.gid,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? DEADLINE_MS,
    killSignal: 'SIGKILL',
  });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (part: Buffer) => out.push(part));
  child.stderr.on('data', (part: Buffer) => err.push(part));
  const done = new Promise<Result>((resolve) => {
    const finish = (status: number | null, extra = ''): void =>
      resolve({
        status,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString() + extra,
      });
    child.on('error', (error) => finish(null, String(error)));
    child.on('close', (status) => finish(status));
  });
  return { pid: child.pid ?? -1, done };
};

export const has = (program: string): boolean =>
  tryRun('sh', ['-c', `command -v ${program}`], { timeoutMs: 10_000 }).status === 0;

/** Waits until the condition holds; throws, saying what was awaited, when it doesn't. */
export const until = async (what: string, condition: () => boolean, timeoutMs = 20_000): Promise<void> => {
  const end = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
