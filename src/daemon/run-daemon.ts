/** The daemon process around its {@link Daemon}: log, signals, and an end that always comes. */
import { Daemon } from './daemon.js';
import { asFailure, type Failure } from './failure.js';
import { runCommand, type Host } from './host.js';
import { openLog, type Log } from './log.js';
import type { Surroundings } from './places.js';
import type { DaemonPorts } from './ports.js';
import { failedReport, type StartReport } from './ready.js';
import type { MountSettings } from './settings.js';

/** Serves the mount, and those that join it, and ends the process: never returns normally. `report` is called exactly once. */
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
    const daemon = new Daemon(settings, ports, host, here, log);
    watchProcess(daemon, log);
    report(await daemon.mount(settings));
    if (process.env.NOTIFY_SOCKET)
      await runCommand('systemd-notify', ['--ready', `--pid=${process.pid}`], 2_000);
    exitCode = await daemon.ended;
  } catch (error) {
    const failure = asFailure(error);
    log?.write('error', failure.message, { stack: failure.stack });
    report(failedReport(failure));
    exitCode = exitCodeOf(failure);
  }
  log?.flush();
  return ports.system.exit(exitCode);
};

const watchProcess = (daemon: Daemon, log: Log): void => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => daemon.stop(signal));
  process.on('SIGHUP', () => {
    log.reopen();
    log.write('info', 'log file reopened');
  });
  process.on('uncaughtException', (error) => daemon.fail(error));
  process.on('unhandledRejection', (reason) => {
    daemon.fail(reason instanceof Error ? reason : new Error(String(reason)));
  });
};
