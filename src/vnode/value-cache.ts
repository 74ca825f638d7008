/**
 * The bound on what vnodes keep besides pages and names: extended attributes and symlink targets. Each may have 64 KiB,
 * so without a bound of their own as many as `vnodesMax` allows would take gigabytes.
 *
 * The values lie in the vnode (`xattrs`, `linkTarget`), where whoever wants them finds them or loads them again. This
 * is the list of who has some, the longest unused first. Values that the store doesn't have yet stay (`valuesTxg`); how
 * much that can be is bounded by the volume of the transaction groups' logs.
 *
 * INVARIANT: `bytes` is the sum of {@link valueBytes} over the vnodes listed; one that has values is listed.
 */
import type { Vnode } from './vnode.js';

/** What a value takes besides its bytes: map entry, array object, string header. */
const VALUE_OVERHEAD = 128;
/** Vnodes looked at in one call at most, so that many that must stay cost each call the same. */
const LOOKS = 64;

/** What the values of `vp` take in memory, about. */
export const valueBytes = (vp: Vnode): number => {
  let bytes = vp.linkTarget === undefined ? 0 : vp.linkTarget.length + VALUE_OVERHEAD;
  if (vp.xattrs !== undefined)
    for (const [name, value] of vp.xattrs) bytes += name.length + value.length + VALUE_OVERHEAD;
  return bytes;
};

export class ValueCache {
  /** Bound on the values that the store has. */
  readonly maxBytes: number;
  bytes = 0;
  evictions = 0;
  readonly #sizes = new Map<Vnode, number>();

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** The values of `vp` were loaded, used or changed. Others' may be dropped; those of `vp` stay for now. */
  touch(vp: Vnode): void {
    this.forget(vp);
    const bytes = valueBytes(vp);
    if (bytes === 0) return;
    this.#sizes.set(vp, bytes);
    this.bytes += bytes;
    if (this.bytes > this.maxBytes) this.#trim(vp);
  }

  /** `vp` has no values any more, or none that counts. */
  forget(vp: Vnode): void {
    const bytes = this.#sizes.get(vp);
    if (bytes === undefined) return;
    this.#sizes.delete(vp);
    this.bytes -= bytes;
  }

  #trim(keep: Vnode): void {
    let looks = Math.min(LOOKS, this.#sizes.size);
    for (const [vp, bytes] of this.#sizes) {
      if (looks-- === 0 || this.bytes <= this.maxBytes) return;
      this.#sizes.delete(vp);
      if (vp === keep || vp.valuesTxg !== 0) {
        this.#sizes.set(vp, bytes); // to the end: the next call looks at others
        continue;
      }
      this.bytes -= bytes;
      this.evictions++;
      vp.xattrs = undefined;
      vp.linkTarget = undefined;
    }
  }
}
