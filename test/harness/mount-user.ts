/** A child that uses a mount in one way (test/support/mount-user.ts), and says in lines of JSON what it meets. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from './environment.js';

const USER = fileURLToPath(new URL('../support/mount-user.js', import.meta.url));

interface Said {
  ready?: true;
  acked?: number;
  saw?: string;
  closed?: string;
}

export class MountUser {
  readonly child: ChildProcess;
  acked = 0;
  saw: string | undefined;
  closed: string | undefined;
  ready = false;

  /** `bytes`: of what it writes, for kinds that write much. */
  constructor(kind: string, directory: string, bytes: number) {
    this.child = spawn(process.execPath, [USER, kind, directory, String(bytes)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: childEnvironment(),
    });
    const { stdout, stdin } = this.child;
    stdin?.on('error', () => undefined);
    if (stdout !== null)
      createInterface({ input: stdout }).on('line', (line) => this.#take(JSON.parse(line) as Said));
  }

  #take({ ready, acked, saw, closed }: Said): void {
    if (ready) this.ready = true;
    if (acked !== undefined) this.acked = acked;
    this.saw ??= saw;
    this.closed ??= closed;
  }

  /** Its next use, where it waits to be told. */
  use(): void {
    this.child.stdin?.write('use\n');
  }

  /** It ends its own children first; after `graceMs` it is killed: those in a loop don't look. */
  async end(graceMs: number): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.stdin?.end();
    this.child.kill('SIGCONT');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), graceMs);
    await gone;
    clearTimeout(timer);
  }
}
