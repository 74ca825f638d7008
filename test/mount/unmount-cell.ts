/**
 * One cell of the table of unmounts: somebody uses a mount, the mount is ended in some way, and it is noted what came
 * of it. Everything touches the mount from other processes, with a time limit.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkStore } from '../../src/store/fsck.js';
import { FaultDisk } from '../fault/disk.js';
import type { UnmountReport } from '../../src/daemon/unmount-report.js';
import { start, until } from '../harness/commands.js';
import { openCoreTarget } from '../harness/core-target.js';
import { MountUser } from '../harness/mount-user.js';
import { cliOk, fullSize, mountedDevice, REPOSITORY, TRANSPORT_ARGS } from '../harness/mount.js';
import { childEnvironment } from '../harness/environment.js';

export const USERS = [
  'none',
  'open-reader',
  'open-writer',
  'dirty-pages',
  'dirty-mmap',
  'cwd',
  'executable',
  'unlinked',
  'lock-waiter',
  'stopped-writer',
  'tight-loop',
  'disk-full',
  'store-error',
  'fsync-in-flight',
  'second-mount',
] as const;
export type User = (typeof USERS)[number];

export const ENDS = ['plain', 'write-close', 'force', 'SIGTERM', 'umount -l', 'SIGKILL'] as const;
export type End = (typeof ENDS)[number];

export interface Cell {
  /** Of the command, or of the daemon after a signal; `–` where there is none. */
  exit: string;
  /** Of the user's next use: `ok`, `cut off`, `goes on` (it is in a loop, and met no error), an error's name, `–`. */
  saw: string;
  /** Whether the daemon ended: `gone`, `stays` (the mount is usable, or a file of it is open), `serves the other`. */
  daemon: string;
  /** From the command or signal until the daemon had gone, or stayed. */
  endMs: number;
  /** What must not be: empty. */
  wrong: string[];
}

const CLI = join(REPOSITORY, 'bin/vnodefs.js');
/**
 * Deadlines are longer than the default of 10 s, for a loaded machine: where they cost no time, much longer. After
 * SIGTERM readers have 60 % of it, and a failing store uses up the whole. VNODEFS_UNMOUNT_DEADLINE=SECONDS sets them
 * all.
 */
const given = process.env['VNODEFS_UNMOUNT_DEADLINE'];
const DEADLINE_S = Number(given ?? (fullSize ? 300 : 60));
const READER_DEADLINE_S = Number(given ?? 25);
const FAULTY_DEADLINE_S = Number(given ?? 20);
/** What is tested is that the daemon ends, and that it says so itself; it may take this long beyond the deadline. */
const LATE_MS = 10_000;
const ANSWER_MS = fullSize ? 300_000 : 120_000;
const COMMAND_MS = (DEADLINE_S + 60) * 1000;
const DIRTY_BYTES = fullSize ? 1 << 30 : 24 << 20;
/** Each page that is mapped costs requests of its own. */
const MAPPED_BYTES = fullSize ? 1 << 30 : 2 << 20;
const RECORD = 4096;
const END_MS = 300;
const LOOPS: readonly User[] = [
  'tight-loop',
  'fsync-in-flight',
  'stopped-writer',
  'disk-full',
  'store-error',
];
/** How users of the table behave that are a usual one in unusual surroundings. */
const KIND: Partial<Record<User, string>> = {
  'stopped-writer': 'tight-loop',
  'disk-full': 'tight-loop',
  'store-error': 'tight-loop',
  'second-mount': 'open-writer',
};

/** A store with a file to read and a log, made once and copied for each cell. */
export const makeTemplate = async (directory: string): Promise<string> => {
  const store = join(directory, 'template.db');
  cliOk(['mkfs', store]);
  const target = await openCoreTarget({ store });
  for (const [name, bytes] of [
    ['seed', 4 << 20],
    ['log', RECORD],
  ] as const) {
    const fd = target.client.open(name, constants.O_CREAT | constants.O_WRONLY);
    for (let at = 0; at < bytes; at += 1 << 16)
      target.client.write(fd, Buffer.alloc(Math.min(bytes, 1 << 16), 's'), at);
    target.client.close(fd);
  }
  target.close();
  return store;
};

/** Beside the other cells: nothing here may hold up the event loop. Throws unless it exits with 0. */
const done = async (command: string, args: readonly string[]): Promise<void> => {
  const { status, stderr } = await start(command, args, { timeoutMs: COMMAND_MS }).done;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${status}: ${stderr.trim()}`);
};

class Scene {
  readonly user: User;
  readonly base: string;
  readonly mnt: string;
  store: string;
  daemon: ChildProcess | undefined;
  disk: FaultDisk | undefined;
  mountUser: MountUser | undefined;
  readonly wrong: string[] = [];
  #unmounted = false;

  constructor(user: User, base: string) {
    this.user = user;
    this.base = base;
    this.mnt = join(base, 'm');
    this.store = join(base, 's.db');
    mkdirSync(this.mnt);
  }

  get deadlineS(): number {
    return this.isFaulty ? FAULTY_DEADLINE_S : DEADLINE_S;
  }

  get isReader(): boolean {
    return ['open-reader', 'cwd', 'executable'].includes(this.user);
  }

  get other(): string {
    return join(this.base, 'other');
  }

  async set(template: string): Promise<void> {
    if (this.user === 'disk-full') {
      mkdirSync(join(this.base, 'disk'));
      await done('mount', ['-t', 'tmpfs', '-o', 'size=32M', 'none', join(this.base, 'disk')]);
      this.store = join(this.base, 'disk/s.db');
    } else if (this.user === 'store-error') {
      this.disk = await FaultDisk.start({ base: this.base });
      this.store = this.disk.store;
    }
    copyFileSync(template, this.store);
    const options = `stop_timeout=${this.isReader ? READER_DEADLINE_S : this.deadlineS}`;
    const small = ['--foreground', '--json', '--pages', '16MiB', '-o', options];
    const args = ['mount', this.store, this.mnt, ...small, ...TRANSPORT_ARGS];
    const daemon = spawn(process.execPath, [CLI, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: childEnvironment(),
    });
    this.daemon = daemon;
    let printed = false;
    daemon.stdout.once('data', () => (printed = true));
    await until('the mount', () => printed || this.gone, ANSWER_MS);
    if (!printed) throw new Error(`the daemon ended at once: exit ${daemon.exitCode}`);
    if (this.user === 'second-mount') {
      mkdirSync(this.other);
      const second = ['mount', join(this.base, 'other.db'), this.other, '--join', this.mnt, '-o', options];
      await done(process.execPath, [CLI, ...second]);
    }
    if (this.user === 'none') return;
    const mountUser = new MountUser(
      KIND[this.user] ?? this.user,
      this.mnt,
      this.user === 'dirty-mmap' ? MAPPED_BYTES : DIRTY_BYTES,
    );
    this.mountUser = mountUser;
    await until(`the user ${this.user}`, () => mountUser.ready, ANSWER_MS);
    if (this.user === 'stopped-writer') mountUser.child.kill('SIGSTOP');
    if (this.user === 'disk-full')
      await done('sh', ['-c', 'cat /dev/zero >"$0"/ballast; true', join(this.base, 'disk')]);
    await this.disk?.faults({ op: 'write', file: 'any', kind: 'fail', errno: 'EIO' });
    if (this.user === 'disk-full' || this.user === 'store-error')
      await until('the failing store to show', () => mountUser.saw !== undefined, ANSWER_MS);
  }

  get gone(): boolean {
    return this.daemon === undefined || this.daemon.exitCode !== null || this.daemon.signalCode !== null;
  }

  /** Ends the mount; returns the exit code that tells of it. */
  async end(how: End): Promise<string> {
    const deadline = ['--timeout', String(this.deadlineS)];
    const options = {
      plain: [],
      'write-close': ['--write-close', ...deadline],
      force: ['--force', ...deadline],
    } as const;
    switch (how) {
      case 'SIGTERM':
      case 'SIGKILL':
        this.daemon?.kill(how);
        await this.#awaitDaemon();
        return String(this.daemon?.exitCode ?? '–');
      case 'umount -l':
        await done('umount', ['-l', this.mnt]);
        return '0';
      default: {
        const args = ['umount', this.mnt, '--json', ...options[how]];
        const { status, stdout, stderr } = await start(process.execPath, [CLI, ...args], {
          timeoutMs: COMMAND_MS,
        }).done;
        if (stdout === '') throw new Error(`no report: exit ${status}: ${stderr.trim()}`);
        const report = JSON.parse(stdout) as UnmountReport;
        this.#unmounted = report.outcome === 'unmounted';
        if (status === 1 && !this.isFaulty) this.#checkLoss(report);
        return String(status);
      }
    }
  }

  /** A sound store: only a writer that goes on while it is cut off may lose anything, and only what it never synced. */
  #checkLoss({ dropped, droppedMore, errno }: UnmountReport): void {
    const expected = LOOPS.includes(this.user) && dropped.every(({ path }) => path === 'log');
    if (errno !== 0 || droppedMore > 0 || !expected)
      this.wrong.push(`lost: ${JSON.stringify({ errno, dropped })}`);
  }

  /** What becomes of the daemon, while the user still has what it has. */
  async becomes(how: End): Promise<string> {
    const isHeld = this.user !== 'none' && !this.isFaulty; // the failure has ended that user's use
    const ends = how === 'umount -l' ? !isHeld : this.#unmounted;
    if (ends && this.user !== 'second-mount')
      await until('the daemon', () => this.gone, this.deadlineS * 1000 + LATE_MS).catch(() => undefined);
    if (this.gone) return 'gone';
    const isOther = this.user === 'second-mount' && mountedDevice(this.mnt) === undefined;
    return isOther ? 'serves the other' : 'stays';
  }

  async #awaitDaemon(): Promise<void> {
    await until('the end of the daemon', () => this.gone, this.deadlineS * 1000 + LATE_MS).catch(
      (error: unknown) => {
        this.wrong.push(String(error));
        this.daemon?.kill('SIGKILL');
      },
    );
  }

  async see(how: End): Promise<string> {
    const { mountUser, user } = this;
    if (mountUser === undefined) return '–';
    mountUser.child.kill('SIGCONT');
    const loops = LOOPS.includes(user);
    if (!loops) mountUser.use();
    const { child } = mountUser;
    const sees = (): boolean =>
      mountUser.saw !== undefined && (mountUser.closed !== undefined || child.exitCode !== null);
    await until('what the user sees', sees, loops ? 1_500 : ANSWER_MS).catch(() => undefined);
    if (mountUser.saw === undefined) {
      if (!loops) this.wrong.push('the user is blocked');
      return loops ? 'goes on' : 'blocked';
    }
    const { closed } = mountUser;
    // Nobody took what the kernel still had to write back of that file: fuse_flush (fs/fuse/file.c) says so.
    const isLost = user === 'dirty-pages' && how === 'SIGKILL' && closed === 'ENOTCONN';
    if (closed !== undefined && closed !== 'ok' && !loops && !isLost) this.wrong.push(`close: ${closed}`);
    return mountUser.saw;
  }

  /** Whatever is left ends in order; then the store must be clean, with everything that was acknowledged. */
  async settle(how: End): Promise<void> {
    await this.mountUser?.end(END_MS);
    if (this.user === 'disk-full') rmSync(join(this.base, 'disk/ballast'), { force: true });
    await this.disk?.faults();
    for (const mountpoint of [this.other, this.mnt]) {
      if (mountedDevice(mountpoint) === undefined) continue;
      await done('umount', [mountpoint]);
    }
    await this.#awaitDaemon();
    if (mountedDevice(this.mnt) !== undefined) this.wrong.push('still mounted');
    if (this.user === 'disk-full') this.#carryToRoom();
    const { findings } = checkStore(this.store);
    if (findings.length > 0) this.wrong.push(`fsck: ${JSON.stringify(findings.slice(0, 3))}`);
    await this.#checkLog(how);
  }

  /** The writer may have filled the disk by itself, before the ballast did: then opening the store there for writing fails. */
  #carryToRoom(): void {
    const carried = join(this.base, 'carried.db');
    for (const suffix of ['', '-wal', '-intent'])
      if (existsSync(this.store + suffix)) copyFileSync(this.store + suffix, carried + suffix);
    this.store = carried;
  }

  get isFaulty(): boolean {
    return this.user === 'disk-full' || this.user === 'store-error';
  }

  async #checkLog(how: End): Promise<void> {
    const acked = this.mountUser?.acked ?? 0;
    if (acked === 0) return;
    const target = await openCoreTarget({ store: this.store });
    try {
      const fd = target.client.open('log', constants.O_RDONLY);
      const text = target.client.read(fd, 16, (acked - 1) * RECORD).toString();
      target.client.close(fd);
      if (!text.startsWith(`${acked - 1} `))
        this.wrong.push(`${how}: record ${acked - 1} was acknowledged, found "${text}"`);
    } finally {
      target.close();
    }
  }

  async dispose(): Promise<void> {
    await this.mountUser?.end(END_MS);
    if (!this.gone) this.daemon?.kill('SIGKILL');
    for (const mountpoint of [this.other, this.mnt])
      if (mountedDevice(mountpoint) !== undefined) await done('umount', ['-l', mountpoint]);
    await this.disk?.end();
    if (this.user === 'disk-full') await done('umount', ['-l', join(this.base, 'disk')]);
    rmSync(this.base, { recursive: true, force: true, maxRetries: 3 });
  }
}

const CUT = new Set(['EIO', 'ENOTCONN', 'ECONNABORTED', 'EROFS']);

/**
 * Which error meets a writer in a loop depends on a race: its file is closed by force, then the connection cut. ECONNABORTED is said
 * to whoever asked just before the cut, ENOTCONN after it.
 */
const tellsOf = (scene: Scene, saw: string): string => {
  if (LOOPS.includes(scene.user) && !scene.isFaulty && CUT.has(saw)) return 'cut off';
  return saw === 'ECONNABORTED' ? 'ENOTCONN' : saw;
};

/** Whether the last that it wrote came too late is a race too. */
const exitOf = (scene: Scene, end: End, exit: string): string =>
  LOOPS.includes(scene.user) && !scene.isFaulty && end !== 'umount -l' && /^[01]$/.test(exit)
    ? '0 or 1'
    : exit;

export const playCell = async (user: User, end: End, template: string): Promise<Cell> => {
  const scene = new Scene(user, mkdtempSync(join(tmpdir(), 'vnodefs-cell-')));
  try {
    await scene.set(template);
    const startMs = performance.now();
    const exit = await scene.end(end);
    const daemon = await scene.becomes(end);
    const endMs = performance.now() - startMs;
    const saw = tellsOf(scene, await scene.see(end));
    await scene.settle(end);
    return { exit: exitOf(scene, end, exit), saw, daemon, endMs, wrong: scene.wrong };
  } finally {
    await scene.dispose();
  }
};
