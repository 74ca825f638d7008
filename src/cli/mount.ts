/** `vnodefs mount STORE MOUNTPOINT`: mounts a store, in the background unless told otherwise. */
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { asFailure } from '../daemon/failure.js';
import {
  prepareMountPoint,
  refuseOnOwnMount,
  resolveMountPoint,
  resolveStore,
} from '../daemon/mount-point.js';
import { defaultLogFile, runtimeDir } from '../daemon/places.js';
import { failedReport, sendReport, type StartReport } from '../daemon/ready.js';
import { runDaemon } from '../daemon/run-daemon.js';
import type { MountSettings } from '../daemon/settings.js';
import { type CliContext, type JsonOption, printResult } from './context.js';
import { exitCodeOf } from './exit-codes.js';
import { join, refuseDaemonWide } from './join.js';
import { launch, READY_FD } from './launch.js';
import {
  applyLogLevel,
  applyOptionList,
  applyPages,
  applySyncInterval,
  applyTransport,
  applyVnodes,
  defaultMountOptions,
  type ParsedMountOptions,
} from './mount-options.js';

/** As commander gives them: unparsed text. */
export interface MountCommandOptions extends JsonOption {
  options?: string[];
  foreground?: true;
  pages?: string;
  vnodes?: string;
  syncInterval?: string;
  transport?: string;
  logFile?: string;
  logLevel?: string;
  traceFile?: string;
  readyFd?: string;
  /** A mount point whose daemon is to serve this mount too. */
  join?: string;
}

const OPTION_HELP = `
Mount options (-o): ro, allow_other, default_permissions, noatime, relatime, nosuid, nodev, noexec,
  uid=N, gid=N, fsname=NAME, nonempty, and for fstab pages=, vnodes=, sync_interval=, transport=,
  log_file=, log_level=. Options that only mount(8), fstab or systemd use are ignored.`;

export const addMount = (program: Command, context: CliContext): void => {
  const collect = (list: string, previous: string[] = []): string[] => [...previous, list];
  program
    .command('mount')
    .description('mount a store, making it if it is missing')
    .argument('<store>', 'the SQLite file')
    .argument('<mountpoint>', 'an empty directory')
    .addOption(new Option('-o, --options <list>', 'mount options, separated by commas').argParser(collect))
    .option('--join <mountpoint>', 'let the daemon of that mount serve this one too')
    .option('--foreground', 'do not go on in the background')
    .option('--pages <size>', 'memory for file pages (default: 256MiB)')
    .option('--vnodes <n>', 'files kept in memory (default: 100000)')
    .option('--sync-interval <seconds>', 'longest time that changes stay in memory only (default: 5)')
    .option('--transport <name>', 'auto, kernel or fuse-native (default: auto)')
    .option('--log-file <file>', 'where the daemon logs')
    .option('--log-level <level>', 'debug, info, warn or error (default: info)')
    .option('--json', 'report as JSON')
    .addOption(new Option('--trace-file <file>', 'a line for each FUSE request').hideHelp())
    .addOption(new Option('--ready-fd <fd>').hideHelp())
    .addHelpText('after', OPTION_HELP)
    .action((store: string, mountpoint: string, options: MountCommandOptions) =>
      mount(context, store, mountpoint, options),
    );
};

/** Long options win over `-o`. Throws usage failures. */
export const parseMountCommand = (given: MountCommandOptions): ParsedMountOptions => {
  const parsed = defaultMountOptions();
  for (const list of given.options ?? []) applyOptionList(parsed, list);
  if (given.pages !== undefined) applyPages(parsed, given.pages, '--pages');
  if (given.vnodes !== undefined) applyVnodes(parsed, given.vnodes, '--vnodes');
  if (given.syncInterval !== undefined) applySyncInterval(parsed, given.syncInterval, '--sync-interval');
  if (given.transport !== undefined) applyTransport(parsed, given.transport, '--transport');
  if (given.logLevel !== undefined) applyLogLevel(parsed, given.logLevel, '--log-level');
  if (given.logFile !== undefined) parsed.logFile = given.logFile;
  if (given.traceFile !== undefined) parsed.tuning.traceFile = resolve(given.traceFile);
  return parsed;
};

/** The same command for the daemon: paths resolved, in the foreground, reporting on the inherited descriptor. */
export const daemonArgs = (settings: MountSettings, given: MountCommandOptions): string[] => {
  const args = ['mount', settings.store, settings.mountpoint];
  for (const list of given.options ?? []) args.push('-o', list);
  const passed: [string, string | undefined][] = [
    ['--pages', given.pages],
    ['--vnodes', given.vnodes],
    ['--sync-interval', given.syncInterval],
    ['--transport', given.transport],
    ['--log-file', settings.logFile],
    ['--log-level', given.logLevel],
    ['--trace-file', settings.tuning.traceFile],
  ];
  for (const [name, value] of passed) if (value !== undefined) args.push(name, value);
  return [...args, '--foreground', '--ready-fd', String(READY_FD)];
};

export const mount = async (
  context: CliContext,
  storePath: string,
  mountpointPath: string,
  given: MountCommandOptions,
): Promise<void> => {
  const parsed = parseMountCommand(given);
  if (given.join !== undefined) refuseDaemonWide(given, given.join);
  const mountpoint = resolveMountPoint(mountpointPath);
  const cleared = await prepareMountPoint(mountpoint, parsed.nonempty, context.host, context.here);
  if (!given.json) for (const line of cleared) context.out(`${line}\n`);
  const store = resolveStore(storePath, mountpoint);
  const logFile = resolve(parsed.logFile ?? defaultLogFile(mountpoint, context.here));
  const { transport, flags, tuning, logLevel } = parsed;
  refuseOnOwnMount(logFile, mountpoint, 'the log', 'give another with --log-file');
  refuseOnOwnMount(runtimeDir(context.here), mountpoint, 'the runtime directory', 'set VNODEFS_RUNTIME_DIR');
  if (tuning.traceFile !== undefined)
    refuseOnOwnMount(tuning.traceFile, mountpoint, 'the trace', 'give another with --trace-file');
  const settings: MountSettings = { store, mountpoint, transport, flags, tuning, logFile, logLevel };
  const report = (started: StartReport): void => reportStart(context, settings, given, cleared, started);
  if (given.join !== undefined) {
    const joined = await join(context, settings, given.join);
    reportStart(context, { ...settings, logFile: joined.logFile }, given, cleared, joined.report);
    return;
  }
  if (given.foreground) {
    const fd = given.readyFd === undefined ? undefined : Number(given.readyFd);
    const tell = fd === undefined ? report : (started: StartReport): void => sendReport(fd, started);
    const ports = await context.loadDaemonPorts(transport).catch((error: unknown) => {
      if (fd !== undefined) tell(failedReport(asFailure(error)));
      throw error;
    });
    await runDaemon(settings, ports, context.host, context.here, tell, ({ kind }) => exitCodeOf(kind));
    return;
  }
  report(await launch(context, settings, daemonArgs(settings, given)));
};

const reportStart = (
  context: CliContext,
  settings: MountSettings,
  given: JsonOption,
  cleared: string[],
  started: StartReport,
): void => {
  if (started.kind === 'failed') {
    context.err(`vnodefs: ${started.message}\n`);
    return;
  }
  const { store, mountpoint, logFile } = settings;
  const { pid, transport, transportReason, protocol, created } = started;
  const result = { mountpoint, store, pid, transport, transportReason, protocol, logFile, created, cleared };
  printResult(context, given, result, [
    `${created ? 'made and mounted' : 'mounted'} ${store} on ${mountpoint} (pid ${pid}, log ${logFile})`,
  ]);
};
