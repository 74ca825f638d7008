/**
 * Child processes of the benchmark. Every trial, and everything that touches a mount, runs in one: a hung mount can
 * then only hang a child, which has a timeout. Each child leads its own process group, so that the interrupt key of
 * the terminal reaches only us, and so that killing it takes its own children along.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

export interface RunOptions {
  timeoutMs?: number;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Runs even after {@link Processes.abort}: for tearing down. */
  cleanup?: boolean;
}

export interface RunResult {
  stdout: string;
  /** From just before the start until the child has exited, in milliseconds. */
  wallMs: number;
}

/** A child failed, or could not start, or took too long. The message holds the end of what it said. */
export class ChildError extends Error {
  override readonly name = 'ChildError';
  readonly timedOut: boolean;

  constructor(message: string, timedOut = false) {
    super(message);
    this.timedOut = timedOut;
  }
}

/** After SIGKILL a child is waited for this long; one stuck in the kernel is left to the abort of the mount. */
const KILL_GRACE_MS = 5000;
/** The rest of the output is waited for this long after the exit. */
const PIPE_GRACE_MS = 500;
/** Of what a failed child said, this much is shown, in characters. */
const TAIL = 600;

const killGroup = (child: ChildProcess): void => {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ESRCH: the group has gone already, which is what was wanted.
  }
};

export class Processes {
  readonly #running = new Set<ChildProcess>();
  readonly #timeoutMs: number;
  aborted = false;

  /** `timeoutMs` holds for every child that is not given its own. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Kills the trial that runs now, and lets no other begin. Servers go on until their owner stops them. */
  abort(): void {
    this.aborted = true;
    for (const child of this.#running) killGroup(child);
  }

  /** Resolves when the child has exited with 0; throws {@link ChildError} otherwise. */
  async run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    if (this.aborted && options.cleanup !== true) throw new ChildError('interrupted');
    const name = [command, ...args].join(' ');
    const started = performance.now();
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    let wallMs = 0;
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(`could not start: ${error.message}`));
      child.once('exit', (code, signal) => {
        wallMs = performance.now() - started;
        const failure = code === 0 ? '' : code === null ? `was killed by ${signal}` : `exited with ${code}`;
        // 'close' waits for every holder of the pipes, which may be a daemon that the child left behind.
        setTimeout(() => resolve(failure), PIPE_GRACE_MS).unref();
        child.once('close', () => resolve(failure));
      });
    });
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const { failure, timedOut } = await withTimeout(ended, timeoutMs, child);
    this.#running.delete(child);
    child.stdout.destroy();
    child.stderr.destroy();
    if (failure !== '') {
      const said = Buffer.concat(err.length > 0 ? err : out).toString();
      throw new ChildError(`${name} ${failure}: ${said.trim().slice(-TAIL)}`, timedOut);
    }
    return { stdout: Buffer.concat(out).toString(), wallMs };
  }

  /** Starts a server in the foreground; the caller owns it and ends it. What it says on stderr is kept. */
  serve(command: string, args: readonly string[]): Server {
    if (this.aborted) throw new ChildError('interrupted');
    return new Server(spawn(command, args, { detached: true, stdio: ['ignore', 'ignore', 'pipe'] }));
  }
}

/** What `ended` says, or, when it takes too long, that it did (the child is then killed). */
const withTimeout = async (
  ended: Promise<string>,
  timeoutMs: number,
  child: ChildProcess,
): Promise<{ failure: string; timedOut: boolean }> => {
  const timer = new AbortController();
  const late = delay(timeoutMs, 'late' as const, { signal: timer.signal }).catch(() => 'cancelled' as const);
  const first = await Promise.race([ended.then((failure) => ({ failure })), late]);
  timer.abort();
  if (typeof first === 'object') return { ...first, timedOut: false };
  killGroup(child);
  await Promise.race([ended, delay(KILL_GRACE_MS, undefined, { ref: false })]);
  return { failure: `took longer than ${timeoutMs / 1000} s and was killed`, timedOut: true };
};

/** A FUSE server that runs as our child, so that its pid is known and its end can be waited for. */
export class Server {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  running = true;
  said = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.on('data', (chunk: Buffer) => (this.said = (this.said + chunk.toString()).slice(-TAIL)));
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        this.running = false;
        resolve();
      };
      child.once('error', (error) => {
        this.said += error.message;
        end();
      });
      child.once('exit', end);
    });
  }

  /** Waits for the server to finish by itself (its mount has been detached); kills it when it does not. */
  async finish(timeoutMs = KILL_GRACE_MS): Promise<void> {
    await Promise.race([this.#ended, delay(timeoutMs, undefined, { ref: false })]);
    if (this.running) killGroup(this.#child);
    await Promise.race([this.#ended, delay(KILL_GRACE_MS, undefined, { ref: false })]);
  }
}
