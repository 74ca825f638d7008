/**
 * The daemon process around a {@link MountService}: log, signals, control socket, registry entry, and an end
 * that always comes.
 */
import { rmSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { ControlServer } from './control-server.js';
import type { EndResult } from './control-protocol.js';
import { asFailure, Failure } from './failure.js';
import { runCommand, type Host } from './host.js';
import { openLog, type Log } from './log.js';
import type { Surroundings } from './places.js';
import type { DaemonPorts } from './ports.js';
import { identify } from './process-identity.js';
import { failedReport, type StartReport } from './ready.js';
import { registryFiles, removeEntry, writeEntry, type Registered } from './registry.js';
import { MountService, type Started } from './service.js';
import type { MountSettings } from './settings.js';

/** Serves the mount and ends the process: never returns normally. `report` is called exactly once. */
export const runDaemon = async (
  settings: MountSettings,
  ports: DaemonPorts,
  host: Host,
  here: Surroundings,
  report: (report: StartReport) => void,
  exitCodeOf: (failure: Failure) => number,
): Promise<never> => {
  let log: Log | undefined;
  let exitCode: number;
  try {
    process.chdir('/'); // or the directory we were started in could not be unmounted or removed
    log = openLog(settings.logFile, settings.logLevel);
    exitCode = await serve(settings, ports, host, here, log, report);
  } catch (error) {
    const failure = asFailure(error);
    log?.write('error', failure.message, { stack: failure.stack });
    report(failedReport(failure));
    exitCode = exitCodeOf(failure);
  }
  log?.flush();
  return ports.system.exit(exitCode);
};

/** Throws only before `report` has been called. Returns the exit code. */
const serve = async (
  settings: MountSettings,
  ports: DaemonPorts,
  host: Host,
  here: Surroundings,
  log: Log,
  report: (report: StartReport) => void,
): Promise<number> => {
  const { file, socket } = registryFiles(settings.mountpoint, here);
  const service = new MountService(settings, ports, host, log);
  const asked = new Promise<EndResult>((resolve) => {
    void service.ended.then(({ errno, reason }) => resolve({ errno, reason }));
  });
  const server = new ControlServer({
    status: async () => service.status(),
    sync: async () => service.sync(),
    end: () => asked,
  });
  watchProcess(service, log);
  await server.listen(socket);
  let registered: Registered | undefined;
  try {
    const started = await service.start();
    registered = { file, entry: entryOf(settings, socket) };
    writeEntry(file, registered.entry);
    report(readyReport(settings, started));
  } catch (error) {
    await service.fail(asFailure(error)); // mounted, but not registered: undo that too
    await server.close();
    rmSync(socket, { force: true });
    throw error;
  }
  if (process.env.NOTIFY_SOCKET)
    await runCommand('systemd-notify', ['--ready', `--pid=${process.pid}`], 2_000);
  const end = await service.ended;
  await setImmediate(); // lets the answers to 'end' be written before their connections are closed
  await server.close();
  removeEntry(registered);
  return end.exitCode;
};

const entryOf = (settings: MountSettings, socket: string): Registered['entry'] => ({
  ...identify(process.pid),
  mountpoint: settings.mountpoint,
  store: settings.store,
  transport: transportOf(settings),
  logFile: settings.logFile,
  socket,
  startedMs: Date.now(),
});

const transportOf = ({ transport }: MountSettings): string => (transport === 'auto' ? 'kernel' : transport);

const readyReport = (settings: MountSettings, { created, protocol }: Started): StartReport => ({
  kind: 'ready',
  pid: process.pid,
  transport: transportOf(settings),
  protocol,
  created,
});

const watchProcess = (service: MountService, log: Log): void => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void service.stop(signal));
  process.on('SIGHUP', () => {
    log.reopen();
    log.write('info', 'log file reopened');
  });
  process.on('uncaughtException', (error) => void service.fail(error));
  process.on('unhandledRejection', (reason) => {
    void service.fail(reason instanceof Error ? reason : new Error(String(reason)));
  });
};
