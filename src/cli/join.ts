/**
 * `vnodefs mount STORE MOUNTPOINT --join MOUNTPOINT2`: the daemon of another mount serves this one as well, from the
 * same budgets. What the whole daemon has only one of can't be given with it.
 */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { isOurs, ownerOf } from '../base/mountinfo.js';
import { askOnce } from '../daemon/control-client.js';
import { Failure } from '../daemon/failure.js';
import { occupantOf, resolveMountPoint } from '../daemon/mount-point.js';
import type { ReadyReport } from '../daemon/ready.js';
import { listEntries, type RegistryEntry } from '../daemon/registry.js';
import type { MountSettings } from '../daemon/settings.js';
import type { CliContext } from './context.js';
import type { MountCommandOptions } from './mount.js';

/** The daemon answers after the mount has come up, or failed. */
const JOIN_MS = 90_000;
const ANSWER_MS = 10_000;
const DETACH_MS = 5_000;

const DAEMON_WIDE = ['pages', 'vnodes', 'transport', 'log_file', 'log_level', 'poll_us', 'watchdog'];

/** Throws a usage failure for an option that is the daemon's. */
export const refuseDaemonWide = (given: MountCommandOptions, joined: string): void => {
  const { pages, vnodes, transport, logFile, logLevel, foreground } = given;
  const long: [string, unknown][] = [
    ['--pages', pages],
    ['--vnodes', vnodes],
    ['--transport', transport],
    ['--log-file', logFile],
    ['--log-level', logLevel],
    ['--foreground', foreground],
  ];
  const listed = (given.options ?? [])
    .flatMap((list) => list.split(','))
    .map((item) => item.split('=')[0])
    .filter((name) => DAEMON_WIDE.includes(name))
    .map((name) => `-o ${name}=`);
  const wrong = [...long.filter(([, value]) => value !== undefined).map(([name]) => name), ...listed][0];
  if (wrong !== undefined)
    throw new Failure(
      'usage',
      `${wrong} is the whole daemon's: give it where ${joined} is mounted, not with --join`,
    );
};

/** The registry entry of the mount that is to be joined. */
const entryToJoin = async (context: CliContext, joined: string): Promise<RegistryEntry> => {
  const occupant = await occupantOf(joined, context.host, context.here);
  if (occupant === undefined)
    throw new Failure('mount', `no vnodefs is mounted on ${joined}: 'vnodefs status' lists the mounts`);
  if (ownerOf(occupant.mount) !== context.here.uid)
    throw new Failure(
      'mount',
      `${joined} is another user's mount: its daemon can be joined by its owner only`,
    );
  const entry = occupant.registered?.entry;
  if (occupant.state !== 'live' || entry === undefined)
    throw new Failure('mount', `the daemon of ${joined} is gone or does not answer: mount without --join`);
  return entry;
};

/**
 * A daemon that opens a file on a mount of its own waits for itself. The daemon refuses by path; here by device, which
 * sees through bind mounts.
 */
const refuseOwnMounts = (context: CliContext, { pid }: RegistryEntry, store: string): void => {
  const { dev } = statSync(dirname(store), { bigint: true });
  const entries = listEntries(context.here.uid, context.here).filter(({ entry }) => entry.pid === pid);
  const served = context.host
    .mounts()
    .filter((mount) => isOurs(mount) && entries.some(({ entry }) => entry.mountpoint === mount.mountpoint));
  const own = served.find(({ device }) => deviceNumber(device) === dev);
  if (own !== undefined)
    throw new Failure(
      'mount',
      `the store ${store} lies in ${own.mountpoint}, which the same daemon serves: mount it without --join`,
    );
};

/** `major:minor` as st_dev has it (gnu_dev_makedev(3)). */
const deviceNumber = (device: string): bigint => {
  const [major, minor] = device.split(':').map(BigInt);
  return (minor & 0xffn) | ((major & 0xfffn) << 8n) | ((minor & ~0xffn) << 12n) | ((major & ~0xfffn) << 32n);
};

/** Mounts through the daemon of `path`. Returns its report, and its log file. Throws Failure, everything undone. */
export const join = async (
  context: CliContext,
  settings: MountSettings,
  path: string,
): Promise<{ report: ReadyReport; logFile: string }> => {
  const joined = resolveMountPoint(path);
  const entry = await entryToJoin(context, joined);
  refuseOwnMounts(context, entry, settings.store);
  const report = await askOnce(entry.socket, 'join', JOIN_MS, settings);
  const probe = await context.host.probe(settings.mountpoint, ANSWER_MS);
  if (probe.state === 'alive') return { report, logFile: entry.logFile };
  await context.host.detach(settings.mountpoint, true, DETACH_MS);
  const reason = probe.state === 'unreachable' ? probe.reason : probe.state;
  throw new Failure(
    'timed-out',
    `the mount ${settings.mountpoint} does not answer (${reason}) and was given up: see ${entry.logFile}`,
  );
};
