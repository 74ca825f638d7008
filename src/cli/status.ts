/**
 * `vnodefs status [MOUNTPOINT]`: what is mounted and how it is, from the registry, the sockets and
 * /proc/self/mountinfo.
 */
import type { Command } from 'commander';
import { askOnce } from '../daemon/control-client.js';
import { Failure } from '../daemon/failure.js';
import type { DispatcherStatus } from '../daemon/messages.js';
import { judge, resolveMountPoint } from '../daemon/mount-point.js';
import { isOurs, type MountEntry } from '../base/mountinfo.js';
import { isAlive } from '../daemon/process-identity.js';
import { listEntries, type RegistryEntry } from '../daemon/registry.js';
import { type CliContext, type JsonOption, printResult } from './context.js';
import { formatSize } from './numbers.js';

/**
 * Beside the dispatcher's own states: `stale` its daemon has gone; `not-answering` it lives but doesn't answer;
 * `detached` it lives on without a mount point (lazily unmounted, files still open); `foreign` another user's.
 */
export type MountState = DispatcherStatus['state'] | 'stale' | 'not-answering' | 'detached' | 'foreign';

export interface MountReport extends Partial<Omit<DispatcherStatus, 'state'>> {
  mountpoint: string;
  store: string;
  pid: number | null;
  transport: string | null;
  transportReason?: string;
  state: MountState;
  logFile: string | null;
}

const ANSWER_MS = 2_000;
/** A large cache is looked at wholly. */
const CHECK_MS = 60_000;
const PAGE_BYTES = 4096;

export const addStatus = (program: Command, context: CliContext): void => {
  program
    .command('status')
    .description('list the mounts, or show one')
    .argument('[mountpoint]', 'only this one')
    .option('--check', "check the daemon's bookkeeping; its mounts pause meanwhile")
    .option('--json', 'report as JSON')
    .action((mountpoint: string | undefined, options: StatusOptions) => status(context, mountpoint, options));
};

interface StatusOptions extends JsonOption {
  check?: boolean;
}

const status = async (
  context: CliContext,
  path: string | undefined,
  options: StatusOptions,
): Promise<void> => {
  const wanted = path === undefined ? undefined : resolveMountPoint(path);
  const all = await collectReports(context, options.check);
  const mounts = wanted === undefined ? all : all.filter(({ mountpoint }) => mountpoint === wanted);
  if (wanted !== undefined && mounts.length === 0)
    throw new Failure('mount', `no vnodefs is mounted on ${wanted}: 'vnodefs status' lists the mounts`);
  const lines = mounts.length === 0 ? ['no vnodefs is mounted'] : formatTable(mounts);
  printResult(
    context,
    options,
    { mounts },
    wanted === undefined ? lines : lines.concat(formatDetails(mounts)),
  );
  if (options.check === true) requireSound(mounts);
};

/** Throws a Failure if a check found anything, or couldn't be made. */
const requireSound = (mounts: readonly MountReport[]): void => {
  for (const { mountpoint, broken, state } of mounts) {
    if (broken === undefined)
      throw new Failure('general', `${mountpoint} was not checked: its state is ${state}`);
    if (broken.length > 0) {
      const more = broken.length > 1 ? ` (and ${broken.length - 1} more: see --json)` : '';
      throw new Failure(
        'general',
        `the daemon of ${mountpoint} has a bug: ${broken[0]}${more}; unmount soon, then run 'vnodefs fsck'`,
      );
    }
  }
};

export const collectReports = async (context: CliContext, check = false): Promise<MountReport[]> => {
  const ours = context.host.mounts().filter(isOurs);
  const mounted = await Promise.all(ours.map((mount) => reportMount(context, mount, check)));
  const detached = listEntries(context.here.uid, context.here)
    .filter(({ entry }) => isAlive(entry) && !mounted.some((report) => isSame(report, entry)))
    .map(({ entry }) => fromEntry(entry, 'detached'));
  return [...mounted, ...detached];
};

const isSame = ({ pid, mountpoint }: MountReport, entry: RegistryEntry): boolean =>
  pid === entry.pid && mountpoint === entry.mountpoint;

const fromEntry = (entry: RegistryEntry, state: MountState): MountReport => {
  const { mountpoint, store, pid, transport, transportReason, logFile } = entry;
  return { mountpoint, store, pid, transport, transportReason, state, logFile };
};

const reportMount = async (context: CliContext, mount: MountEntry, check: boolean): Promise<MountReport> => {
  const { state, registered } = await judge(mount, context.host, context.here);
  if (registered === undefined) {
    const { mountpoint, source: store } = mount;
    const shown = state === 'stale' ? 'stale' : state === 'hung' ? 'not-answering' : 'foreign';
    return { mountpoint, store, pid: null, transport: null, state: shown, logFile: null };
  }
  const { entry } = registered;
  if (state !== 'live') return fromEntry(entry, state === 'stale' ? 'stale' : 'not-answering');
  try {
    return {
      ...fromEntry(entry, 'running'),
      ...(await askOnce(entry.socket, 'status', check ? CHECK_MS : ANSWER_MS, { check })),
    };
  } catch {
    return fromEntry(entry, 'not-answering');
  }
};

const HEADINGS = ['MOUNTPOINT', 'STORE', 'PID', 'TRANSPORT', 'STATE'];

export const formatTable = (mounts: readonly MountReport[]): string[] => {
  const rows = [
    HEADINGS,
    ...mounts.map((m) => [m.mountpoint, m.store, String(m.pid ?? '-'), m.transport ?? '-', m.state]),
  ];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  );
};

const formatDetails = (mounts: readonly MountReport[]): string[] =>
  mounts.flatMap(
    ({
      broken,
      logFile,
      transport,
      transportReason,
      reason,
      protocol,
      vnodes,
      pages,
      txg,
      walBytes,
      handles,
    }) => [
      ...(logFile === null ? [] : [`log: ${logFile}`]),
      ...(transportReason === undefined ? [] : [`transport: ${transport} (${transportReason})`]),
      ...(reason ? [`reason: ${reason}`] : []),
      ...(protocol === undefined ? [] : [`protocol: ${protocol}`]),
      ...(vnodes === undefined
        ? []
        : [`vnodes: ${vnodes.resident} of ${vnodes.max}, ${vnodes.active} active`]),
      ...(handles === undefined ? [] : [`open handles: ${handles}`]),
      ...(pages === undefined
        ? []
        : [`pages: ${formatSize(pages.resident * PAGE_BYTES)} of ${formatSize(pages.max * PAGE_BYTES)}`]),
      ...(pages === undefined ? [] : [`not yet written: ${formatSize(pages.dirty * PAGE_BYTES)}`]),
      ...(txg === undefined
        ? []
        : [`transaction group: ${txg.open} open, ${txg.committed} committed, ${txg.durable} durable`]),
      ...(broken?.length === 0 ? ['check: all is well'] : []),
      ...(walBytes === undefined ? [] : [`write-ahead log: ${formatSize(walBytes)}`]),
    ],
  );
