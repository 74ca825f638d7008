/**
 * Mounting and unmounting, on the main thread. The descriptor returned may be served by any thread of this process.
 *
 * Root mounts by itself; an ordinary user through the set-user-id fusermount3, which opens the device, mounts, and
 * hands the descriptor back over a socket. Until INIT is answered, touching the mount point blocks: whoever mounts must
 * not touch it again.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { endianness } from 'node:os';
import { errnoName } from '../../base/errno.js';
import { receiveDescriptor, socketPair } from '../../base/descriptors.js';
import {
  F_GETFL,
  F_SETFL,
  MNT_DETACH,
  MS_NOATIME,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
  MS_REMOUNT,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  syscalls,
  UMOUNT_NOFOLLOW,
} from '../../base/syscalls.js';
import { deviceError, fusermountError, MountError, mountCallError, unmountCallError } from './mount-error.js';

export interface MountOptions {
  mountpoint: string;
  /** The source column of /proc/mounts: the store's path. */
  fsname: string;
  /** Other users than the one mounting may enter. */
  allowOther: boolean;
  readOnly: boolean;
  nosuid: boolean;
  nodev: boolean;
  noexec: boolean;
  noatime: boolean;
  /** Bound on a READ; undefined: what INIT settles. */
  maxReadBytes?: number;
}

export interface Mounted {
  /** The device, non-blocking. Closing it (by every thread) ends the mount's life. */
  fd: number;
  /** Absolute, without symlinks, as /proc/mounts has it. */
  mountpoint: string;
  via: 'mount' | 'fusermount3';
}

const DEVICE = '/dev/fuse';
const TYPE = 'fuse.vnodefs';
const SUBTYPE = 'vnodefs';
const FUSERMOUNT = 'fusermount3';
const isRoot = (): boolean => process.geteuid?.() === 0;

/** A dead FUSE mount answers any stat with ENOTCONN. */
const mountpointOf = (path: string): string => {
  try {
    if (!statSync(path).isDirectory()) {
      throw new MountError('bad-mountpoint', `The mount point ${path} is not a directory.`);
    }
    return realpathSync(path);
  } catch (error) {
    if (error instanceof MountError) throw error;
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
        throw new MountError('bad-mountpoint', `The mount point ${path} does not exist.`);
      case 'ENOTDIR':
        throw new MountError('bad-mountpoint', `The mount point ${path} is not a directory.`);
      case 'ENOTCONN':
        throw new MountError(
          'stale-mountpoint',
          `${path} still has a mount whose daemon died: unmount it first (fusermount3 -u).`,
        );
      default:
        throw new MountError('bad-mountpoint', `The mount point ${path} can't be reached.`, { cause: error });
    }
  }
};

type FlagOptions = Pick<MountOptions, 'readOnly' | 'nosuid' | 'nodev' | 'noexec' | 'noatime'>;

const flagBits = ({ readOnly, nosuid, nodev, noexec, noatime }: FlagOptions): number =>
  (readOnly ? MS_RDONLY : 0) |
  (nosuid ? MS_NOSUID : 0) |
  (nodev ? MS_NODEV : 0) |
  (noexec ? MS_NOEXEC : 0) |
  (noatime ? MS_NOATIME : 0);

/**
 * Changes the flags of a mount, all of them. 0 or the errno: EBUSY when it is to become read-only and files are open
 * for writing. Root only. Asynchronous, since the kernel may write cached pages back to the daemon before it returns.
 */
export const remountKernel = (mountpoint: string, options: FlagOptions): Promise<number> =>
  syscalls().mountAsync('none', mountpoint, TYPE, MS_REMOUNT | flagBits(options), '');

const mountAsRoot = (options: MountOptions, mountpoint: string): number => {
  const sys = syscalls();
  const fd = sys.open(DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK, 0);
  if (fd < 0) throw deviceError(sys.errno());
  const data = [`fd=${fd}`, 'rootmode=40000', 'user_id=0', 'group_id=0', 'default_permissions'];
  if (options.allowOther) data.push('allow_other');
  if (options.maxReadBytes !== undefined) data.push(`max_read=${options.maxReadBytes}`);
  if (sys.mount(options.fsname, mountpoint, TYPE, flagBits(options), data.join(',')) !== 0) {
    const errno = sys.errno();
    sys.close(fd);
    throw mountCallError(errno, mountpoint);
  }
  return fd;
};

/** fusermount3 splits its options at commas that no backslash precedes. */
const escapeOption = (text: string): string => text.replace(/[\\,]/g, '\\$&');

const fusermountOptions = (options: MountOptions): string => {
  // nosuid and nodev are what fusermount3 forces upon an ordinary user anyway.
  const list = [`fsname=${escapeOption(options.fsname)}`, `subtype=${SUBTYPE}`, 'default_permissions'];
  if (options.allowOther) list.push('allow_other');
  if (options.maxReadBytes !== undefined) list.push(`max_read=${options.maxReadBytes}`);
  if (options.readOnly) list.push('ro');
  if (options.noexec) list.push('noexec');
  if (options.noatime) list.push('noatime');
  return list.join(',');
};

const setNonBlocking = (fd: number): void => {
  const sys = syscalls();
  sys.fcntl(fd, F_SETFL, sys.fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
};

const noFusermount = (): MountError =>
  new MountError(
    'no-fusermount',
    'Mounting without root needs fusermount3 (package fuse3), which was not found.',
  );

const mountAsUser = (options: MountOptions, mountpoint: string): number => {
  const [ours, theirs] = socketPair(SOCK_STREAM | SOCK_CLOEXEC);
  const sys = syscalls();
  try {
    // The child has its end of the socket as descriptor 3. The message waits in the socket until we look.
    const child = spawnSync(FUSERMOUNT, ['-o', fusermountOptions(options), '--', mountpoint], {
      stdio: ['ignore', 'pipe', 'pipe', theirs],
      env: { ...process.env, _FUSE_COMMFD: '3' },
      encoding: 'utf8',
    });
    sys.close(theirs);
    if (child.error !== undefined) throw noFusermount();
    if (child.status !== 0) throw fusermountError(child.stderr, mountpoint);
    const fd = receiveDescriptor(ours);
    if (fd === undefined) throw new MountError('failed', 'fusermount3 sent no descriptor.');
    setNonBlocking(fd);
    return fd;
  } finally {
    sys.close(ours);
  }
};

/** Why this process can't mount by the kernel's protocol, as one sentence; undefined: nothing is known to be in the way. */
export const kernelProblem = (): string | undefined => {
  if (process.platform !== 'linux') return 'only Linux has the kernel’s FUSE protocol';
  if (endianness() !== 'LE') return 'the FUSE transport is for little-endian machines';
  // An ordinary user's device is opened by fusermount3, whatever its mode.
  if (!isRoot()) return existsSync(DEVICE) ? undefined : `there is no ${DEVICE}`;
  const sys = syscalls();
  const fd = sys.open(DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK, 0);
  if (fd < 0) return `${DEVICE} can't be opened (${errnoName(sys.errno())})`;
  sys.close(fd);
  return undefined;
};

/** Mounts. Throws {@link MountError}. The caller has the descriptor served, and INIT answered, soon. */
export const mountKernel = (options: MountOptions): Mounted => {
  if (endianness() !== 'LE') {
    throw new MountError('unsupported', 'The FUSE transport is for little-endian machines.');
  }
  const mountpoint = mountpointOf(options.mountpoint);
  return isRoot()
    ? { fd: mountAsRoot(options, mountpoint), mountpoint, via: 'mount' }
    : { fd: mountAsUser(options, mountpoint), mountpoint, via: 'fusermount3' };
};

/**
 * Detaches the mount: `lazy` at once whatever is open, otherwise only if nobody uses it (MountError `busy`).
 * Asynchronous, since the kernel may write cached pages back to the daemon before it returns.
 */
export const unmountKernel = async (mountpoint: string, { lazy }: { lazy: boolean }): Promise<void> => {
  if (isRoot()) {
    const errno = await syscalls().umount2Async(mountpoint, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0));
    if (errno !== 0) throw unmountCallError(errno, mountpoint);
    return;
  }
  const child = spawn(FUSERMOUNT, [lazy ? '-uz' : '-u', '--', mountpoint], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', () => reject(noFusermount()));
    child.once('close', resolve);
  });
  if (status !== 0) throw fusermountError(stderr, mountpoint);
};
