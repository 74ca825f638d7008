/** Open files by the number that the binding can carry: 31 bits, not 0. */
import { Errno, FsError } from '../../base/errno.js';
import type { Fh, Ino } from '../../base/ids.js';

export interface OpenFile {
  readonly number: number;
  readonly ino: Ino;
  readonly fh: Fh;
}

/** The binding's C side takes an int32, and leaves 0 out. */
const NUMBER_MAX = 0x7fff_ffff;

export class OpenFiles {
  readonly #byNumber = new Map<number, OpenFile>();
  readonly #countByIno = new Map<Ino, number>();
  #last = 0;

  get size(): number {
    return this.#byNumber.size;
  }

  add(ino: Ino, fh: Fh): OpenFile {
    do this.#last = this.#last === NUMBER_MAX ? 1 : this.#last + 1;
    while (this.#byNumber.has(this.#last));
    const file = { number: this.#last, ino, fh };
    this.#byNumber.set(file.number, file);
    this.#countByIno.set(ino, (this.#countByIno.get(ino) ?? 0) + 1);
    return file;
  }

  get(number: number): OpenFile {
    const file = this.#byNumber.get(number);
    if (file === undefined) throw new FsError(Errno.EBADF, 'handle');
    return file;
  }

  isOpen(ino: Ino): boolean {
    return this.#countByIno.has(ino);
  }

  /** True if it was the last of its inode. */
  remove(file: OpenFile): boolean {
    this.#byNumber.delete(file.number);
    const left = (this.#countByIno.get(file.ino) ?? 1) - 1;
    if (left > 0) this.#countByIno.set(file.ino, left);
    else this.#countByIno.delete(file.ino);
    return left <= 0;
  }
}
