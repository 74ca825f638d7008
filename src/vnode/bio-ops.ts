/**
 * Syncer hooks: whoever writes a store back registers here, and is called when one mount or all are to be synced. After
 * sys/kern/vfs_mount.c (add_bio_ops, rem_bio_ops, bio_ops_sync). The kernel's call returns when its writes have been
 * started; ours tells when they are durable.
 */
import { assert } from '../base/assert.js';
import { FsError } from '../base/errno.js';
import type { Mount } from './mount.js';

export interface BioOps {
  /** Makes everything so far durable, then calls `done` once, perhaps before returning. `mp` is undefined in a general sync. */
  ioSync(mp: Mount | undefined, done: (error: FsError | undefined) => void): void;
}

/** bio_ops_list. */
export class BioOpsList {
  readonly #list = new Set<BioOps>();

  get size(): number {
    return this.#list.size;
  }

  addBioOps(ops: BioOps): void {
    assert(!this.#list.has(ops), 'addBioOps: twice');
    this.#list.add(ops);
  }

  remBioOps(ops: BioOps): void {
    assert(this.#list.delete(ops), 'remBioOps: not there');
  }

  /**
   * Syncs `mp`, or every registered store. `done` is called once, when all have answered, with the first error. A mount
   * without hooks (read-only) has nothing to sync.
   */
  bioOpsSync(mp: Mount | undefined, done: (error: FsError | undefined) => void): void {
    if (mp !== undefined) {
      if (mp.bioOps === undefined) done(undefined);
      else mp.bioOps.ioSync(mp, done);
      return;
    }
    let waiting = 1;
    let first: FsError | undefined;
    const one = (error: FsError | undefined): void => {
      first ??= error;
      if (--waiting === 0) done(first);
    };
    // A copy: a hook may answer at once, and its mount end.
    for (const ops of [...this.#list]) {
      waiting++;
      ops.ioSync(undefined, one);
    }
    one(undefined);
  }
}
