/**
 * What must be asked of the host through other processes: anything that touches a mount may block for as long as its
 * daemon likes, and a blocked system call (or thread of Node's pool) would keep this process from ending. A child can
 * be left behind. The programs are coreutils' stat and sync, util-linux's umount and fuse3's fusermount3.
 */
import { spawn } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { type Detached, readMounts, type MountEntry } from '../base/mountinfo.js';
import { findHolders, type Holder } from './holders.js';

/** What a statfs of a mount point says: `dead` is ENOTCONN, its daemon has gone; `hung` no answer in time. */
export type Probe =
  { state: 'alive' } | { state: 'dead' } | { state: 'hung' } | { state: 'unreachable'; reason: string };

export interface Host {
  mounts(): MountEntry[];
  probe(path: string, timeoutMs: number): Promise<Probe>;
  /** umount(2), with MNT_DETACH if `lazy`. A plain one writes back the kernel's dirty pages first. */
  detach(mountpoint: string, lazy: boolean, timeoutMs: number): Promise<Detached>;
  /** syncfs(2): the kernel's dirty pages reach the daemon. Returns why not, or an empty string. */
  flush(mountpoint: string, timeoutMs: number): Promise<string>;
  /** Who uses the mount, as far as we may see, and can look in `limitMs`. */
  holders(mount: MountEntry, limitMs?: number): Holder[];
  /** Cuts the FUSE connection of a device number; false if that isn't ours to do. */
  abort(device: string): boolean;
}

const CONNECTIONS = '/sys/fs/fuse/connections';

export interface CommandResult {
  /** Exit status; undefined if it was not found or did not end in time. */
  status: number | undefined;
  stderr: string;
  missing: boolean;
  timedOut: boolean;
}

/**
 * Runs a program in `/` with messages in English; at the time limit it is killed, and abandoned if that does
 * not help.
 */
export const runCommand = (
  program: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<CommandResult> =>
  new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: '/',
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    const finish = (status: number | undefined, missing: boolean, timedOut: boolean): void => {
      clearTimeout(timer);
      resolve({ status, stderr: stderr.trim(), missing, timedOut });
    };
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.stderr.destroy();
      child.unref();
      finish(undefined, false, true);
    }, timeoutMs);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < 4096) stderr += text;
    });
    child.on('error', (error) => {
      stderr ||= error.message;
      finish(undefined, true, false);
    });
    child.on('close', (status) => finish(status ?? 128, false, false));
  });

/** The last clause of a program's message: `umount: /m: target is busy.` gives `target is busy`. */
export const reasonOf = (stderr: string): string => {
  const line = stderr.split('\n').find((text) => text !== '') ?? '';
  const clause = line.slice(line.lastIndexOf(': ') + 1).trim();
  return clause.replace(/\.$/, '') || 'no reason given';
};

export const readProbe = (result: CommandResult): Probe => {
  if (result.status === 0) return { state: 'alive' };
  if (result.timedOut) return { state: 'hung' };
  // ECONNABORTED: asked while it was dying. musl says ENOTCONN in other words.
  if (/endpoint is not connected|socket not connected|connection abort/i.test(result.stderr))
    return { state: 'dead' };
  return { state: 'unreachable', reason: reasonOf(result.stderr) };
};

export const readDetached = (result: CommandResult): Detached => {
  if (result.status === 0) return { outcome: 'done' };
  if (result.timedOut) return { outcome: 'timed-out' };
  if (/busy/i.test(result.stderr)) return { outcome: 'busy' };
  if (/not mounted|no mount point|not found in/i.test(result.stderr)) return { outcome: 'not-mounted' };
  return { outcome: 'failed', reason: reasonOf(result.stderr) };
};

const unmount = async (mountpoint: string, lazy: boolean, timeoutMs: number): Promise<Detached> => {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    // -c, -i: the path is canonical, and no helper program is wanted; so nothing but umount(2) touches the mount.
    const result = await runCommand(
      'umount',
      ['-c', '-i', ...(lazy ? ['-l'] : []), '--', mountpoint],
      timeoutMs,
    );
    if (!result.missing) return readDetached(result);
  }
  const fusermount = ['-u', ...(lazy ? ['-z'] : []), '--', mountpoint];
  const result = await runCommand('fusermount3', fusermount, timeoutMs);
  if (result.missing) return { outcome: 'failed', reason: 'fusermount3 is missing: install fuse3' };
  return readDetached(result);
};

/**
 * Cuts a FUSE connection: whoever waits in it gets an error. Only root may, and only where fusectl is mounted;
 * otherwise the end of the daemon, which closes the device, does the same. (fuse_conn_abort_write, fs/fuse/control.c)
 */
const abortConnection = (device: string): boolean => {
  try {
    const minor = device.split(':')[1] ?? '';
    if (!readdirSync(CONNECTIONS).includes(minor)) return false;
    writeFileSync(`${CONNECTIONS}/${minor}/abort`, '1');
    return true;
  } catch {
    return false;
  }
};

export const realHost: Host = {
  mounts: () => readMounts(),
  holders: (mount, limitMs) => findHolders(mount, '/proc', limitMs),
  abort: abortConnection,
  probe: async (path, timeoutMs) =>
    readProbe(await runCommand('stat', ['-f', '-c', '%T', '--', path], timeoutMs)),
  detach: unmount,
  async flush(mountpoint, timeoutMs) {
    const result = await runCommand('sync', ['-f', '--', mountpoint], timeoutMs);
    if (result.status === 0) return '';
    return result.timedOut ? `no answer within ${timeoutMs / 1000} s` : reasonOf(result.stderr);
  },
};
