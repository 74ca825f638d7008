/** What has changed in the open group since the intent log last heard of it. Kept only for groups it has heard of. */
import type { Ino } from '../base/ids.js';
import type { TxgOps } from '../store/types.js';
import { listPages, type Buf } from '../vnode/buf.js';
import type { NameEntry } from '../vnode/name-cache.js';
import type { Vnode } from '../vnode/vnode.js';
import { putOrphans } from './group-encoder.js';

export class Delta {
  readonly vnodes = new Set<Vnode>();
  readonly names = new Set<NameEntry>();
  /** Pages, by buf. */
  readonly pages = new Map<Buf, number>();
  readonly orphans = new Map<Ino, boolean>();
  /** Frames in the order in which {@link encode} has named them. */
  readonly frames: number[] = [];
  readonly #pages: number[] = [];
  readonly #frames: number[] = [];

  dirtyPages(buf: Buf, mask: number): void {
    this.pages.set(buf, (this.pages.get(buf) ?? 0) | mask);
  }

  get isEmpty(): boolean {
    return this.vnodes.size + this.names.size + this.pages.size + this.orphans.size === 0;
  }

  /**
   * Appends all of it to `log`, as a group's seal would, but that it doesn't ask what the store has: the log may have
   * heard of what it hasn't.
   */
  encode(log: TxgOps): void {
    this.frames.length = 0;
    for (const { dvp, name, ino, type, cookie } of this.names) {
      if (ino !== 0) log.putDirent(dvp.ino, name, ino, type, cookie);
      else log.deleteDirent(dvp.ino, name);
    }
    for (const vp of this.vnodes) {
      if (vp.removed) log.deleteInode(vp.ino);
      else log.putInode(vp);
    }
    for (const [buf, mask] of this.pages) if (!buf.dead) this.#encodePages(buf, mask & buf.dirty, log);
    putOrphans(log, this.orphans);
  }

  #encodePages(buf: Buf, mask: number, log: TxgOps): void {
    const count = listPages(buf, mask, this.#pages, this.#frames);
    for (let i = 0; i < count; i++) this.frames.push(this.#frames[i]);
    if (count > 0) log.writePages(buf.vp.ino, buf.index, buf.vp.size, this.#pages, this.#frames, count);
  }

  clear(): void {
    this.vnodes.clear();
    this.names.clear();
    this.pages.clear();
    this.orphans.clear();
  }
}
