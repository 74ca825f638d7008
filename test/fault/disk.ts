/** The fault-injecting store disk as tests see it: starts its process, sends it commands. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { tryRun } from '../harness/commands.js';
import type { DiskCommand } from './disk-daemon.js';
import type { FaultRule } from './disk-faults.js';
import { type DiskRecord, loadTrace } from './disk-trace.js';
import { MARK_NAME } from './disk-vfs.js';
import { childEnvironment } from '../harness/environment.js';

const DEADLINE_MS = 120_000;

export interface DiskOptions {
  seed?: number;
  /** Where the files really are and the mount point is made; default a new directory below the system's temporary one. */
  base?: string;
}

export class FaultDisk {
  readonly base: string;
  /** The mount point: the store goes here. */
  readonly path: string;
  /** The directory behind it. */
  readonly backing: string;
  readonly #child: ChildProcess;
  readonly #waiting: ((line: string) => void)[] = [];
  #ended = false;

  private constructor(base: string, seed: number) {
    this.base = base;
    this.path = join(base, 'disk');
    this.backing = join(base, 'backing');
    mkdirSync(this.path);
    mkdirSync(this.backing);
    writeFileSync(join(this.backing, MARK_NAME), '');
    const daemon = fileURLToPath(new URL('./disk-daemon.js', import.meta.url));
    this.#child = spawn(process.execPath, [daemon, this.path, this.backing, String(seed)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: childEnvironment(),
    });
    if (this.#child.stdout) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => this.#waiting.shift()?.(line));
    }
    this.#child.once('exit', () => {
      for (const answer of this.#waiting.splice(0)) answer('null');
    });
  }

  /** The caller ends it. */
  static async start(options: DiskOptions = {}): Promise<FaultDisk> {
    const base = mkdtempSync(join(options.base ?? tmpdir(), 'vnodefs-disk-'));
    const disk = new FaultDisk(base, options.seed ?? 1);
    const line = await disk.#line();
    if (line !== 'ready') throw new Error(`the fault disk did not start: ${line}`);
    return disk;
  }

  get store(): string {
    return join(this.path, 'store.db');
  }
  get markFile(): string {
    return join(this.path, MARK_NAME);
  }

  async #line(): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the fault disk does not answer')), DEADLINE_MS);
      this.#waiting.push((line) => {
        clearTimeout(timer);
        resolve(line);
      });
    });
  }

  async command(command: DiskCommand): Promise<unknown> {
    const answer = this.#line();
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
    return JSON.parse(await answer) as unknown;
  }
  async faults(...rules: FaultRule[]): Promise<void> {
    await this.command({ command: 'faults', rules });
  }
  async counts(): Promise<Record<string, number>> {
    return ((await this.command({ command: 'counts' })) as { faults: Record<string, number> }).faults;
  }
  /** The trace since the last call. */
  async takeTrace(): Promise<DiskRecord[]> {
    const path = join(this.base, 'trace');
    await this.command({ command: 'save', path });
    const records = loadTrace(path);
    rmSync(path);
    return records;
  }

  /** Unmounts, whoever still uses it, and removes everything. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const gone = once(this.#child, 'exit');
    this.#child.stdin?.write(`${JSON.stringify({ command: 'end' })}\n`);
    const timer = setTimeout(() => {
      tryRun('umount', ['-l', this.path], { timeoutMs: 10_000 });
      this.#child.kill('SIGKILL');
    }, DEADLINE_MS);
    if (this.#child.exitCode === null) await gone;
    clearTimeout(timer);
    this.#child.stdin?.destroy();
    rmSync(this.base, { recursive: true, force: true, maxRetries: 3 });
  }
}
