/** What the benchmark needs to know of this machine, and to do to it: programs, caches, the disk. */
import { accessSync, constants, readFileSync, statfsSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';
import { isRoot } from './mounts.js';
import { parseMountInfo } from './parse.js';
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
}

export const describeMachine = (folder: string): Machine => {
  const mounts = parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1'));
  const holding = mounts
    .filter(({ mountpoint }) => mountpoint === '/' || `${folder}/`.startsWith(`${mountpoint}/`))
    .sort((a, b) => a.mountpoint.length - b.mountpoint.length)
    .at(-1);
  return {
    cpu: cpus()[0].model.trim(),
    cpus: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    disk: holding?.type ?? 'unknown',
  };
};
