/**
 * Paths, as libfuse's high-level interface gives them, to inodes: one lookup a component, through the core's name
 * cache.
 */
import { FsError, Errno } from '../../base/errno.js';
import { byteName, ROOT_INO, type ByteName, type Ino } from '../../base/ids.js';
import type { Caller, Vfs } from '../../vfs/api.js';
import type { HiddenFiles } from './hidden-files.js';

/** What Node makes of a byte that isn't UTF-8: which byte it was is lost. */
export const REPLACEMENT = '\ufffd';

/** A directory and a name in it. */
export interface Place {
  readonly parent: Ino;
  readonly name: ByteName;
}

/** The name's bytes. Throws EILSEQ where the binding has destroyed them: guessing could reach another file. */
export const nameOf = (text: string): ByteName => {
  if (text.includes(REPLACEMENT)) throw new FsError(Errno.EILSEQ, 'a name that is not UTF-8');
  return byteName(text);
};

const ASCII = /^[\0-\x7f]*$/;

/** As text for the binding, which encodes it as UTF-8: a name that isn't shows with replacement characters. */
export const textOf = (name: ByteName): string =>
  ASCII.test(name) ? name : Buffer.from(name, 'latin1').toString('utf8');

export class Paths {
  readonly #vfs: Vfs;
  readonly #caller: Caller;
  readonly #hidden: HiddenFiles;

  constructor(vfs: Vfs, caller: Caller, hidden: HiddenFiles) {
    this.#vfs = vfs;
    this.#caller = caller;
    this.#hidden = hidden;
  }

  /** Throws ENOENT, ENOTDIR, ENAMETOOLONG, EILSEQ; WouldBlock before any side effect. */
  ino(path: string): Ino {
    if (path === '/') return ROOT_INO;
    const { parent, name } = this.place(path);
    return this.#hidden.inoAt(parent, name) ?? this.#step(parent, name);
  }

  /** Where the last component of `path` is, or would be. Requires a path other than `/`. */
  place(path: string): Place {
    const cut = path.lastIndexOf('/');
    let parent = ROOT_INO;
    for (let at = 1; at < cut;) {
      const next = path.indexOf('/', at);
      parent = this.#step(parent, nameOf(path.slice(at, next)));
      at = next + 1;
    }
    return { parent, name: nameOf(path.slice(cut + 1)) };
  }

  #step(parent: Ino, name: ByteName): Ino {
    if (this.#hidden.isPending(parent, name)) throw new FsError(Errno.ENOENT, 'lookup');
    const vp = this.#vfs.lookup(this.#caller, parent, name);
    const { ino } = vp;
    this.#vfs.vrele(vp);
    return ino;
  }
}
