/** Records a workload: a store on the fault-injecting disk, mounted by the rig, worked on by ordinary programs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createStore, type MkfsOptions } from '../../src/store/mkfs.js';
import { openReader } from '../../src/store/reader.js';
import { asIno } from '../../src/base/ids.js';
import { run, tryRun, until } from '../harness/commands.js';
import { closedMark, MADE_MARK, type Recording } from './crash-replay.js';
import { FaultDisk } from './disk.js';
import type { FaultRule } from './disk-faults.js';
import { RequestLog } from './request-log.js';
import type { RigOptions, Sabotage } from './rig-daemon.js';
import { childEnvironment } from '../harness/environment.js';

export interface Workload {
  name: string;
  /** A program a session: its lines run by `node -e` or `sh -c` in the mount; between sessions the store is unmounted. */
  sessions: readonly { shell?: string; node?: string }[];
  mkfs?: MkfsOptions;
  /** What goes wrong on the disk from the first mount on. */
  faults?: readonly FaultRule[];
  rig?: Partial<typeof RIG>;
}

/** A busy machine takes long to start a process. */
const READY_MS = 120_000;
const WORK_MS = 300_000;
/** So small that checkpoints and restarts of the WAL, and the giving back of free pages, fall into every workload. */
const RIG = {
  syncIntervalMs: 15,
  pages: 4096,
  vnodesMax: 2000,
  walSoftBytes: 256 << 10,
  walHardBytes: 512 << 10,
  keepFreePages: 0,
  idleMs: 20,
  intentAfter: 3,
  intentBytes: 64 << 10,
};

class Rig {
  readonly #child: ChildProcess;
  readonly #mnt: string;
  readonly #lines: string[] = [];
  #heard: () => void = () => undefined;

  constructor(mnt: string, options: RigOptions) {
    this.#mnt = mnt;
    const daemon = fileURLToPath(new URL('./rig-daemon.js', import.meta.url));
    this.#child = spawn(process.execPath, [daemon, mnt, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: childEnvironment(),
    });
    if (this.#child.stdout) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        this.#lines.push(line);
        this.#heard();
      });
    }
    this.#child.once('exit', () => this.#heard());
  }

  async says(word: string): Promise<void> {
    const deadline = Date.now() + READY_MS;
    while (!this.#lines.includes(word)) {
      if (this.#child.exitCode !== null || Date.now() > deadline)
        throw new Error(`the rig never said "${word}"`);
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
        setTimeout(resolve, 1000).unref();
      });
    }
  }

  async end(): Promise<void> {
    const gone = once(this.#child, 'exit');
    // The last close of a program that has ended may still be on its way, more so after failed writes.
    await until(
      'the unmount',
      () => tryRun('umount', [this.#mnt], { timeoutMs: READY_MS }).status === 0,
      READY_MS,
    );
    await this.says('closed');
    if (this.#child.exitCode === null) await gone;
  }

  /** After a failure. */
  destroy(): void {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
    try {
      run('umount', ['-l', this.#mnt], { timeoutMs: READY_MS });
    } catch {
      // It was not mounted, or is not any more.
    }
  }
}

const rootOf = (store: string): Recording['root'] => {
  const reader = openReader(store);
  try {
    const root = reader.loadInode(asIno(1));
    if (root === undefined) throw new Error('a new store without a root');
    return { mode: root.mode, uid: root.uid, gid: root.gid };
  } finally {
    reader.close();
  }
};

export const recordWorkload = async (
  workload: Workload,
  options: { sabotage?: Sabotage; base?: string } = {},
): Promise<Recording> => {
  const disk = await FaultDisk.start(options.base === undefined ? {} : { base: options.base });
  let rig: Rig | undefined;
  try {
    createStore(disk.store, workload.mkfs);
    writeFileSync(disk.markFile, MADE_MARK);
    const root = rootOf(disk.store);
    const mnt = join(disk.base, 'mnt');
    mkdirSync(mnt);
    const logs: Recording['logs'] = [];
    await disk.faults(...(workload.faults ?? []));
    for (const [session, { shell, node }] of workload.sessions.entries()) {
      const logFile = join(disk.base, `log-${session}`);
      const { store, markFile } = disk;
      const sabotage = options.sabotage ?? 'none';
      rig = new Rig(mnt, { ...RIG, ...workload.rig, store, markFile, session, logFile, sabotage });
      await rig.says('ready');
      const env = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null', HOME: disk.base };
      if (shell !== undefined) run('sh', ['-ec', shell], { cwd: mnt, timeoutMs: WORK_MS, env });
      if (node !== undefined) run(process.execPath, ['-e', node], { cwd: mnt, timeoutMs: WORK_MS, env });
      await rig.end();
      rig = undefined;
      if (sabotage === 'none') writeFileSync(disk.markFile, closedMark(session));
      logs.push(RequestLog.load(logFile));
    }
    const trace = await disk.takeTrace();
    return { name: workload.name, trace, logs, root, storeName: 'store.db' };
  } finally {
    rig?.destroy();
    await disk.end();
  }
};
