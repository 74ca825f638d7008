/**
 * What the mounts of one daemon share: the page pool, the vnode cache with its budgets, the recycler, and the room for
 * changes that are not written back yet. Made once; each mount's {@link Core} is put on top. All of it lives on one
 * thread.
 */
import type { Clock } from '../base/clock.js';
import { WriteRoom } from '../syncer/write-room.js';
import { BufCache } from '../vnode/buf-cache.js';
import { NameCache } from '../vnode/name-cache.js';
import { PagePool } from '../vnode/page-pool.js';
import { VnodeCache } from '../vnode/vnode-cache.js';
import { Vnlru } from '../vnode/vnlru.js';
import { FSTYPE } from './state.js';

/** Clean name entries a vnode of the budget, at most: its own, and as many again that are negative or whose vnode has gone. */
const NAMES_PER_VNODE = 2;
const NAMES_MIN = 64;

export interface SharedOptions {
  /** pagesMax * 4096 bytes. */
  pool: SharedArrayBuffer;
  vnodesMax: number;
  clock: Clock;
}

export class Shared {
  readonly clock: Clock;
  readonly pool: PagePool;
  readonly vnodes: VnodeCache;
  readonly vnlru: Vnlru;
  readonly room = new WriteRoom();

  constructor({ pool, vnodesMax, clock }: SharedOptions) {
    this.clock = clock;
    this.pool = new PagePool(pool);
    const names = new NameCache(Math.max(NAMES_MIN, vnodesMax * NAMES_PER_VNODE));
    this.vnodes = new VnodeCache(new BufCache(this.pool), names, vnodesMax);
    this.vnodes.vfsconf.vfsconfAdd(FSTYPE);
    this.vnlru = new Vnlru(this.vnodes, () => clock.monotonicMs());
  }
}
