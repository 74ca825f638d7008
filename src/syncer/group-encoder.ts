/** Puts what a sealed group changes into its log. */
import { assert } from '../base/assert.js';
import type { Ino } from '../base/ids.js';
import type { StoreCounters, TxgOps } from '../store/types.js';
import { lengthOfMask, type Buf } from '../vnode/buf.js';
import type { NameEntry } from '../vnode/name-cache.js';
import type { Vnode } from '../vnode/vnode.js';
import type { SealedGroup } from './sealed-group.js';

/** Inodes that join (true) or leave the stored list of orphans. */
export const putOrphans = (log: TxgOps, orphans: ReadonlyMap<Ino, boolean>): void => {
  for (const [ino, orphan] of orphans) {
    if (orphan) log.addOrphan(ino);
    else log.removeOrphan(ino);
  }
};

export class GroupEncoder {
  readonly #log: TxgOps;
  readonly #pageScratch: number[] = [];
  readonly #frameScratch: number[] = [];

  constructor(log: TxgOps) {
    this.#log = log;
  }

  /** Appends to what operations have logged at once; the group takes the dirty pages of its vnodes over. */
  encode(group: SealedGroup, orphans: ReadonlyMap<Ino, boolean>, counters: StoreCounters): void {
    for (const entry of group.names) this.#putName(entry);
    for (const vp of group.vnodes) this.#putVnode(vp, group);
    putOrphans(this.#log, orphans);
    this.#log.setCounters(counters);
  }

  #putName(entry: NameEntry): void {
    if (entry.ino !== 0) this.#log.putDirent(entry.dvp.ino, entry.name, entry.ino, entry.type, entry.cookie);
    else if (entry.inStore) this.#log.deleteDirent(entry.dvp.ino, entry.name);
    entry.inStore = entry.ino !== 0;
  }

  #putVnode(vp: Vnode, group: SealedGroup): void {
    vp.onDirtyList = false;
    if (vp.removed) {
      assert(vp.bufs === undefined || vp.bufs.size === 0, 'removed vnode with bufs');
      if (vp.inStore || vp.logged) this.#log.deleteInode(vp.ino);
      vp.inStore = false;
      vp.logged = false;
      vp.attrDirty = false;
      return;
    }
    if (vp.attrDirty) {
      this.#log.putInode(vp);
      vp.attrDirty = false;
      vp.inStore = true;
    }
    vp.logged = false;
    const bufs = vp.dirtyBufs;
    vp.dirtyBufs = undefined;
    if (bufs) for (const buf of bufs) if (!buf.dead && buf.dirty !== 0) this.#putBuf(buf, group);
    vp.cutSealed = vp.cutOpen;
    vp.cutOpen = Infinity;
    vp.dropsSealed = vp.dropsOpen;
    vp.dropsOpen = undefined;
  }

  #putBuf(buf: Buf, group: SealedGroup): void {
    assert(buf.sealed === 0, 'sealing a buf that is sealed');
    buf.rowExtent = Math.max(buf.rowExtent, lengthOfMask(buf.dirty));
    const count = group.takeBuf(buf, this.#pageScratch, this.#frameScratch);
    this.#log.writePages(buf.vp.ino, buf.index, buf.vp.size, this.#pageScratch, this.#frameScratch, count);
  }
}
