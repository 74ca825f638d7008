/**
 * Everything a mount can be told, after parsing: what the command line produces and the daemon's main thread
 * consumes.
 * Paths are absolute and resolved.
 */
import { Failure } from './failure.js';

export type TransportChoice = 'auto' | 'kernel' | 'fuse-native';
export const TRANSPORTS: readonly TransportChoice[] = ['auto', 'kernel', 'fuse-native'];

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** What `-o` says about the kernel's side of the mount. default_permissions is always on. */
export interface MountFlags {
  readOnly: boolean;
  allowOther: boolean;
  /** Otherwise relatime: strictatime is not offered. */
  noatime: boolean;
  nosuid: boolean;
  nodev: boolean;
  noexec: boolean;
  /** Shown as the mount's source in /proc/mounts; undefined shows the store's path. */
  fsname: string | undefined;
}

/** What `-o` and the long options say about our side. */
export interface Tuning {
  forcedUid: number | undefined;
  forcedGid: number | undefined;
  /** undefined: on, unless the store has a size limit. */
  writebackCache: boolean | undefined;
  /** The newest 7.x of the FUSE protocol to speak; undefined: all that both sides know. */
  protocolMinor: number | undefined;
  attrTtlMs: number;
  entryTtlMs: number;
  pollUs: number;
  /** The dispatcher warms up: see fuse/kernel/rehearsal. */
  rehearsal: boolean;
  /** Barriers may go by the intent log: see syncer/intents.ts. */
  intentLog: boolean;
  pagesMax: number;
  vnodesMax: number;
  syncIntervalMs: number;
  /** A dispatcher that is silent for so long is given up; 0: never. */
  watchdogMs: number;
  /** From SIGTERM to the end, come what may. */
  stopMs: number;
  traceFile: string | undefined;
}

export interface MountSettings {
  store: string;
  mountpoint: string;
  transport: TransportChoice;
  flags: MountFlags;
  tuning: Tuning;
  logFile: string;
  logLevel: (typeof LOG_LEVELS)[number];
}

const DAY_MS = 86_400_000;

export const defaultFlags = (): MountFlags => ({
  readOnly: false,
  allowOther: false,
  noatime: false,
  nosuid: false,
  nodev: false,
  noexec: false,
  fsname: undefined,
});

export const defaultTuning = (): Tuning => ({
  forcedUid: undefined,
  forcedGid: undefined,
  writebackCache: undefined,
  protocolMinor: undefined,
  attrTtlMs: DAY_MS,
  entryTtlMs: DAY_MS,
  pollUs: 50,
  rehearsal: true,
  intentLog: true,
  pagesMax: 65_536,
  vnodesMax: 100_000,
  syncIntervalMs: 5_000,
  watchdogMs: 120_000,
  stopMs: 10_000,
  traceFile: undefined,
});

const isPlain = (field: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof field);

/** Whether `value` has what `example` has: fields of the same types. Those undefined there may be missing. */
const isLike = (value: unknown, example: object): boolean => {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Record<string, unknown>;
  return Object.entries(example).every(([name, sample]) => {
    const field = fields[name];
    if (sample === undefined) return field === undefined || isPlain(field);
    return typeof field === typeof sample && (typeof field !== 'number' || field >= 0);
  });
};

/** Settings that came from another process as JSON. Throws a usage Failure. */
export const parseSettings = (value: unknown): MountSettings => {
  const texts = {
    store: '',
    mountpoint: '',
    transport: '',
    logFile: '',
    logLevel: '',
    flags: {},
    tuning: {},
  };
  const settings = value as MountSettings;
  const sound =
    isLike(value, texts) &&
    isLike(settings.flags, defaultFlags()) &&
    isLike(settings.tuning, defaultTuning()) &&
    settings.store.startsWith('/') &&
    settings.mountpoint.startsWith('/');
  if (!sound)
    throw new Failure('usage', 'these are not the settings of a mount: is the daemon of another version?');
  return settings;
};
