/** Plugs the layers below into the ports of src/daemon/ports.ts: the only file of the main thread that knows their modules. */
import { wakeEventfd } from '../base/eventfd.js';
import { EFD_CLOEXEC, EFD_NONBLOCK, syscallError, syscalls } from '../base/syscalls.js';
import { mountKernel } from '../fuse/kernel/mount.js';
import { MountError } from '../fuse/kernel/mount-error.js';
import { checkStore } from '../store/fsck.js';
import { lockStore } from '../store/lock.js';
import { createStore } from '../store/mkfs.js';
import { openReader } from '../store/reader.js';
import { StoreError, type StoreErrorCode } from '../store/store-error.js';
import { Failure, type FailureKind } from './failure.js';
import type { DaemonPorts, StoreClaim, StorePort, System } from './ports.js';
import { workerStarter } from './workers.js';

const KIND_OF_STORE_ERROR: Partial<Record<StoreErrorCode, FailureKind>> = {
  locked: 'store-in-use',
  busy: 'store-in-use',
  damaged: 'damaged',
  'bad-option': 'usage',
};

/** Runs `body`; its StoreError or MountError becomes a Failure. */
const asFailures = <T>(body: () => T): T => {
  try {
    return body();
  } catch (error) {
    if (error instanceof StoreError) {
      throw new Failure(KIND_OF_STORE_ERROR[error.code] ?? 'store', error.message, { cause: error });
    }
    if (error instanceof MountError) throw new Failure('mount', error.message, { cause: error });
    throw error;
  }
};

const isMissing = (error: unknown): boolean => error instanceof StoreError && error.code === 'not-found';

const claim = (path: string, readOnly: boolean): StoreClaim => {
  let created = false;
  let lock;
  try {
    lock = lockStore(path);
  } catch (error) {
    if (!isMissing(error) || readOnly) throw error;
    createStore(path, ownedByCaller());
    created = true;
    lock = lockStore(path);
  }
  try {
    const reader = openReader(path);
    const { superblock } = reader;
    reader.close();
    return { superblock, created, release: () => lock.release() };
  } catch (error) {
    lock.release();
    throw error;
  }
};

/** A new root directory belongs to whoever makes the store. */
const ownedByCaller = (): { rootUid: number; rootGid: number } => ({
  rootUid: process.geteuid?.() ?? 0,
  rootGid: process.getegid?.() ?? 0,
});

export const storePort = (): StorePort => ({
  create: (path, options) => asFailures(() => createStore(path, { ...options, ...ownedByCaller() })),
  check: (path) =>
    asFailures(() => {
      const report = checkStore(path);
      const { inodes, dirents, chunks } = report;
      return {
        problems: report.findings.map(({ rule, message }) => ({ kind: rule, message })),
        counts: { inodes, dirents, chunks },
      };
    }),
  claim: (path, readOnly) => asFailures(() => claim(path, readOnly)),
});

const system: System = {
  eventfd: () => {
    const fd = syscalls().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) throw syscallError('eventfd');
    return fd;
  },
  wake: wakeEventfd,
  exit: (code) => {
    syscalls().exitNow(code);
    throw new Error('_exit returned');
  },
};

export const daemonPorts = (): DaemonPorts => ({
  store: storePort(),
  mounter: {
    mount: ({ mountpoint, source, flags }) => {
      const request = { ...flags, mountpoint, fsname: source };
      return Promise.resolve(asFailures(() => ({ deviceFd: mountKernel(request).fd })));
    },
  },
  system,
  startWorkers: workerStarter(
    new URL('./dispatcher-worker.js', import.meta.url),
    new URL('../syncer/syncer-worker.js', import.meta.url),
  ),
});
