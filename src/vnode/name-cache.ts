/**
 * The name cache: (directory, name) → ino, positive and negative; after DragonFly's vfs_cache.c in purpose.
 *
 * It is also the overlay of directory entries that are not in the store yet: an entry changed in the open or the sealed
 * transaction group is *dirty* and stays until its commit; a clean one is on the LRU and may go at any time.
 *
 * INVARIANT: an entry is on the LRU if and only if it is clean (dirtyTxg = 0).
 * INVARIANT: dvp.dirtyNames counts its dirty entries; while it is not 0 the directory is held (vhold) once.
 * INVARIANT: dvp.namesComplete implies that a name without an entry in dvp.names doesn't exist.
 *
 * `dvp.added` lists entries that were added since the last clean state, by ascending cookie, for readdir's merge. A
 * slot is stale when its entry has been removed, or removed and added again (then entry.cookie differs from the slot's
 * cookie).
 */
import type { ByteName, Ino } from '../base/ids.js';
import { LruList, type LruNode } from './lru.js';
import type { Vnode } from './vnode.js';

export class NameEntry implements LruNode<NameEntry> {
  readonly dvp: Vnode;
  readonly name: ByteName;
  /** 0 is negative: known not to exist. */
  ino: Ino;
  /** DT_* of the target. */
  type: number;
  cookie: number;
  /** Last group that changed it, not committed yet; 0 is clean. */
  dirtyTxg = 0;
  /** The store has (or, once the sealed group commits, will have) a row of this name. */
  inStore: boolean;
  lruPrev: NameEntry | undefined = undefined;
  lruNext: NameEntry | undefined = undefined;
  onLru = false;

  constructor(dvp: Vnode, name: ByteName, ino: Ino, type: number, cookie: number, inStore: boolean) {
    this.dvp = dvp;
    this.name = name;
    this.ino = ino;
    this.type = type;
    this.cookie = cookie;
    this.inStore = inStore;
  }
}

export class NameCache {
  /** Bound on clean entries; dirty ones are bounded by the transaction groups. */
  readonly max: number;
  size = 0;
  hits = 0;
  negativeHits = 0;
  misses = 0;
  evictions = 0;
  #lru = new LruList<NameEntry>();

  constructor(max: number) {
    this.max = max;
  }

  /** Entries on the LRU: the clean ones. */
  get clean(): number {
    return this.#lru.size;
  }

  lookup(dvp: Vnode, name: ByteName): NameEntry | undefined {
    const entry = dvp.names?.get(name);
    if (entry === undefined) {
      this.misses++;
      return undefined;
    }
    if (entry.ino === 0) this.negativeHits++;
    else this.hits++;
    if (entry.onLru) {
      this.#lru.remove(entry);
      this.#lru.push(entry);
    }
    return entry;
  }

  /** Adds a clean entry (ino 0: negative); requires that there is none of this name. */
  enter(dvp: Vnode, name: ByteName, ino: Ino, type: number, cookie: number): NameEntry {
    const entry = this.insert(dvp, name, ino, type, cookie, ino !== 0);
    this.#lru.push(entry);
    this.#trim();
    return entry;
  }

  /** As {@link enter}, but for an entry about to be marked dirty: not on the LRU. */
  insert(dvp: Vnode, name: ByteName, ino: Ino, type: number, cookie: number, inStore: boolean): NameEntry {
    const entry = new NameEntry(dvp, name, ino, type, cookie, inStore);
    (dvp.names ??= new Map<ByteName, NameEntry>()).set(name, entry);
    this.size++;
    return entry;
  }

  /** The entry becomes dirty: it leaves the LRU. */
  pin(entry: NameEntry): void {
    if (entry.onLru) this.#lru.remove(entry);
  }

  /** The entry became clean. */
  unpin(entry: NameEntry): void {
    this.#lru.push(entry);
    this.#trim();
  }

  #trim(): void {
    while (this.#lru.size > this.max && this.#lru.head) {
      this.evictions++;
      this.#drop(this.#lru.head);
    }
  }

  #drop(entry: NameEntry): void {
    this.#lru.remove(entry);
    this.size--;
    entry.dvp.names?.delete(entry.name);
    // A negative entry that goes from a complete directory still says the truth by its absence.
    if (entry.ino !== 0) entry.dvp.namesComplete = false;
  }

  /** Drops at most `most` clean names of a directory. Returns how many. */
  shed(dvp: Vnode, most: number): number {
    let shed = 0;
    for (const entry of dvp.names?.values() ?? []) {
      if (shed === most) break;
      if (!entry.onLru) continue;
      this.#drop(entry);
      shed++;
    }
    return shed;
  }

  /** Drops all names of a directory that is being reclaimed; all must be clean. */
  purge(dvp: Vnode): void {
    if (dvp.names === undefined) return;
    for (const entry of dvp.names.values()) {
      if (entry.onLru) this.#lru.remove(entry);
      this.size--;
    }
    dvp.names = undefined;
    dvp.namesComplete = false;
    dvp.added = undefined;
    dvp.addedCookies = undefined;
  }
}
