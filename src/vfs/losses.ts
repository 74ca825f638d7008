/**
 * What an unmount saved and what it didn't, by file: for its report. Contents that the kernel wrote back and we refused
 * are lost the moment we refuse them, since the kernel doesn't try again (filemap_check_errors, mm/filemap.c): the
 * process that wrote them hears of it at its next fsync or close, if it still lives.
 */
import { errnoName } from '../base/errno.js';
import type { Ino } from '../base/ids.js';
import { PAGE_BYTES } from '../store/types.js';
import type { Txgs } from '../syncer/txgs.js';
import type { Mount } from '../vnode/mount.js';
import { pathsOf } from './paths.js';

export interface Loss {
  /** Relative to the mount point. */
  path: string;
  /** 0: attributes or a name, no contents. */
  bytes: number;
  reason: string;
  /** Lost before the unmount began: whoever wrote it heard of it then, and may have written it again. */
  earlier: boolean;
}

export interface Saved {
  files: number;
  bytes: number;
}

const FILES_MAX = 1_000;
const LISTED_MAX = 100;

interface Refused {
  bytes: number;
  errno: number;
  earlier: boolean;
}

/** Writes refused that came from the kernel's cache; of the first {@link FILES_MAX} files. */
export class RefusedWrites {
  /** Names of files that were force-closed: their vnodes, and with them the cached names, are gone. */
  readonly paths = new Map<Ino, string>();
  readonly #byIno = new Map<Ino, Refused>();

  add(ino: Ino, bytes: number, errno: number): void {
    const known = this.#byIno.get(ino);
    if (known !== undefined) {
      known.bytes += bytes;
      known.earlier = false;
    } else if (this.#byIno.size < FILES_MAX) this.#byIno.set(ino, { bytes, errno, earlier: false });
  }

  /** An unmount begins: what was refused until now is not its doing. */
  beginUnmount(): void {
    for (const refused of this.#byIno.values()) refused.earlier = true;
  }

  /** Remembers the names of files while the mount's vnodes, and with them the cached names, are there. */
  noteNames(mount: Mount): void {
    const unknown = [...this.#byIno.keys()].filter((ino) => !this.paths.has(ino));
    if (unknown.length === 0) return;
    for (const [ino, path] of pathsOf(mount, unknown)) this.paths.set(ino, path);
  }

  entries(): Iterable<[Ino, Refused]> {
    return this.#byIno;
  }
}

/** All losses of a mount: refused writes, and what is dirty still. To be asked while the mount's vnodes are there. */
export const lossesOf = (
  mount: Mount,
  refused: RefusedWrites,
  txgs: Txgs,
  reason: string,
): { dropped: Loss[]; droppedMore: number } => {
  const found = new Map<Ino, Omit<Loss, 'path'>>();
  for (const [ino, pages] of txgs.uncommitted())
    found.set(ino, { bytes: pages * PAGE_BYTES, reason, earlier: false });
  for (const [ino, { bytes, errno, earlier }] of refused.entries()) {
    const known = found.get(ino);
    const sum = bytes + (known?.bytes ?? 0);
    found.set(ino, { bytes: sum, reason: errnoName(errno), earlier: earlier && known === undefined });
  }
  const listed = [...found]
    .sort(([, a], [, b]) => Number(a.earlier) - Number(b.earlier))
    .slice(0, LISTED_MAX);
  const paths = pathsOf(
    mount,
    listed.map(([ino]) => ino),
  );
  return {
    dropped: listed.map(([ino, loss]) => ({
      path: refused.paths.get(ino) ?? paths.get(ino) ?? `inode ${ino}`,
      ...loss,
    })),
    droppedMore: found.size - listed.length,
  };
};
