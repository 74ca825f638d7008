/**
 * Finding and judging mount points without touching what is mounted there: a path is resolved by its parent directory,
 * its last component only by readlink(2), which the kernel answers without asking the filesystem mounted on it.
 */
import { lstatSync, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { errorCode, errorText, Failure } from './failure.js';
import type { Host } from './host.js';
import { isOurs, mountAt, ownerOf, type MountEntry } from '../base/mountinfo.js';
import type { Surroundings } from './places.js';
import { isAlive } from './process-identity.js';
import { findEntry, removeEntry, type Registered } from './registry.js';

const SYMLINKS_MAX = 40;
const PROBE_MS = 3_000;
const CLEAR_MS = 5_000;

/** The canonical absolute path. Throws a mount failure if the directory that should hold it can't be resolved. */
export const resolveMountPoint = (path: string): string => {
  let current = resolve(path);
  for (let i = 0; i < SYMLINKS_MAX && current !== '/'; i++) {
    current = join(resolveParent(current, path), basename(current));
    const target = linkTarget(current);
    if (target === undefined) return current;
    current = resolve(dirname(current), target);
  }
  return current;
};

const resolveParent = (current: string, asGiven: string): string => {
  try {
    return realpathSync(dirname(current));
  } catch (error) {
    const what = errorCode(error) === 'ENOENT' ? 'does not exist' : `cannot be used (${errorText(error)})`;
    throw new Failure(
      'mount',
      `the directory of the mount point ${asGiven} ${what}: give an existing directory`,
    );
  }
};

const linkTarget = (path: string): string | undefined => {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // not a symlink, or not there: the caller's checks say which
  }
};

/** What is at a mount point, as far as it can be known without waiting for it. */
export interface Occupant {
  mount: MountEntry;
  registered: Registered | undefined;
  /** `stale`: its daemon has gone. `foreign`: another user's, whose registry we can't read. */
  state: 'live' | 'stale' | 'hung' | 'foreign';
}

/** The vnodefs mount on top at `mountpoint`, if there is one. */
export const occupantOf = async (
  mountpoint: string,
  host: Host,
  here: Surroundings,
): Promise<Occupant | undefined> => {
  const mount = mountAt(host.mounts(), mountpoint);
  return mount !== undefined && isOurs(mount) ? judge(mount, host, here) : undefined;
};

export const judge = async (mount: MountEntry, host: Host, here: Surroundings): Promise<Occupant> => {
  const before = findEntry(mount.mountpoint, ownerOf(mount), here);
  if (before !== undefined && isAlive(before.entry)) return { mount, registered: before, state: 'live' };
  const probe = await host.probe(mount.mountpoint, PROBE_MS);
  // A daemon registers once its mount answers: it may have done so while we asked.
  const registered = findEntry(mount.mountpoint, ownerOf(mount), here);
  if (registered !== undefined && isAlive(registered.entry)) return { mount, registered, state: 'live' };
  if (probe.state === 'dead') return { mount, registered, state: 'stale' };
  if (probe.state === 'hung') return { mount, registered, state: 'hung' };
  // Registered, its daemon gone, and not answering as dead: the kernel hides other users' mounts, even from root.
  if (registered !== undefined && probe.state === 'unreachable') return { mount, registered, state: 'stale' };
  return { mount, registered, state: 'foreign' };
};

/** Takes a dead mount of ours away. Returns the sentence to print. */
export const clearStale = async (occupant: Occupant, host: Host): Promise<string> => {
  const { mountpoint } = occupant.mount;
  const detached = await host.detach(mountpoint, true, CLEAR_MS);
  if (detached.outcome !== 'done' && detached.outcome !== 'not-mounted') {
    const reason = detached.outcome === 'failed' ? detached.reason : detached.outcome;
    throw new Failure(
      'mount',
      `${mountpoint} has a dead vnodefs mount that could not be cleared (${reason}): run umount -l ${mountpoint} as root`,
    );
  }
  const entry = occupant.registered?.entry;
  if (occupant.registered !== undefined) removeEntry(occupant.registered);
  const whose = entry === undefined ? '' : ` of ${entry.store} (daemon ${entry.pid} is gone)`;
  return `cleared the stale mount${whose} from ${mountpoint}`;
};

/**
 * Makes sure that `mountpoint` (canonical) can take a mount: an existing, empty directory without a live
 * vnodefs mount.
 * Clears a stale one, and returns what was done, for printing.
 */
export const prepareMountPoint = async (
  mountpoint: string,
  nonempty: boolean,
  host: Host,
  here: Surroundings,
): Promise<string[]> => {
  const done: string[] = [];
  for (;;) {
    const occupant = await occupantOf(mountpoint, host, here);
    if (occupant === undefined) break;
    if (occupant.state !== 'stale') throw occupied(occupant);
    done.push(await clearStale(occupant, host));
  }
  checkDirectory(mountpoint, nonempty);
  return done;
};

const occupied = ({ mount, registered }: Occupant): Failure => {
  const whose =
    registered === undefined ? '' : ` of ${registered.entry.store} (daemon ${registered.entry.pid})`;
  return new Failure(
    'mount',
    `${mount.mountpoint} already has a vnodefs mount${whose}: unmount it with 'vnodefs umount ${mount.mountpoint}'`,
  );
};

const checkDirectory = (mountpoint: string, nonempty: boolean): void => {
  let names: string[] = [];
  try {
    if (!lstatSync(mountpoint).isDirectory())
      throw new Failure('mount', `${mountpoint} is not a directory: give an empty directory as mount point`);
    if (!nonempty) names = readdirSync(mountpoint);
  } catch (error) {
    if (error instanceof Failure) throw error;
    const code = errorCode(error);
    if (code === 'ENOENT')
      throw new Failure('mount', `the mount point ${mountpoint} does not exist: make it with mkdir`);
    if (code === 'ENOTCONN')
      throw new Failure(
        'mount',
        `${mountpoint} has a dead mount of another filesystem: clear it with umount -l`,
      );
    throw new Failure('mount', `cannot look at the mount point ${mountpoint} (${errorText(error)})`);
  }
  if (names.length > 0)
    throw new Failure(
      'mount',
      `the mount point ${mountpoint} is not empty: empty it, or hide its files with -o nonempty`,
    );
};

interface Identity {
  dev: number;
  ino: number;
}

const identityOf = (path: string): Identity | undefined => {
  try {
    const { dev, ino } = lstatSync(path);
    return { dev, ino };
  } catch {
    return undefined; // not there, or not to be entered: then nothing of ours can lie below it either
  }
};

/**
 * True if `path` (absolute; it need not exist) is the directory `mountpoint` or lies below it, by whatever way it is
 * named: a bind mount shows the same directory under another path. To be asked before mounting.
 */
export const liesBelow = (path: string, mountpoint: string): boolean => {
  const cover = identityOf(mountpoint);
  for (let current = path; ; current = dirname(current)) {
    if (current === mountpoint) return true;
    const here = identityOf(current);
    if (here !== undefined && here.dev === cover?.dev && here.ino === cover.ino) return true;
    if (current === dirname(current)) return false;
  }
};

/**
 * A daemon that waits for a file on its own mount waits for itself. Refuses a log, a trace and the like below it.
 * `what` names the file for the message and says how to put it elsewhere.
 */
export const refuseOnOwnMount = (path: string, mountpoint: string, what: string, elsewhere: string): void => {
  if (liesBelow(path, mountpoint))
    throw new Failure('mount', `${what} ${path} lies inside the mount point ${mountpoint}: ${elsewhere}`);
};

/** The store's canonical path; the file itself need not exist. Refuses one that the mount would hide. */
export const resolveStore = (path: string, mountpoint: string | undefined): string => {
  let store = resolve(path);
  try {
    store = realpathSync(store);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT')
      throw new Failure('store', `cannot use the store ${path} (${errorText(error)})`);
    try {
      store = join(realpathSync(dirname(store)), basename(store));
    } catch {
      throw new Failure('store', `the directory of the store ${path} does not exist: make it first`);
    }
  }
  if (mountpoint !== undefined && liesBelow(store, mountpoint))
    throw new Failure(
      'mount',
      `the store ${store} lies inside the mount point ${mountpoint}, which would hide it: keep it elsewhere`,
    );
  return store;
};
