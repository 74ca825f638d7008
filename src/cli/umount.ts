/**
 * `vnodefs umount MOUNTPOINT`: the daemon does it (src/daemon/unmounter.ts) and reports; this command asks, waits until
 * what must end has ended, and steps in where a daemon doesn't answer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { ownerOf } from '../base/mountinfo.js';
import { ControlClient } from '../daemon/control-client.js';
import { Failure } from '../daemon/failure.js';
import { describeHolders, mountsBelow } from '../daemon/holders.js';
import { clearStale, occupantOf, resolveMountPoint, type Occupant } from '../daemon/mount-point.js';
import { isAlive } from '../daemon/process-identity.js';
import { findEntry, listEntries, removeEntry, type RegistryEntry } from '../daemon/registry.js';
import { takeDown } from '../daemon/take-down.js';
import {
  describeUnmount,
  ETIMEDOUT,
  leftUnsaved,
  type UnmountMode,
  type UnmountReport,
} from '../daemon/unmount-report.js';
import { type CliContext, type JsonOption, printResult } from './context.js';
import { parseSeconds } from './numbers.js';

interface UmountOptions extends JsonOption {
  writeClose?: true;
  force?: true;
  wait?: true;
  timeout?: string;
}

/** What the options mean. */
interface Wanted {
  mode: UnmountMode;
  wait: boolean;
  timeoutMs: number;
  json: boolean;
}

/** A mount with a daemon. */
interface Target {
  context: CliContext;
  entry: RegistryEntry;
  /** The user whose registry it is in. */
  owner: number;
  /** Undefined: detached already. */
  occupant: Occupant | undefined;
}

const POLL_MS = 10;
const CONNECT_MS = 1_000;
const DAY_MS = 86_400_000;
const PLAIN_MS = 60_000;
/** The daemon's own deadline when it is to end by force; it keeps it, so what comes later is no answer. */
const FORCE_MS = 10_000;
const GRACE_MS = 2_000;
const WAIT_AGAIN_MS = 250;

export const addUmount = (program: Command, context: CliContext): void => {
  program
    .command('umount')
    .description('unmount: returns when everything is on disk and the daemon has gone')
    .argument('<mountpoint>', 'where it is mounted')
    .option(
      '--write-close',
      'close what is open for writing by force; while readers go on, it stays, read-only',
    )
    .option('--force', 'end it whoever uses it; what can be saved in time is saved')
    .option('--wait', 'wait until nobody uses it')
    .option(
      '--timeout <seconds>',
      'the deadline (default: 60; 10 with --write-close or --force; none with --wait)',
    )
    .option('--json', 'report as JSON')
    .action((mountpoint: string, options: UmountOptions) => umount(context, mountpoint, options));
};

const parse = ({ writeClose, force, wait, timeout, json }: UmountOptions): Wanted => {
  if (writeClose && force)
    throw new Failure('usage', '--write-close and --force exclude each other: give one of them');
  if (wait && (writeClose || force))
    throw new Failure('usage', '--wait is for a plain umount: leave out --write-close and --force');
  const mode = force ? 'force' : writeClose ? 'write-close' : 'plain';
  const usual = wait ? Infinity : mode === 'plain' ? PLAIN_MS : FORCE_MS;
  const timeoutMs = timeout === undefined ? usual : parseSeconds(timeout, '--timeout', 0, DAY_MS);
  return { mode, wait: wait === true, timeoutMs, json: json === true };
};

const umount = async (context: CliContext, path: string, options: UmountOptions): Promise<void> => {
  const wanted = parse(options);
  const deadlineMs = performance.now() + wanted.timeoutMs;
  const mountpoint = resolveMountPoint(path);
  const occupant = await occupantOf(mountpoint, context.host, context.here);
  if (occupant?.state === 'stale') {
    const line = await clearStale(occupant, context.host);
    printResult(context, options, { mountpoint, state: 'cleared' }, [line]);
    return;
  }
  const entry = occupant?.registered?.entry ?? detachedEntry(context, mountpoint, occupant);
  if (entry === undefined) {
    if (occupant === undefined) throw nothingThere(mountpoint);
    await detachByKernel(context, occupant, wanted, deadlineMs);
    printUnmounted(context, wanted, mountpoint, occupant.mount.source);
    return;
  }
  const owner = occupant === undefined ? context.here.uid : ownerOf(occupant.mount);
  const target: Target = { context, entry, owner, occupant };
  if (occupant === undefined && wanted.mode !== 'force') await waitForDetached(target, options, deadlineMs);
  else await end(target, wanted, deadlineMs);
};

const printUnmounted = (context: CliContext, { json }: Wanted, mountpoint: string, store: string): void =>
  printResult(context, json ? { json } : {}, { mountpoint, store, state: 'unmounted' }, [
    `unmounted ${store} from ${mountpoint}`,
  ]);

const nothingThere = (mountpoint: string): Failure =>
  new Failure('mount', `no vnodefs is mounted on ${mountpoint}: 'vnodefs status' lists the mounts`);

/** Nothing is mounted there, but perhaps a daemon still serves what was detached. */
const detachedEntry = (
  context: CliContext,
  mountpoint: string,
  occupant: Occupant | undefined,
): RegistryEntry | undefined =>
  occupant === undefined ? findEntry(mountpoint, context.here.uid, context.here)?.entry : undefined;

/** Asks the daemon until it has unmounted, or the deadline comes. */
const end = async (target: Target, wanted: Wanted, deadlineMs: number): Promise<void> => {
  for (;;) {
    const report = await ask(target, wanted, deadlineMs);
    if (report === undefined) return endByKernel(target, wanted, deadlineMs);
    if (report.outcome === 'unmounted') return ended(target, report, wanted);
    if (!wanted.wait || performance.now() > deadlineMs) throw stillUsed(target.context, report, wanted);
    await sleep(WAIT_AGAIN_MS);
  }
};

/** Undefined: the daemon can't be reached, and a plain umount need not ask it. */
const ask = async (
  { context, entry }: Target,
  { mode, timeoutMs }: Wanted,
  deadlineMs: number,
): Promise<UnmountReport | undefined> => {
  const client = await ControlClient.open(entry.socket, CONNECT_MS).catch(() => undefined);
  if (client === undefined && mode === 'plain') return undefined;
  const limitMs =
    mode === 'plain' ? Math.min(PLAIN_MS, Math.max(100, deadlineMs - performance.now())) : timeoutMs;
  try {
    if (client === undefined) throw new Failure('timed-out', `the daemon (pid ${entry.pid}) does not answer`);
    return await client.ask('unmount', limitMs + GRACE_MS, { mode, timeoutMs: limitMs });
  } catch (error) {
    if (mode === 'force') return takeDown(entry, context.host);
    if (!(error instanceof Failure)) throw error;
    throw new Failure(
      error.kind,
      `${entry.mountpoint} was not unmounted: ${error.message} (--force ends it)`,
    );
  } finally {
    client?.close();
  }
};

/** As umount(8): the kernel asks nobody, and the daemon sees it. */
const endByKernel = async (target: Target, wanted: Wanted, deadlineMs: number): Promise<void> => {
  const { context, entry, occupant } = target;
  if (occupant !== undefined) await detachByKernel(context, occupant, wanted, deadlineMs);
  const what = `${entry.mountpoint} is detached, but its daemon (pid ${entry.pid})`;
  await waitUntilEnded(target, deadlineMs, what);
  printUnmounted(context, wanted, entry.mountpoint, entry.store);
};

/** The mount has ended: with its daemon, unless that serves other mounts too. */
const hasEnded = ({ context, entry, owner }: Target): boolean => {
  if (!isAlive(entry)) return true;
  const served = listEntries(owner, context.here)
    .map((registered) => registered.entry)
    .filter(({ pid, startTicks }) => pid === entry.pid && startTicks === entry.startTicks);
  return served.length > 0 && served.every(({ socket }) => socket !== entry.socket);
};

const waitUntilEnded = async (target: Target, deadlineMs: number, what: string): Promise<void> => {
  const { entry } = target;
  while (!hasEnded(target)) {
    if (performance.now() > deadlineMs)
      throw new Failure(
        'timed-out',
        `${what} has not ended yet: files may still be open there (--force ends it), see ${entry.logFile}`,
      );
    await sleep(POLL_MS);
  }
};

const ended = async (target: Target, report: UnmountReport, { json }: Wanted): Promise<void> => {
  const { context, entry } = target;
  const what = `${entry.mountpoint} is unmounted, but its daemon (pid ${entry.pid})`;
  await waitUntilEnded(target, performance.now() + FORCE_MS, what);
  const lines = describeUnmount(report);
  printResult(context, json ? { json } : {}, { ...report, state: 'unmounted' }, lines);
  if (report.errno === 0 && !leftUnsaved(report.dropped)) return;
  const why = report.reason || (report.dropped[0]?.reason ?? 'lost');
  throw new Failure(
    'general',
    `${entry.mountpoint} is unmounted, but its last changes could not be saved (${why}): see ${entry.logFile}`,
  );
};

const stillUsed = (context: CliContext, report: UnmountReport, { json, mode, wait }: Wanted): Failure => {
  const { mountpoint, holders, mountsBelow: below, outcome, reason, errno } = report;
  if (json) printResult(context, { json }, { ...report, state: outcome }, []);
  if (errno !== 0) {
    const kind = errno === ETIMEDOUT ? 'timed-out' : 'general';
    return new Failure(kind, `${mountpoint} was not unmounted, and goes on: ${reason} (--force ends it)`);
  }
  const who =
    below.length > 0
      ? `unmount ${below.join(', ')} first`
      : holders.length === 0
        ? `look for who uses it with 'fuser -vm ${mountpoint}' as root`
        : `end ${describeHolders(holders)} first`;
  const means = mode === 'plain' && !wait ? ', or give --wait, --write-close or --force' : '';
  return outcome === 'read-only'
    ? new Failure('busy', `${mountpoint} is read-only now, but still used: ${who}, or give --force`)
    : new Failure('busy', `${mountpoint} is busy: ${who}${means}`);
};

/** Another user's, or one whose daemon can't be asked: only the kernel can be. Throws a Failure unless it is detached. */
const detachByKernel = async (
  context: CliContext,
  { mount }: Occupant,
  wanted: Wanted,
  deadlineMs: number,
): Promise<void> => {
  const { mountpoint } = mount;
  const limitMs = Math.min(PLAIN_MS, Math.max(0, deadlineMs - performance.now()));
  const detached = await context.host.detach(mountpoint, wanted.mode === 'force', limitMs);
  switch (detached.outcome) {
    case 'done':
    case 'not-mounted':
      return;
    case 'busy': {
      const holders = context.host.holders(mount);
      const below = mountsBelow(mount, context.host.mounts());
      throw stillUsed(
        context,
        { ...emptyReport(mount.source, mountpoint), holders, mountsBelow: below },
        wanted,
      );
    }
    case 'timed-out':
      throw new Failure(
        'timed-out',
        `${mountpoint} was not unmounted within ${wanted.timeoutMs / 1000} s: try again with a longer --timeout`,
      );
    case 'failed':
      throw new Failure('mount', `cannot unmount ${mountpoint}: ${detached.reason}`);
  }
};

const emptyReport = (store: string, mountpoint: string): UnmountReport => ({
  mountpoint,
  store,
  mode: 'plain',
  outcome: 'busy',
  holders: [],
  mountsBelow: [],
  cutOff: [],
  flushed: { files: 0, bytes: 0 },
  dropped: [],
  droppedMore: 0,
  phases: [],
  errno: 0,
  reason: '',
});

/** Detached by somebody else (umount -l, perhaps): the daemon serves on until the last file is closed. */
const waitForDetached = async (target: Target, options: UmountOptions, deadlineMs: number): Promise<void> => {
  const { context, entry } = target;
  const { mountpoint, store } = entry;
  await waitUntilEnded(
    target,
    deadlineMs,
    `${mountpoint} was detached already, but its daemon (pid ${entry.pid})`,
  );
  const registered = findEntry(mountpoint, context.here.uid, context.here);
  if (registered !== undefined) removeEntry(registered);
  printResult(context, options, { mountpoint, store, state: 'ended' }, [
    `${mountpoint} was detached already, and its daemon has ended`,
  ]);
};
