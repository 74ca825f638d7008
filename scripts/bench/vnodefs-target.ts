/**
 * vnodefs itself, through its command line only: `mount`, `umount`, `sync` and `status --json`, as a person has it.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { mountAt, unmount } from './mounts.js';
import { parseMountOptions, parseStatus, type VnodefsStatus } from './parse.js';
import type { Processes } from './processes.js';
import type { RequestCounts } from './stats.js';
import type { MountedTarget, MountVariant, Target } from './target.js';

/** `vnodefs umount` returns after everything is on disk: give a slow disk its time. */
const UMOUNT_TIMEOUT_MS = 120_000;
/** A daemon whose connection was aborted ends by itself; past this it is killed. */
const DAEMON_END_MS = 10_000;

/** Field 22 of proc_pid_stat(5); empty when there is no such process, or only its zombie. */
const startTimeOf = (pid: number): string => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? '' : fields[19];
  } catch {
    return '';
  }
};

export class VnodefsTarget implements Target {
  readonly name: string;
  readonly about: string;
  readonly #processes: Processes;
  readonly #repository: string;
  readonly #options: string;

  /** `options`: further words for `vnodefs mount`, see {@link parseMountOptions}. */
  constructor(processes: Processes, repository: string, name: string, options: string) {
    this.#processes = processes;
    this.#repository = repository;
    this.name = name;
    this.#options = options;
    this.about = options === '' ? 'vnodefs mount' : `vnodefs mount ${options}`;
  }

  unavailable(): string | undefined {
    const cli = join(this.#repository, 'build/src/cli/main.js');
    return existsSync(cli) ? undefined : 'its command line is not built (build/src/cli/main.js is missing)';
  }

  async open(place: string, variant: MountVariant): Promise<MountedTarget> {
    const options = parseMountOptions(this.#options);
    if (variant.noLifetimes === true) options.list.push('attr_timeout=0', 'entry_timeout=0');
    if (variant.pollUs !== undefined) options.list.push(`poll_us=${variant.pollUs}`);
    const words = options.list.length > 0 ? ['-o', options.list.join(','), ...options.words] : options.words;
    const mount = new VnodefsMount(this.#processes, join(this.#repository, 'bin/vnodefs.js'), place, words);
    mkdirSync(mount.root);
    try {
      await mount.mount();
      return mount;
    } catch (error) {
      await mount.close();
      throw error;
    }
  }
}

class VnodefsMount implements MountedTarget {
  readonly root: string;
  readonly #processes: Processes;
  readonly #program: string;
  readonly #store: string;
  readonly #log: string;
  readonly #words: readonly string[];
  /** While one of ours may run. The start time tells it from a later process of the same number. */
  #daemon: { pid: number; startTime: string } | undefined;

  constructor(processes: Processes, program: string, place: string, words: readonly string[]) {
    this.#processes = processes;
    this.#program = program;
    this.root = join(place, 'mnt');
    this.#store = join(place, 'store.db');
    this.#log = join(place, 'vnodefs.log');
    this.#words = words;
  }

  async mount(): Promise<void> {
    const args = ['mount', this.#store, this.root, '--log-file', this.#log, ...this.#words];
    try {
      await this.#cli(args);
      const { pid } = await this.#status();
      this.#daemon = { pid, startTime: startTimeOf(pid) };
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.#endOfLog()}`, { cause: error });
    }
  }

  async remount(): Promise<void> {
    await this.#cli(['umount', this.root], UMOUNT_TIMEOUT_MS);
    this.#daemon = undefined;
    await this.mount();
  }

  async sync(): Promise<void> {
    await this.#cli(['sync', this.root]);
  }

  async requests(): Promise<RequestCounts> {
    return (await this.#status()).requests;
  }

  async close(): Promise<void> {
    if (mountAt(this.root) !== undefined) {
      await this.#cli(['umount', this.root], UMOUNT_TIMEOUT_MS).catch(() => undefined);
      await unmount(this.#processes, this.root);
    }
    await this.#daemonEnd();
  }

  async #daemonEnd(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (daemon === undefined) return;
    const runs = (): boolean => daemon.startTime !== '' && startTimeOf(daemon.pid) === daemon.startTime;
    for (const end = performance.now() + DAEMON_END_MS; performance.now() < end; await delay(50)) {
      if (!runs()) return;
    }
    if (runs()) process.kill(daemon.pid, 'SIGKILL');
  }

  async #status(): Promise<VnodefsStatus> {
    return parseStatus(await this.#cli(['status', this.root, '--json']));
  }

  async #cli(args: readonly string[], timeoutMs?: number): Promise<string> {
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    const cleanup = args[0] === 'umount';
    const { stdout } = await this.#processes.run(process.execPath, [this.#program, ...args], {
      ...options,
      cleanup,
    });
    return stdout;
  }

  #endOfLog(): string {
    try {
      return readFileSync(this.#log, 'utf8').slice(-2000);
    } catch {
      return '(no log)';
    }
  }
}
