/** How large a transaction group gets, and how much may wait for the store, by the budgets of the daemon. */
import { PAGE_BYTES } from '../store/types.js';

/** A log of fewer bytes is never the reason to seal a group, or to wait. */
const LOG_BYTES_MIN = 64 << 10;
/** 32 MiB: what is gathered while the syncer is busy. */
const GROUP_PAGES = 8192;
/** The first group of a stream is this part of one, so that the syncer begins early. */
const FIRST_GROUP = 8;
/** Pages of a group that is committed in well under a millisecond. */
export const SMALL_GROUP_PAGES = 64;

export interface GroupLimits {
  /** Dirty frames at which a group is sealed, if the syncer has nothing to do; and at which writers wait. */
  sealPages: number;
  dirtyPagesMax: number;
  /** Dirty vnodes and names at which a group is sealed, and at which operations wait. */
  sealObjects: number;
  dirtyObjectsMax: number;
  /** Bytes of the log (attributes, symlink targets: what isn't in pages) at which a group is sealed, and at which operations wait. */
  sealLogBytes: number;
  logBytesMax: number;
}

/** `pool`: frames; `vnodesMax`: vnodes, of all mounts. */
export const groupLimits = (pool: number, vnodesMax: number): GroupLimits => {
  const groupPages = Math.max(1, Math.min(Math.floor(pool / 8), GROUP_PAGES));
  const sealLogBytes = Math.max(LOG_BYTES_MIN, groupPages * PAGE_BYTES);
  return {
    sealPages: Math.max(Math.min(groupPages, SMALL_GROUP_PAGES), Math.floor(groupPages / FIRST_GROUP)),
    // One group being committed, the next being filled, and half a group for those that can't wait.
    dirtyPagesMax: Math.min(Math.floor(pool / 2), Math.ceil(2.5 * groupPages)),
    sealObjects: Math.max(4, Math.min(Math.floor(vnodesMax / 4), 20_000)),
    dirtyObjectsMax: Math.max(16, vnodesMax),
    sealLogBytes,
    logBytesMax: 2 * sealLogBytes,
  };
};
