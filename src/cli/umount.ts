/** `vnodefs umount MOUNTPOINT`: returns when everything is on disk and the daemon has gone. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { ControlClient } from '../daemon/control-client.js';
import type { EndResult } from '../daemon/control-protocol.js';
import { Failure } from '../daemon/failure.js';
import { describeHolders, findHolders } from '../daemon/holders.js';
import { ownerOf } from '../base/mountinfo.js';
import { clearStale, occupantOf, resolveMountPoint, type Occupant } from '../daemon/mount-point.js';
import { isAlive } from '../daemon/process-identity.js';
import { listEntries, removeEntry, type RegistryEntry } from '../daemon/registry.js';
import { type CliContext, type JsonOption, printResult } from './context.js';
import { parseSeconds } from './numbers.js';

interface UmountOptions extends JsonOption {
  timeout: string;
}

const POLL_MS = 10;
const CONNECT_MS = 1_000;

export const addUmount = (program: Command, context: CliContext): void => {
  program
    .command('umount')
    .description('unmount: returns when everything is on disk and the daemon has gone')
    .argument('<mountpoint>', 'where it is mounted')
    .option('--timeout <seconds>', 'give up waiting after this long', '60')
    .option('--json', 'report as JSON')
    .action((mountpoint: string, options: UmountOptions) => umount(context, mountpoint, options));
};

const umount = async (context: CliContext, path: string, options: UmountOptions): Promise<void> => {
  const timeoutMs = parseSeconds(options.timeout, '--timeout', 0, 86_400_000);
  const deadlineMs = performance.now() + timeoutMs;
  const mountpoint = resolveMountPoint(path);
  const occupant = await occupantOf(mountpoint, context.host, context.here);
  if (occupant === undefined) return finishDetached(context, mountpoint, options, deadlineMs);
  if (occupant.state === 'stale') {
    const line = await clearStale(occupant, context.host);
    printResult(context, options, { mountpoint, state: 'cleared' }, [line]);
    return;
  }
  const entry = occupant.registered?.entry;
  const client = entry === undefined ? undefined : await connectTo(entry);
  try {
    const ended = client?.ask('end', Infinity).catch(() => undefined);
    await detach(context, occupant, options, timeoutMs);
    if (entry !== undefined) {
      await waitForEnd(
        context,
        ownerOf(occupant.mount),
        entry,
        deadlineMs,
        `${mountpoint} is detached, but its daemon (pid ${entry.pid})`,
      );
      checkEnd(mountpoint, entry, await ended);
    }
  } finally {
    client?.close();
  }
  const store = entry?.store ?? occupant.mount.source;
  printResult(context, options, { mountpoint, store, state: 'unmounted' }, [
    `unmounted ${store} from ${mountpoint}`,
  ]);
};

const connectTo = (entry: RegistryEntry): Promise<ControlClient | undefined> =>
  ControlClient.open(entry.socket, CONNECT_MS).catch(() => undefined); // then its exit alone must tell

const detach = async (
  context: CliContext,
  occupant: Occupant,
  options: UmountOptions,
  timeoutMs: number,
): Promise<void> => {
  const { mountpoint } = occupant.mount;
  const detached = await context.host.detach(mountpoint, false, timeoutMs);
  switch (detached.outcome) {
    case 'done':
    case 'not-mounted':
      return;
    case 'busy':
      throw busy(context, occupant, options);
    case 'timed-out':
      throw new Failure(
        'timed-out',
        `${mountpoint} was not unmounted within ${timeoutMs / 1000} s: try again with a longer --timeout`,
      );
    case 'failed':
      throw new Failure('mount', `cannot unmount ${mountpoint}: ${detached.reason}`);
  }
};

const busy = (context: CliContext, { mount }: Occupant, options: UmountOptions): Failure => {
  const holders = findHolders(mount);
  if (options.json)
    printResult(context, options, { mountpoint: mount.mountpoint, state: 'busy', holders }, []);
  const who =
    holders.length === 0
      ? `look for who uses it with 'fuser -vm ${mount.mountpoint}' as root`
      : `end ${describeHolders(holders)} first`;
  return new Failure('busy', `${mount.mountpoint} is busy: ${who}`);
};

/** Nothing of ours is mounted there: perhaps it was detached by somebody else, and the daemon is just finishing. */
const finishDetached = async (
  context: CliContext,
  mountpoint: string,
  options: UmountOptions,
  deadlineMs: number,
): Promise<void> => {
  const registered = listEntries(context.here.uid, context.here).find(
    ({ entry }) => entry.mountpoint === mountpoint,
  );
  if (registered === undefined)
    throw new Failure('mount', `no vnodefs is mounted on ${mountpoint}: 'vnodefs status' lists the mounts`);
  const { entry } = registered;
  const what = `${mountpoint} was detached already, but its daemon (pid ${entry.pid})`;
  await waitForEnd(context, context.here.uid, entry, deadlineMs, what);
  removeEntry(registered);
  printResult(context, options, { mountpoint, store: entry.store, state: 'ended' }, [
    `${mountpoint} was detached already, and its daemon has ended`,
  ]);
};

/** The mount has ended: with its daemon, unless that serves other mounts too. */
const hasEnded = (context: CliContext, owner: number, entry: RegistryEntry): boolean => {
  if (!isAlive(entry)) return true;
  const served = listEntries(owner, context.here)
    .map((registered) => registered.entry)
    .filter(({ pid, startTicks }) => pid === entry.pid && startTicks === entry.startTicks);
  return served.length > 0 && served.every(({ socket }) => socket !== entry.socket);
};

const waitForEnd = async (
  context: CliContext,
  owner: number,
  entry: RegistryEntry,
  deadlineMs: number,
  what: string,
): Promise<void> => {
  while (!hasEnded(context, owner, entry)) {
    if (performance.now() > deadlineMs)
      throw new Failure(
        'timed-out',
        `${what} has not ended yet: files may still be open there, see ${entry.logFile}`,
      );
    await sleep(POLL_MS);
  }
};

const checkEnd = (mountpoint: string, entry: RegistryEntry, end: EndResult | undefined): void => {
  if (end !== undefined && end.errno !== 0)
    throw new Failure(
      'general',
      `${mountpoint} is unmounted, but its last changes could not be saved (${end.reason}): see ${entry.logFile}`,
    );
};
