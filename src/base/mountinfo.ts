/**
 * The mounts this process sees, from /proc/self/mountinfo: proc(5), `show_mountinfo` in fs/proc_namespace.c. Reading it
 * asks nothing of any filesystem, so a dead or hung mount can't block it.
 */
import { readFileSync } from 'node:fs';

/** The type under which the kernel lists our mounts: `fuse` with the subtype `vnodefs`. */
export const FUSE_TYPE = 'fuse.vnodefs';

/** What came of an attempt to detach a mount. */
export type Detached =
  | { outcome: 'done' }
  | { outcome: 'busy' }
  | { outcome: 'not-mounted' }
  | { outcome: 'timed-out' }
  | { outcome: 'failed'; reason: string };

export interface MountEntry {
  mountId: number;
  /** `major:minor`, as st_dev of every file on it. */
  device: string;
  mountpoint: string;
  /** `rw,nosuid,…` of this mount. */
  options: readonly string[];
  fsType: string;
  source: string;
  /** `rw,user_id=0,…` of the filesystem. */
  superOptions: readonly string[];
}

/** Undoes the kernel's `\040`-like escapes (space, tab, newline, backslash and `#`). */
export const unescapeField = (field: string): string =>
  field.replaceAll(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );

/** One line, or undefined if it isn't of the documented form. */
export const parseMountLine = (line: string): MountEntry | undefined => {
  const fields = line.split(' ');
  const dash = fields.indexOf('-', 6);
  if (dash < 0 || fields.length < dash + 4) return undefined;
  return {
    mountId: Number(fields[0]),
    device: fields[2],
    mountpoint: unescapeField(fields[4]),
    options: fields[5].split(','),
    fsType: fields[dash + 1],
    source: unescapeField(fields[dash + 2]),
    superOptions: fields[dash + 3].split(','),
  };
};

/** All mounts, in the kernel's order: a later entry on the same mount point covers an earlier one. */
export const parseMountinfo = (text: string): MountEntry[] =>
  text.split('\n').flatMap((line) => parseMountLine(line) ?? []);

export const readMounts = (file = '/proc/self/mountinfo'): MountEntry[] => {
  try {
    return parseMountinfo(readFileSync(file, 'utf8'));
  } catch {
    return []; // no /proc: another system, or an unusual container. Callers then rely on the registry alone.
  }
};

/** What is visible at `mountpoint`: the topmost mount there, of whatever type. */
export const mountAt = (mounts: readonly MountEntry[], mountpoint: string): MountEntry | undefined =>
  mounts.findLast((mount) => mount.mountpoint === mountpoint);

export const isOurs = (mount: MountEntry): boolean => mount.fsType === FUSE_TYPE;

/** The user who mounted it (`user_id=`); 0 if the kernel doesn't say. */
export const ownerOf = (mount: MountEntry): number => {
  const option = mount.superOptions.find((item) => item.startsWith('user_id='));
  return option === undefined ? 0 : Number(option.slice('user_id='.length));
};
