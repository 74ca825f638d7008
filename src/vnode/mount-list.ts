/**
 * The mount list of a daemon, after sys/kern/vfs_mount.c (mountlist_*, vfs_getvfs). It is the mount table: the
 * recycler, status and sync find the mounts through it.
 *
 * INVARIANT: mounts on the list are in `#byFsid` under their fsid, and nowhere else.
 */
import { assert } from '../base/assert.js';
import { isFsError } from '../base/errno.js';
import { formatFsid, nextFsid, type Fsid } from './fsid.js';
import { LK_NOWAIT, unmountDone, vfsBusy, vfsUnbusy, type Mount } from './mount.js';

export const MNTINS_FIRST = 0;
export const MNTINS_LAST = 1;

export const MNTSCAN_FORWARD = 1;
export const MNTSCAN_REVERSE = 2;
/** The callback is made without busying the mount. */
export const MNTSCAN_NOBUSY = 4;

/** A scan in progress: mountscan_info. */
interface MountScan {
  readonly how: number;
  /** The mount that the callback is at, or comes next. */
  node: Mount | undefined;
  /** The scan holds `node` busy. */
  busied: boolean;
}

export class MountList {
  readonly #list: Mount[] = [];
  readonly #byFsid = new Map<string, Mount>();
  readonly #scans = new Set<MountScan>();

  get size(): number {
    return this.#list.length;
  }

  [Symbol.iterator](): Iterator<Mount> {
    return this.#list[Symbol.iterator]();
  }

  /** Adds a mount; its fsid is changed if another one has it. `how`: MNTINS_*. (mountlist_insert) */
  mountlistInsert(mp: Mount, how: number): void {
    assert(!mp.listed && !mp.gone, 'mountlistInsert: twice');
    while (this.#byFsid.has(formatFsid(mp.stat.fsid))) mp.stat.fsid = nextFsid(mp.stat.fsid);
    this.#byFsid.set(formatFsid(mp.stat.fsid), mp);
    if (how === MNTINS_FIRST) this.#list.unshift(mp);
    else this.#list.push(mp);
    mp.listed = true;
  }

  /**
   * Runs `callback` with the list locked: one such call at a time sees and changes the state of mounts. On one thread
   * that is any synchronous call; the routine is the place that says so. (mountlist_interlock)
   */
  mountlistInterlock<T>(callback: (mp: Mount) => T, mp: Mount): T {
    return callback(mp);
  }

  /** The first mount, not busied: only while nothing can unmount it, as at the daemon's start. (mountlist_boot_getfirst) */
  mountlistBootGetfirst(): Mount | undefined {
    return this.#list[0];
  }

  /** Whether `mp` is on the list. (mountlist_exists) */
  mountlistExists(mp: Mount): boolean {
    return mp.listed;
  }

  /**
   * Takes a mount off the list for good: a scan standing on it steps on, and gives its hold back; who sleeps for the
   * end of its unmount is woken and gets ENOENT. Requires that nobody else holds it busy. (mountlist_remove, and the
   * wakeup at the end of dounmount)
   */
  mountlistRemove(mp: Mount): void {
    assert(mp.listed, 'mountlistRemove: not there');
    const at = this.#list.indexOf(mp);
    for (const scan of this.#scans) {
      if (scan.node !== mp) continue;
      if (scan.busied) vfsUnbusy(mp);
      scan.busied = false;
      scan.node = this.#list[at + step(scan.how)];
    }
    this.#list.splice(at, 1);
    this.#byFsid.delete(formatFsid(mp.stat.fsid));
    mp.listed = false;
    unmountDone(mp);
  }

  /** The mount with this fsid, or undefined. Not busied. (vfs_getvfs) */
  vfsGetvfs(fsid: Fsid): Mount | undefined {
    return this.#byFsid.get(formatFsid(fsid));
  }

  /**
   * Calls `callback` for each mount, busied meanwhile (unless NOBUSY); one that is being unmounted is skipped then.
   * Returns the sum of what it returned; a negative value isn't added and ends the scan. The callback may insert and
   * remove mounts, its own too. `how`: MNTSCAN_FORWARD or _REVERSE, with _NOBUSY. (mountlist_scan)
   */
  mountlistScan(callback: (mp: Mount) => number, how: number): number {
    const first = (how & MNTSCAN_REVERSE) !== 0 ? this.#list.length - 1 : 0;
    const scan: MountScan = { how, node: this.#list[first], busied: false };
    let sum = 0;
    this.#scans.add(scan);
    try {
      for (let mp = scan.node; mp !== undefined; mp = scan.node) {
        const count = this.#visit(scan, mp, callback);
        if (count < 0) break;
        sum += count;
        if (scan.node === mp) scan.node = this.#list[this.#list.indexOf(mp) + step(how)];
      }
    } finally {
      this.#scans.delete(scan);
    }
    return sum;
  }

  #visit(scan: MountScan, mp: Mount, callback: (mp: Mount) => number): number {
    if ((scan.how & MNTSCAN_NOBUSY) === 0) {
      if (!tryBusy(mp)) return 0;
      scan.busied = true;
    }
    try {
      return callback(mp);
    } finally {
      if (scan.busied) vfsUnbusy(mp);
      scan.busied = false;
    }
  }
}

const step = (how: number): number => ((how & MNTSCAN_REVERSE) !== 0 ? -1 : 1);

const tryBusy = (mp: Mount): boolean => {
  try {
    vfsBusy(mp, LK_NOWAIT);
    return true;
  } catch (error) {
    if (isFsError(error)) return false;
    throw error;
  }
};
