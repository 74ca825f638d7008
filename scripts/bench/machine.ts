/** What the benchmark needs to know of this machine, and to do to it: programs, caches, the disk. */
import { accessSync, constants, readFileSync, statfsSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isRoot } from './mounts.js';
import { parseDiscards, parseMountInfo, type MountInfo } from './parse.js';
import type { Processes } from './processes.js';

export const hasProgram = (name: string): boolean =>
  // sbin is not on the path of an ordinary user, but holds mkfs.ext4 and the like.
  [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'].some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

export const canDropCaches = isRoot;

/** Page cache, dentries and inodes of the whole machine; only root may. What is dirty stays, so sync before. */
export const dropCaches = async (processes: Processes): Promise<void> => {
  await processes.run('sh', ['-c', 'echo 3 > /proc/sys/vm/drop_caches']);
};

/** syncfs(2) of the filesystem that holds `path`. */
export const syncFilesystem = async (processes: Processes, path: string): Promise<void> => {
  await processes.run('sync', ['-f', path]);
};

export const freeBytes = (folder: string): number => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};

/** For the report: enough to tell two machines apart, and no names. */
export interface Machine {
  cpu: string;
  cpus: number;
  memoryGiB: number;
  kernel: string;
  node: string;
  /** Type of the filesystem that the targets lie on. */
  disk: string;
  /** Of the minute before; above about half the CPUs, others were at work and the figures are unsure. */
  load: number;
}

/** The mount that holds `folder`. */
const mountHolding = (folder: string): MountInfo | undefined =>
  parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1'))
    .filter(({ mountpoint }) => mountpoint === '/' || `${folder}/`.startsWith(`${mountpoint}/`))
    .sort((a, b) => a.mountpoint.length - b.mountpoint.length)
    .at(-1);

const QUIET_MS = 50;
const QUIET_WAIT_MS_MAX = 3000;

/**
 * Waits until the disk discards nothing more. ext4 with `discard` trims what was freed in the background, after the
 * commit that syncfs(2) waits for, and whoever frees blocks next waits for it (fs/ext4/mballoc.c, ext4_discard_work):
 * the removal of one target's files would be charged to the next one. Bounded, since others may use the disk.
 */
export const waitForDiscards = async (folder: string): Promise<void> => {
  const mount = mountHolding(folder);
  if (mount === undefined) return;
  const count = (): number => parseDiscards(readFileSync('/proc/diskstats', 'latin1'), mount);
  let before = count();
  for (const end = performance.now() + QUIET_WAIT_MS_MAX; performance.now() < end;) {
    await delay(QUIET_MS);
    const now = count();
    if (now === before) return;
    before = now;
  }
};

export const describeMachine = (folder: string): Machine => {
  return {
    cpu: cpus()[0].model.trim(),
    cpus: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    disk: mountHolding(folder)?.type ?? 'unknown',
    load: loadavg()[0],
  };
};
