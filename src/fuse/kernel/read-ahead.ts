/** How far the kernel reads ahead on a mount: a setting of its backing device in sysfs. Never touches the mount itself. */
import { writeFileSync } from 'node:fs';
import { mountAt, readMounts } from '../../base/mountinfo.js';

/**
 * Best effort: lets the kernel read ahead `kilobytes` on the mount. What INIT grants can't exceed the default of 128
 * KiB; root may raise it afterwards. Requires that INIT has been answered. Returns false if it couldn't.
 */
export const setReadAhead = (mountpoint: string, kilobytes: number): boolean => {
  try {
    const mount = mountAt(readMounts(), mountpoint);
    if (mount === undefined) return false;
    writeFileSync(`/sys/class/bdi/${mount.device}/read_ahead_kb`, String(kilobytes));
    return true;
  } catch {
    // Not root, or no sysfs here: reading ahead less is all that it means.
    return false;
  }
};
