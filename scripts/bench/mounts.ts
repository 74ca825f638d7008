/**
 * The mounts of this machine: which there are, and how to be rid of one. Nothing here touches a path below a mount
 * in this process (that could hang for ever); the kernel's own list in /proc is read instead.
 */
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseMountInfo, type MountInfo } from './parse.js';
import { ChildError, type Processes, type Server } from './processes.js';

const CONNECTIONS = '/sys/fs/fuse/connections';
const UNMOUNT_TIMEOUT_MS = 20_000;
const BUSY_RETRIES = 5;

export const isRoot = (): boolean => process.getuid?.() === 0;

/** The topmost mount at exactly this path. */
export const mountAt = (mountpoint: string): MountInfo | undefined =>
  parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1')).findLast(
    (mount) => Buffer.from(mount.mountpoint, 'latin1').toString() === mountpoint,
  );

/** Waits until `server` has mounted; throws with what it said when it ends or takes too long. */
export const waitForMount = async (mountpoint: string, server: Server, timeoutMs = 20_000): Promise<void> => {
  for (const end = performance.now() + timeoutMs; mountAt(mountpoint) === undefined; await delay(20)) {
    if (!server.running) throw new Error(`the server of ${mountpoint} ended: ${server.said}`);
    if (performance.now() > end) throw new Error(`${mountpoint} was not mounted in time: ${server.said}`);
  }
};

/**
 * Detaches whatever is mounted: first as umount(8) does (flushing), then lazily with the FUSE connection aborted, so
 * that processes stuck in it get an error and go. Returns whether the first, clean way was enough.
 */
export const unmount = async (processes: Processes, mountpoint: string): Promise<boolean> => {
  const [command, ...flags] = isRoot() ? ['umount'] : ['fusermount3', '-u'];
  const options = { cleanup: true, timeoutMs: UNMOUNT_TIMEOUT_MS };
  for (let attempt = 0; attempt < BUSY_RETRIES; attempt++) {
    if (mountAt(mountpoint) === undefined) return true;
    try {
      await processes.run(command, [...flags, mountpoint], options);
    } catch (error) {
      // Busy is worth another try; a server that does not answer is not.
      if (error instanceof ChildError && error.timedOut) break;
      await delay(200);
    }
  }
  const mount = mountAt(mountpoint);
  if (mount === undefined) return true;
  const [lazy, ...lazyFlags] = isRoot() ? ['umount', '-l'] : ['fusermount3', '-u', '-z'];
  await processes.run(lazy, [...lazyFlags, mountpoint], options).catch(() => undefined);
  await abortConnection(processes, mount.deviceMinor);
  return false;
};

const abortConnection = async (processes: Processes, minor: number): Promise<void> => {
  if (!existsSync(CONNECTIONS)) return;
  if (isRoot() && readdirSync(CONNECTIONS).length === 0) {
    await processes
      .run('mount', ['-t', 'fusectl', 'none', CONNECTIONS], { cleanup: true })
      .catch(() => undefined);
  }
  try {
    writeFileSync(join(CONNECTIONS, String(minor), 'abort'), '1');
  } catch {
    // The connection has gone with its last reference: nothing is left to abort.
  }
};

export const WORKSPACE_PREFIX = 'vnodefs-bench-';

/**
 * Removes what earlier runs that were killed left in `folder`: their mounts, then their files. A workspace is called
 * PREFIX + pid + random letters, and is left alone while that process lives.
 */
export const sweep = async (processes: Processes, folder: string): Promise<void> => {
  for (const name of readdirSync(folder)) {
    const pid = new RegExp(`^${WORKSPACE_PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const workspace = join(folder, name);
    await unmountBelow(processes, workspace);
    rmSync(workspace, { recursive: true, force: true });
  }
};

/** Every mount below `folder`, the innermost first. */
export const unmountBelow = async (processes: Processes, folder: string): Promise<void> => {
  const mounts = parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1'));
  for (const mount of mounts.reverse()) {
    const mountpoint = Buffer.from(mount.mountpoint, 'latin1').toString();
    if (mountpoint.startsWith(`${folder}/`)) await unmount(processes, mountpoint);
  }
};
