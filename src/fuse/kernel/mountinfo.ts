/** What /proc says about mounts. Never touches the mounts themselves: a daemon must not stat what it serves. */
import { readFileSync, writeFileSync } from 'node:fs';

export interface MountInfo {
  /** Of the superblock: `major:minor`. */
  device: string;
  mountpoint: string;
  type: string;
  source: string;
  options: string;
}

/** proc(5): space, tab, newline and backslash are written as three octal digits. */
const unescapeOctal = (text: string): string =>
  text.includes('\\')
    ? Buffer.from(
        Buffer.from(text, 'utf8')
          .toString('latin1')
          .replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8))),
        'latin1',
      ).toString('utf8')
    : text;

/** Parses /proc/self/mountinfo (proc(5)): fields, optional fields up to a lone hyphen, then type, source, options. */
export const parseMountInfo = (text: string): MountInfo[] => {
  const mounts: MountInfo[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const separator = fields.indexOf('-', 6);
    if (separator < 0 || fields.length < separator + 3) continue;
    mounts.push({
      device: fields[2],
      mountpoint: unescapeOctal(fields[4]),
      options: fields[5],
      type: fields[separator + 1],
      source: unescapeOctal(fields[separator + 2]),
    });
  }
  return mounts;
};

/** The topmost mount on exactly `mountpoint` (an absolute path without symlinks), or undefined. */
export const findMount = (mountpoint: string): MountInfo | undefined =>
  parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8')).findLast((m) => m.mountpoint === mountpoint);

/**
 * Best effort: lets the kernel read ahead `kilobytes` on the mount. What INIT grants can't exceed the default
 * of 128 KiB; root may
 * raise it afterwards. Requires that INIT has been answered. Returns false if it couldn't.
 */
export const setReadAhead = (mountpoint: string, kilobytes: number): boolean => {
  try {
    const mount = findMount(mountpoint);
    if (mount === undefined) return false;
    writeFileSync(`/sys/class/bdi/${mount.device}/read_ahead_kb`, String(kilobytes));
    return true;
  } catch {
    // Not root, or no sysfs here: reading ahead less is all that it means.
    return false;
  }
};
