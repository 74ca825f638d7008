/**
 * Plugs the layers below into the ports of src/daemon/ports.ts: the only file of the main thread that knows
 * their modules.
 */
import { existsSync } from 'node:fs';
import { loadBinding } from '../fuse/fuse-native/binding.js';
import { createEventFd, EventFdWaker } from '../base/descriptors.js';
import { syscalls } from '../base/syscalls.js';
import { MountError } from '../fuse/kernel/mount-error.js';
import { kernelProblem, mountKernel, remountKernel } from '../fuse/kernel/mount.js';
import { Errno, errnoName } from '../base/errno.js';
import { setReadAhead } from '../fuse/kernel/read-ahead.js';
import { checkStore, type FsckOptions, type FsckReport as StoreReport } from '../store/fsck.js';
import { pendingIntents, replayIntentLog } from '../store/intent-replay.js';
import { lockStore } from '../store/lock.js';
import { createStore } from '../store/mkfs.js';
import { openStore } from '../store/open.js';
import { Repair } from '../store/repair.js';
import { StoreError, type StoreErrorCode } from '../store/store-error.js';
import { readSuperblock, superblockOrStandIn } from '../store/superblock.js';
import type { Superblock } from '../store/types.js';
import { Failure, type FailureKind } from './failure.js';
import type {
  DaemonPorts,
  FsckReport,
  Mounter,
  NewStore,
  OnFsckProgress,
  RepairSession,
  StoreClaim,
  StorePort,
  System,
} from './ports.js';
import { mainDispatcherStarter } from './main-dispatcher.js';
import type { TransportChoice } from './settings.js';
import { chooseTransport, type ChosenTransport } from './transport.js';
import { dispatcherStarter, syncerStarter } from './workers.js';

const KIND_BY_CODE: Partial<Record<StoreErrorCode, FailureKind>> = {
  locked: 'store-in-use',
  busy: 'store-in-use',
  'bad-option': 'usage',
};
/** As large as a READ can be. */
const READ_AHEAD_KB = 1024;

/** Our sentences have no full stop: `vnodefs: …` goes before them. */
const translate = <T>(act: () => T): T => {
  try {
    return act();
  } catch (error) {
    if (error instanceof StoreError)
      throw new Failure(KIND_BY_CODE[error.code] ?? 'store', error.message.replace(/\.$/, ''), {
        cause: error,
      });
    if (error instanceof MountError)
      throw new Failure('mount', error.message.replace(/\.$/, ''), { cause: error });
    throw error;
  }
};

/** The root directory belongs to whoever makes the store. */
const owner = (): { rootUid: number; rootGid: number } => ({
  rootUid: process.getuid?.() ?? 0,
  rootGid: process.getgid?.() ?? 0,
});

const create = (path: string, { label, sizeLimitBytes, inodeLimit, force }: NewStore): Superblock =>
  createStore(path, { label, sizeLimitBytes, inodeLimit, force, ...owner() });

const FINDINGS_MAX = 1000;

const reportOf = (report: StoreReport): FsckReport => {
  const { path, findings, omitted, inodes, dirents, chunks } = report;
  const problems = findings.map(({ rule, message, ino }) => ({ kind: rule, message: withIno(message, ino) }));
  if (omitted > 0) problems.push({ kind: 'omitted', message: `${omitted} more like these` });
  return { problems, counts: { inodes, dirents, chunks }, waiting: waitingGroups(path) };
};

/** Of a store that can't be read the problems say so. */
const waitingGroups = (path: string): number => {
  try {
    return pendingIntents(path);
  } catch (error) {
    if (error instanceof StoreError) return 0;
    throw error;
  }
};

const withIno = (message: string, ino: number): string => (ino === 0 ? message : `inode ${ino}: ${message}`);

const fsckOptions = (onProgress?: OnFsckProgress): FsckOptions => ({
  findingsMax: FINDINGS_MAX,
  onProgress: ({ step, fraction }) => onProgress?.(step, fraction),
});

const openRepair = (path: string, onProgress?: OnFsckProgress): RepairSession => {
  const repair = new Repair(path, fsckOptions(onProgress));
  return {
    check: () => translate(() => reportOf(repair.check())),
    backup: (file) => translate(() => repair.backup(file)),
    repair: () =>
      translate(() => {
        const { actions, omittedActions, after } = repair.repair();
        const steps = actions.map(({ rule, ino, message, action }) => ({
          kind: rule,
          message: withIno(message, ino),
          action,
        }));
        if (omittedActions > 0)
          steps.push({
            kind: 'omitted',
            message: `${omittedActions} more like these`,
            action: 'done as well',
          });
        const { problems: remaining, counts } = reportOf(after);
        return { steps, remaining, counts };
      }),
    close: () => repair.close(),
  };
};

/** Of a damaged store what can be read is shown, though not what an intent log would add to it, which stays. */
const recover = (path: string, readOnly: boolean): StoreClaim['replayed'] => {
  try {
    return replayIntentLog(path).groups;
  } catch (error) {
    if (!readOnly || !(error instanceof StoreError)) throw error;
    return error.message;
  }
};

/**
 * The lock is the main thread's, for as long as the process lives: the syncer opens its writer under it. Opening here
 * once, before anything is mounted, lets a bad store be refused in time; it also recovers the write-ahead log of a
 * killed daemon.
 */
const claim = (path: string, readOnly: boolean): StoreClaim => {
  const created = !existsSync(path);
  if (created && readOnly)
    throw new Failure('store', `there is no store ${path}: make it with 'vnodefs mkfs', or mount without ro`);
  if (created) createStore(path, owner());
  const lock = lockStore(path);
  try {
    const replayed = recover(path, readOnly);
    const db = openStore(path, { mode: readOnly ? 'read' : 'write', cacheKiB: 1024 });
    try {
      const release = (closed: boolean): void => (closed ? lock.close() : lock.release());
      const superblock = readOnly ? superblockOrStandIn(db, path) : readSuperblock(db, path);
      return { superblock, created, replayed, release };
    } finally {
      db.close();
    }
  } catch (error) {
    lock.release();
    throw error;
  }
};

export const storePort = (): StorePort => ({
  create: (path, options) => translate(() => create(path, options)),
  check: (path, onProgress) => translate(() => reportOf(checkStore(path, fsckOptions(onProgress)))),
  openRepair: (path, onProgress) => translate(() => openRepair(path, onProgress)),
  claim: (path, readOnly) => translate(() => claim(path, readOnly)),
});

export const kernelMounter: Mounter = {
  mount: ({ mountpoint, source, flags }) => {
    const { allowOther, readOnly, nosuid, nodev, noexec, noatime } = flags;
    const options = { mountpoint, fsname: source, allowOther, readOnly, nosuid, nodev, noexec, noatime };
    return { deviceFd: translate(() => mountKernel(options)).fd };
  },
  remount: async (mountpoint, flags) => {
    if (process.geteuid?.() !== 0) return 'not-root';
    const errno = await remountKernel(mountpoint, flags);
    if (errno === 0) return 'done';
    return errno === Errno.EBUSY ? 'busy' : { reason: errnoName(errno) };
  },
  settled: (mountpoint) => void setReadAhead(mountpoint, READ_AHEAD_KB),
};

export const realSystem = (): System => ({
  eventfd: () => createEventFd(),
  waker: (fd) => {
    const waker = new EventFdWaker(fd);
    return () => waker.wake();
  },
  exit: (code) => {
    syscalls().exitNow(code);
    throw new Error('_exit returned');
  },
});

/** fuse-native mounts and serves in one step, which is its dispatcher's. */
const nativeMounter: Mounter = {
  mount: () => ({ deviceFd: -1 }),
  remount: (mountpoint, flags) => kernelMounter.remount(mountpoint, flags),
  settled: () => undefined,
};

/** Nobody polls there: messages wake the main thread's event loop by themselves. */
const withoutEventFd: Pick<System, 'eventfd' | 'waker'> = { eventfd: () => -1, waker: () => () => undefined };

/** Throws a Failure where the transport asked for can't be used. */
export const daemonPorts = (choice: TransportChoice): DaemonPorts => {
  const { transport, binding } = translate(() =>
    chooseTransport(choice, { platform: process.platform, kernelProblem, loadBinding }),
  );
  const ports = kernelPorts(transport);
  return binding === undefined
    ? ports
    : {
        ...ports,
        mounter: nativeMounter,
        system: { ...ports.system, ...withoutEventFd },
        startDispatcher: mainDispatcherStarter(binding),
      };
};

const kernelPorts = (transport: ChosenTransport): DaemonPorts => ({
  transport,
  store: storePort(),
  mounter: kernelMounter,
  system: realSystem(),
  startDispatcher: dispatcherStarter(
    new URL('./dispatcher-worker.js', import.meta.url),
    new URL('../fuse/kernel/notifier-worker.js', import.meta.url),
  ),
  startSyncer: syncerStarter(new URL('../syncer/syncer-worker.js', import.meta.url)),
});
