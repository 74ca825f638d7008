/**
 * A store mounted by the real command line in a temporary directory. Everything has a deadline; a watchdog process lets
 * go of the mount (abort of the FUSE connection, then umount -l) if the test process dies or hangs. Teardown unmounts
 * and throws if the mount or its daemon is still there.
 *
 * VNODEFS_TEST_TRANSPORT=fuse-native: on that transport; what it lacks is skipped, see {@link lacks}.
 * VNODEFS_TARGET=plain: an ordinary directory stands in for the mount and `cp -a` of it for the store, so that the
 * tests themselves can be checked against an oracle.
 */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { type Result, run, type RunOptions, tryRun, until } from './commands.js';
import { nativeCapabilities } from '../../src/fuse/fuse-native/capabilities.js';
import { kernelCapabilities } from '../../src/fuse/kernel/capabilities.js';
import type { TransportCapabilities } from '../../src/vfs/capabilities.js';
import { type Capabilities, capabilitiesOf, type Flag, missing } from './posix-client.js';

export const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
const CLI = join(REPOSITORY, 'bin/vnodefs.js');
const WATCHDOG_SECONDS = process.env['VNODEFS_FULL'] === '1' ? 14_400 : 1800;
/** A busy machine takes long to start a process. */
const MOUNT_MS = 120_000;
/** An unmount may have much to write on a slow disk. */
const UMOUNT_MS = 120_000;

export const onPlainDirectory = process.env['VNODEFS_TARGET'] === 'plain';
/** Tests of a mount run on this transport; unset: on the one that is chosen by itself. */
const transport = process.env['VNODEFS_TEST_TRANSPORT'];
/** For `vnodefs mount`. The whole daemon's: not for one that joins. */
export const TRANSPORT_ARGS = transport === undefined ? [] : ['--transport', transport];

/** The sizes of the issue instead of those for CI. */
export const fullSize = process.env['VNODEFS_FULL'] === '1';

const OF_EVERY_MOUNT = {
  permissions: true,
  openSpecial: true,
  processes: true,
  directoryLinks: true,
  maxFileBytes: 2 ** 53 - 1,
};

/** Of a vnodefs mount by the kernel transport, and of the core below it. */
export const VNODEFS_CAPABILITIES: Capabilities = {
  ...OF_EVERY_MOUNT,
  ...capabilitiesOf(kernelCapabilities()),
};

/** Of the mounts that tests make without asking for a transport. */
export const TEST_CAPABILITIES: Capabilities = {
  ...OF_EVERY_MOUNT,
  ...capabilitiesOf(
    transport === 'fuse-native' ? nativeCapabilities({ allowOther: false }) : kernelCapabilities(),
  ),
};

/** In which a file's times differ on such a mount from those that were set, in nanoseconds. */
export const TIME_STEP_NS = TEST_CAPABILITIES.exactTimes ? 1n : 1_000_000n;

/**
 * For mounts on which a test looks at a file by several names: where each is an inode of its own to the kernel, what
 * one changes shows through the others at once only if attributes aren't kept.
 */
export const COHERENT_NAMES: readonly string[] = TEST_CAPABILITIES.linkedNames
  ? []
  : ['-o', 'attr_timeout=0'];

/** For a test's `skip`: why it can't run on such a mount, or false. */
export const lacks = (...needs: Flag[]): string | false => {
  const lacking = missing(TEST_CAPABILITIES, needs);
  return lacking.length > 0 ? `the transport lacks ${lacking.join(', ')}` : false;
};

/** As the mount itself declares them. */
export const mountCapabilities = (mounted: MountedStore): Capabilities => {
  if (onPlainDirectory) return VNODEFS_CAPABILITIES;
  const entry = mountEntries(mounted.as).find(({ mountpoint }) => mountpoint === mounted.mnt);
  if (entry === undefined) throw new Error(`vnodefs status doesn't list ${mounted.mnt}`);
  return { ...OF_EVERY_MOUNT, ...capabilitiesOf(entry.capabilities) };
};

export const cli = (args: readonly string[], options: RunOptions = {}): Result =>
  tryRun(process.execPath, [CLI, ...args], { timeoutMs: MOUNT_MS, ...options });

/** As {@link cli}, throws unless it exits with 0. */
export const cliOk = (args: readonly string[], options: RunOptions = {}): Result => {
  const result = cli(args, options);
  if (result.status !== 0) {
    throw new Error(
      `vnodefs ${args.join(' ')}: exit ${result.status}: ${`${result.stderr}${result.stdout}`.trim()}`,
    );
  }
  return result;
};

/** One line of /proc/self/mountinfo: the device of the mount on `path`, as `major:minor`. */
export const mountedDevice = (path: string): string | undefined => {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const fields = line.split(' ');
    if (fields[4] === path) return fields[2];
  }
  return undefined;
};

export const processAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A zombie whose parent hasn't collected it has exited.
  const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'latin1') : '';
  return !/\) [ZX] /.test(stat);
};

interface MountEntry {
  mountpoint: string;
  store: string;
  pid: number;
  transport: string;
  transportReason: string;
  capabilities: TransportCapabilities;
  state: string;
  logFile: string;
  counters?: Record<string, number>;
}
export const mountEntries = (options: RunOptions = {}): MountEntry[] =>
  (JSON.parse(cliOk(['status', '--json'], options).stdout) as { mounts: MountEntry[] }).mounts;

export interface MountOptions extends Pick<RunOptions, 'uid' | 'gid'> {
  /** Further arguments of `vnodefs mount`. */
  args?: readonly string[];
  /** Added to the environment of the command, and so of the daemon. */
  env?: Record<string, string>;
  /** The mount to join: its daemon serves both, and outlives this mount. */
  join?: MountedStore;
}

/** Lets go of a mount by force. Used when an orderly unmount failed. */
export const forceUnmount = (mountpoint: string): void => {
  const device = mountedDevice(mountpoint);
  if (device === undefined) return;
  const connections = '/sys/fs/fuse/connections';
  tryRun('sh', ['-c', `mountpoint -q ${connections} || mount -t fusectl none ${connections}`], {
    timeoutMs: 10_000,
  });
  const abort = `${connections}/${device.split(':')[1]}/abort`;
  // While it is mounted: its number may be another mount's as soon as it isn't.
  if (existsSync(abort)) writeFileSync(abort, '1');
  tryRun('umount', ['-l', mountpoint], { timeoutMs: 10_000 });
};

/** Waits for the test to end: a line means all is well, end of file or the deadline means clean up. */
const WATCHDOG = `
if read -r -t ${WATCHDOG_SECONDS} line; then exit 0; fi
minor=$(awk -v m="$1" '$5 == m { split($3, d, ":"); print d[2] }' /proc/self/mountinfo)
[ -n "$minor" ] || exit 0
for c in $minor; do [ -e /sys/fs/fuse/connections/$c/abort ] && echo 1 > /sys/fs/fuse/connections/$c/abort; done
umount -l "$1"
`;

export class MountedStore {
  /** Holds everything below; removed at the end. */
  readonly base: string;
  store: string;
  mnt: string;
  /** Of the daemon; 0 on a plain directory. */
  pid = 0;
  /** What `vnodefs mount` printed last. */
  printed = '';
  readonly #options: MountOptions;
  #release: () => void = () => undefined;
  #copies = 0;

  constructor(options: MountOptions = {}) {
    this.#options = options;
    this.base = mkdtempSync(join(tmpdir(), 'vnodefs-test-'));
    chmodSync(this.base, 0o755);
    this.store = join(this.base, 'store.db');
    this.mnt = join(this.base, 'mnt');
    mkdirSync(this.mnt);
    if (options.uid !== undefined) run('chown', ['-R', `${options.uid}:${options.gid ?? 0}`, this.base]);
  }

  /** The user who mounts; as an ordinary one with a home of its own here, and no session directory. */
  get as(): RunOptions {
    const { uid, gid } = this.#options;
    if (uid === undefined) return {};
    return { uid, gid, env: { HOME: this.base, XDG_RUNTIME_DIR: '', XDG_STATE_HOME: '' } };
  }

  mount(): this {
    if (onPlainDirectory) return this;
    const watchdog = spawn('bash', ['-c', WATCHDOG, 'watchdog', this.mnt], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    watchdog.unref();
    (watchdog.stdin as unknown as { unref(): void }).unref();
    watchdog.stdin.on('error', () => undefined);
    this.#release = () => watchdog.stdin.end('done\n');
    const { args: more = [], join } = this.#options;
    const joined = join === undefined ? [] : ['--join', join.mnt];
    const args = [
      'mount',
      this.store,
      this.mnt,
      ...(join === undefined ? TRANSPORT_ARGS : []),
      ...more,
      ...joined,
    ];
    const result = cliOk(args, { ...this.as, env: { ...this.as.env, ...this.#options.env } });
    this.printed = result.stdout + result.stderr;
    const entry = mountEntries(this.as).find((one) => one.mountpoint === this.mnt);
    if (!entry) throw new Error(`vnodefs status doesn't list ${this.mnt}`);
    this.pid = entry.pid;
    return this;
  }

  /** Returns the report when the daemon has gone; throws if something is left. */
  unmount(): string {
    if (onPlainDirectory || this.pid === 0) return '';
    const pid = this.pid;
    this.pid = 0;
    try {
      const { stdout } = cliOk(['umount', this.mnt], { ...this.as, timeoutMs: UMOUNT_MS });
      if (mountedDevice(this.mnt) !== undefined) throw new Error(`${this.mnt} is still mounted`);
      if (this.#options.join === undefined && processAlive(pid))
        throw new Error(`the daemon ${pid} outlived its unmount`);
      return stdout;
    } finally {
      forceUnmount(this.mnt);
      this.#release();
    }
  }

  remount(): void {
    this.unmount();
    this.mount();
  }

  /** Unmounts, carries the store (one file) to another place, mounts the copy on another directory. */
  carryElsewhere(): void {
    this.unmount();
    const place = join(this.base, `copy-${++this.#copies}`);
    mkdirSync(place);
    const [store, mnt] = [join(place, 'carried.db'), join(place, 'mnt')];
    if (onPlainDirectory) run('cp', ['-a', this.mnt, mnt]);
    else {
      for (const suffix of ['-wal', '-shm', '-intent']) {
        if (existsSync(this.store + suffix) && statSync(this.store + suffix).size > 0) {
          throw new Error(`after an unmount the store is one file, but ${suffix} is left`);
        }
      }
      mkdirSync(mnt);
      run('cp', [this.store, store], { timeoutMs: UMOUNT_MS });
    }
    this.store = store;
    this.mnt = mnt;
    if (this.#options.uid !== undefined)
      run('chown', ['-R', `${this.#options.uid}:${this.#options.gid ?? 0}`, place]);
    this.mount();
  }

  /** SIGKILL; returns when the daemon is gone. The mount stays behind, stale. */
  async kill(): Promise<void> {
    const pid = this.pid;
    process.kill(pid, 'SIGKILL');
    await until(`the end of the daemon ${pid}`, () => !processAlive(pid));
  }

  /** Unmounts and checks the file: `vnodefs fsck` and SQLite's own integrity check. */
  fsck(): void {
    this.unmount();
    if (onPlainDirectory) return;
    cliOk(['fsck', this.store], { timeoutMs: UMOUNT_MS });
    const answer = run('sqlite3', [this.store, 'pragma integrity_check'], { timeoutMs: UMOUNT_MS }).trim();
    if (answer !== 'ok') throw new Error(`integrity_check: ${answer}`);
  }

  dispose(): void {
    try {
      this.unmount();
    } finally {
      if (!onPlainDirectory) forceUnmount(this.mnt);
      this.#release();
      rmSync(this.base, { recursive: true, force: true });
    }
  }
}

/** Mounts a new store for the length of the test. */
export const mountStore = (t: Test, options: MountOptions = {}): MountedStore => {
  const mounted = new MountedStore(options);
  t.teardown(() => mounted.dispose());
  return mounted.mount();
};
