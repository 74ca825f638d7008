/** Names of inodes for people: from the name cache alone, since what is asked about has been used a moment ago. */
import { ROOT_INO, type ByteName, type Ino } from '../base/ids.js';
import type { Mount } from '../vnode/mount.js';

const PARENTS_MAX = 4096;

const textOf = (name: ByteName): string => Buffer.from(name, 'latin1').toString();

/**
 * Paths below the mount point, without a slash in front; of a file with several names, one. `inode N` where the cache
 * knows no way to it, `inode N (deleted)` for an unlinked one. Costs one look at every cached name.
 */
export const pathsOf = (mp: Mount, wanted: Iterable<Ino>): Map<Ino, string> => {
  const nameOf = new Map<number, { parent: Ino; name: ByteName }>();
  for (const dvp of mp.table.values()) {
    for (const { ino, name } of dvp.names?.values() ?? [])
      if (ino !== 0) nameOf.set(ino, { parent: dvp.ino, name });
  }
  const pathOf = (ino: Ino): string | undefined => {
    const parts: string[] = [];
    for (let at = ino; at !== ROOT_INO;) {
      const found = nameOf.get(at);
      if (found === undefined || parts.length > PARENTS_MAX) return undefined;
      parts.push(textOf(found.name));
      at = found.parent;
    }
    return parts.reverse().join('/');
  };
  const paths = new Map<Ino, string>();
  for (const ino of wanted) {
    const deleted = mp.table.get(ino)?.nlink === 0 ? ' (deleted)' : '';
    paths.set(ino, (deleted === '' ? pathOf(ino) : undefined) ?? `inode ${ino}${deleted}`);
  }
  return paths;
};
