/**
 * The `-o` list of a mount. One table holds every name, so that a misspelt one is refused with a suggestion. Later
 * entries win over earlier ones, as in mount(8). Names that only mount(8), fstab or systemd care about are understood
 * and ignored.
 */
import { Failure } from '../daemon/failure.js';
import {
  defaultFlags,
  defaultTuning,
  LOG_LEVELS,
  TRANSPORTS,
  type MountFlags,
  type Tuning,
  type TransportChoice,
} from '../daemon/settings.js';
import { parseCount, parseSeconds, parseSize } from './numbers.js';
import { suggest } from './suggest.js';

/** The result of all options of a mount command; undefined leaves the choice to a default. */
export interface ParsedMountOptions {
  flags: MountFlags;
  tuning: Tuning;
  nonempty: boolean;
  transport: TransportChoice;
  logFile: string | undefined;
  logLevel: (typeof LOG_LEVELS)[number];
}

export const defaultMountOptions = (): ParsedMountOptions => ({
  flags: defaultFlags(),
  tuning: { ...defaultTuning(), rehearsal: process.env.VNODEFS_REHEARSAL !== '0' },
  nonempty: false,
  transport: 'auto',
  logFile: undefined,
  logLevel: 'info',
});

type Apply = (options: ParsedMountOptions, value: string, name: string) => void;

const PAGE_BYTES = 4096;
const PAGES_MIN_BYTES = 2 ** 20;
const WEEK_MS = 7 * 86_400_000;
const HOUR_MS = 3_600_000;
const ID_MAX = 4_294_967_294;

/** `--pages SIZE`: page budget; rounded down to whole pages. */
export const applyPages: Apply = (o, value, name) => {
  const bytes = parseSize(value, name);
  if (bytes < PAGES_MIN_BYTES) throw new Failure('usage', `${name} needs at least 1MiB, not '${value}'`);
  o.tuning.pagesMax = Math.floor(bytes / PAGE_BYTES);
};
export const applyVnodes: Apply = (o, value, name) => {
  o.tuning.vnodesMax = parseCount(value, name, 16, 1e9);
};
export const applySyncInterval: Apply = (o, value, name) => {
  o.tuning.syncIntervalMs = parseSeconds(value, name, 10, 3_600_000);
};
export const applyTransport: Apply = (o, value, name) => {
  o.transport = oneOf(value, TRANSPORTS, name);
};
export const applyLogLevel: Apply = (o, value, name) => {
  o.logLevel = oneOf(value, LOG_LEVELS, name);
};

const oneOf = <T extends string>(value: string, allowed: readonly T[], name: string): T => {
  const found = allowed.find((item) => item === value);
  if (found === undefined) throw new Failure('usage', `${name} takes ${allowed.join(', ')}, not '${value}'`);
  return found;
};

const ignore: Apply = () => undefined;

const WITHOUT_VALUE: ReadonlyMap<string, Apply> = new Map<string, Apply>([
  ['ro', (o) => void (o.flags.readOnly = true)],
  ['rw', (o) => void (o.flags.readOnly = false)],
  ['allow_other', (o) => void (o.flags.allowOther = true)],
  ['default_permissions', () => undefined], // always: the kernel checks permissions
  ['noatime', (o) => void (o.flags.noatime = true)],
  ['relatime', (o) => void (o.flags.noatime = false)],
  ['atime', (o) => void (o.flags.noatime = false)],
  ['nosuid', (o) => void (o.flags.nosuid = true)],
  ['suid', (o) => void (o.flags.nosuid = false)],
  ['nodev', (o) => void (o.flags.nodev = true)],
  ['dev', (o) => void (o.flags.nodev = false)],
  ['noexec', (o) => void (o.flags.noexec = true)],
  ['exec', (o) => void (o.flags.noexec = false)],
  ['nonempty', (o) => void (o.nonempty = true)],
  ['writeback_cache', (o) => void (o.tuning.writebackCache = true)],
  ['no_writeback_cache', (o) => void (o.tuning.writebackCache = false)],
  ['rehearsal', (o) => void (o.tuning.rehearsal = true)],
  ['no_rehearsal', (o) => void (o.tuning.rehearsal = false)],
  ['intent_log', (o) => void (o.tuning.intentLog = true)],
  ['no_intent_log', (o) => void (o.tuning.intentLog = false)],
  ...[
    'defaults',
    'auto',
    'noauto',
    'user',
    'nouser',
    'users',
    'owner',
    'group',
    '_netdev',
    'nofail',
    'async',
  ].map((name): [string, Apply] => [name, ignore]),
  ...['nodiratime', 'diratime', 'silent', 'loud'].map((name): [string, Apply] => [name, ignore]),
]);

/** The kernel's own limit stands beside it: the lower of the two is spoken. Below 7.31 the session refuses to serve. */
const applyProtocol: Apply = (options, value) => {
  const match = /^7\.(\d{2})$/.exec(value);
  const minor = Number(match?.[1]);
  if (match === null || minor < 31 || minor > 45)
    throw new Failure('usage', `-o protocol=${value} is no version of FUSE spoken here: give 7.31 to 7.45`);
  options.tuning.protocolMinor = minor;
};

const WITH_VALUE: ReadonlyMap<string, Apply> = new Map<string, Apply>([
  ['uid', (o, value) => void (o.tuning.forcedUid = parseCount(value, '-o uid=', 0, ID_MAX))],
  ['gid', (o, value) => void (o.tuning.forcedGid = parseCount(value, '-o gid=', 0, ID_MAX))],
  ['fsname', (o, value) => void (o.flags.fsname = value)],
  [
    'attr_timeout',
    (o, value) => void (o.tuning.attrTtlMs = parseSeconds(value, '-o attr_timeout=', 0, WEEK_MS)),
  ],
  [
    'entry_timeout',
    (o, value) => void (o.tuning.entryTtlMs = parseSeconds(value, '-o entry_timeout=', 0, WEEK_MS)),
  ],
  ['poll_us', (o, value) => void (o.tuning.pollUs = parseCount(value, '-o poll_us=', 0, 1e6))],
  ['protocol', applyProtocol],
  ['pages', applyPages],
  ['vnodes', applyVnodes],
  ['sync_interval', applySyncInterval],
  ['transport', applyTransport],
  ['log_level', applyLogLevel],
  ['watchdog', (o, value) => void (o.tuning.watchdogMs = parseSeconds(value, '-o watchdog=', 0, WEEK_MS))],
  [
    'stop_timeout',
    (o, value) => void (o.tuning.stopMs = parseSeconds(value, '-o stop_timeout=', 1_000, HOUR_MS)),
  ],
  ['log_file', (o, value) => void (o.logFile = value)],
  ...['comment', 'user', 'subtype', 'helper', 'uhelper'].map((name): [string, Apply] => [name, ignore]),
]);

/** Known to mount(8), but not something this filesystem does. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['strictatime', 'access times are kept as relatime does: leave strictatime out'],
  ['remount', "a mount that is there is changed by 'vnodefs remount MOUNTPOINT -o ro' or rw"],
  [
    'sync',
    'synchronous mounts are not supported: leave sync out, and use fsync or a shorter --sync-interval',
  ],
  ['dirsync', 'synchronous mounts are not supported: leave dirsync out, and use fsync on the directory'],
  ['bind', 'bind mounts are made by mount --bind'],
]);

/** Applies one `-o` list (`ro,uid=5`) to `options`. */
export const applyOptionList = (options: ParsedMountOptions, list: string): void => {
  for (const item of list.split(',')) {
    if (item === '' || /^x-/i.test(item)) continue;
    const cut = item.indexOf('=');
    const name = cut < 0 ? item : item.slice(0, cut);
    const value = cut < 0 ? undefined : item.slice(cut + 1);
    const apply = (value === undefined ? WITHOUT_VALUE : WITH_VALUE).get(name);
    if (apply === undefined) throw refusal(name, value);
    if (value === '' && apply !== ignore)
      throw new Failure('usage', `-o ${name}= has no value: write -o ${name}=VALUE`);
    apply(options, value ?? '', `-o ${name}=`);
  }
};

const refusal = (name: string, value: string | undefined): Failure => {
  const why = REFUSED.get(name);
  if (why !== undefined) return new Failure('usage', why);
  if (value === undefined && WITH_VALUE.has(name))
    return new Failure('usage', `the mount option ${name} needs a value: write -o ${name}=VALUE`);
  if (value !== undefined && WITHOUT_VALUE.has(name))
    return new Failure('usage', `the mount option ${name} takes no value: write -o ${name}`);
  const near = suggest(name, [...WITHOUT_VALUE.keys(), ...WITH_VALUE.keys()]);
  const hint = near === undefined ? "see 'vnodefs mount --help' for the list" : `did you mean ${near}?`;
  return new Failure('usage', `unknown mount option '${name}': ${hint}`);
};
