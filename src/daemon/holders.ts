/**
 * Who keeps a mount busy, from /proc alone: no path below the mount is looked up, so a hung mount can't block
 * the scan.
 * Descriptors are matched by the mount id in /proc/PID/fdinfo (`seq_show` in fs/proc/fd.c), the rest by the
 * text of the links
 * cwd, root and exe, and by the device number in maps. Processes of other users are seen by root only.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { MountEntry } from '../base/mountinfo.js';

export type Use = 'open' | 'cwd' | 'root' | 'executing' | 'mapped';

export interface Holder {
  pid: number;
  command: string;
  uid: number;
  uses: { use: Use; path: string }[];
}

const USES_MAX = 8;

const attempt = <T>(read: () => T): T | undefined => {
  try {
    return read();
  } catch {
    return undefined; // the process ended meanwhile, or isn't ours to look at
  }
};

/** True for the mount point itself and what lies below it. */
export const isBelow = (path: string, mountpoint: string): boolean =>
  path === mountpoint || path.startsWith(mountpoint === '/' ? '/' : `${mountpoint}/`);

/** `08:01` as /proc/PID/maps writes a device, from mountinfo's `8:1`. */
export const mapsDevice = (device: string): string =>
  device
    .split(':')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':');

const openFiles = (proc: string, mount: MountEntry): string[] => {
  const marker = `mnt_id:\t${mount.mountId}\n`;
  return (attempt(() => readdirSync(`${proc}/fdinfo`)) ?? []).flatMap((fd) => {
    const info = attempt(() => readFileSync(`${proc}/fdinfo/${fd}`, 'latin1'));
    if (info?.includes(marker) !== true) return [];
    return [attempt(() => readlinkSync(`${proc}/fd/${fd}`)) ?? '?'];
  });
};

const mappedFiles = (proc: string, mount: MountEntry): string[] => {
  const device = ` ${mapsDevice(mount.device)} `;
  const lines = (attempt(() => readFileSync(`${proc}/maps`, 'utf8')) ?? '').split('\n');
  const paths = lines.flatMap((line) => {
    if (!line.includes(device)) return [];
    const slash = line.indexOf('/');
    return slash < 0 ? [] : [line.slice(slash)];
  });
  return [...new Set(paths)];
};

const linkUse = (proc: string, link: string, use: Use, mountpoint: string): Holder['uses'] => {
  const path = attempt(() => readlinkSync(`${proc}/${link}`));
  return path !== undefined && isBelow(path, mountpoint) ? [{ use, path }] : [];
};

const inspect = (pid: number, mount: MountEntry, procRoot: string): Holder | undefined => {
  const proc = `${procRoot}/${pid}`;
  const uses: Holder['uses'] = [
    ...linkUse(proc, 'cwd', 'cwd', mount.mountpoint),
    ...linkUse(proc, 'root', 'root', mount.mountpoint),
    ...linkUse(proc, 'exe', 'executing', mount.mountpoint),
    ...openFiles(proc, mount).map((path) => ({ use: 'open' as const, path })),
    ...mappedFiles(proc, mount).map((path) => ({ use: 'mapped' as const, path })),
  ];
  if (uses.length === 0) return undefined;
  const command = attempt(() => readFileSync(`${proc}/comm`, 'utf8').trim()) ?? '?';
  const uid = /^Uid:\s+(\d+)/m.exec(attempt(() => readFileSync(`${proc}/status`, 'latin1')) ?? '')?.[1];
  return { pid, command, uid: Number(uid ?? 0), uses: uses.slice(0, USES_MAX) };
};

/** All processes but this one that use something on `mount`. */
export const findHolders = (mount: MountEntry, procRoot = '/proc'): Holder[] =>
  (attempt(() => readdirSync(procRoot)) ?? [])
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => inspect(Number(name), mount, procRoot) ?? []);

/** `git (pid 12, open /m/a), bash (pid 9, cwd /m)`, at most `max` of them. */
export const describeHolders = (holders: readonly Holder[], max = 5): string => {
  const shown = holders
    .slice(0, max)
    .map(({ command, pid, uses }) => `${command} (pid ${pid}, ${uses[0].use} ${uses[0].path})`);
  const more = holders.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
};
