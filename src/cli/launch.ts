/**
 * Starts the daemon in the background: this same program with `--foreground --ready-fd 3`, in a session of its own, its
 * output in the log file. Returns when the daemon has reported and the mount answers a statfs from this process's side.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { errorText, Failure } from '../daemon/failure.js';
import { parseReport, type ReadyReport, type StartReport } from '../daemon/ready.js';
import type { MountSettings } from '../daemon/settings.js';
import type { CliContext } from './context.js';

/** The descriptor on which the daemon reports. */
export const READY_FD = 3;
const REPORT_MS = 90_000;
const ANSWER_MS = 10_000;

/** `args` is the whole command line after `vnodefs`. */
export const launch = async (
  context: CliContext,
  settings: MountSettings,
  args: readonly string[],
): Promise<ReadyReport> => {
  const daemon = start(context, settings, args);
  try {
    const report = await waitForReport(daemon, settings);
    if (report.kind === 'failed') throw new Failure(report.failure, report.message);
    const probe = await context.host.probe(settings.mountpoint, ANSWER_MS);
    if (probe.state !== 'alive') {
      const reason = probe.state === 'unreachable' ? probe.reason : probe.state;
      throw new Failure(
        'timed-out',
        `the mount ${settings.mountpoint} does not answer (${reason}) and was given up: see ${settings.logFile}`,
      );
    }
    return report;
  } catch (error) {
    daemon.kill('SIGTERM'); // harmless if it has ended; otherwise it detaches the mount
    throw error;
  } finally {
    daemon.unref();
  }
};

const start = (context: CliContext, settings: MountSettings, args: readonly string[]): ChildProcess => {
  const log = openLogFile(settings.logFile);
  try {
    return spawn(process.execPath, [context.script, ...args], {
      detached: true,
      cwd: '/',
      env: { ...context.here.env },
      stdio: ['ignore', log, log, 'pipe'],
    });
  } finally {
    closeSync(log);
  }
};

const openLogFile = (file: string): number => {
  try {
    mkdirSync(dirname(file), { recursive: true });
    return openSync(file, 'a');
  } catch (error) {
    throw new Failure(
      'general',
      `cannot write the log file ${file} (${errorText(error)}): give another with --log-file`,
    );
  }
};

const waitForReport = (daemon: ChildProcess, settings: MountSettings): Promise<StartReport> =>
  new Promise((resolve, reject) => {
    const pipe = daemon.stdio[READY_FD] as Readable;
    let text = '';
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      pipe.destroy();
      act();
    };
    const give = (kind: 'general' | 'timed-out', what: string): void =>
      settle(() => reject(new Failure(kind, `${what}: see ${settings.logFile}`)));
    const timer = setTimeout(
      () => give('timed-out', `the daemon did not report within ${REPORT_MS / 1000} s`),
      REPORT_MS,
    );
    daemon.once('error', (error) => give('general', `the daemon could not be started (${errorText(error)})`));
    pipe.setEncoding('utf8');
    pipe.on('data', (part: string) => {
      text += part;
      const report = text.includes('\n') ? parseReport(text) : undefined;
      if (report !== undefined) settle(() => resolve(report));
    });
    pipe.on('error', () => undefined); // 'close' follows
    pipe.on('close', () => give('general', 'the daemon ended before the mount was ready'));
  });
