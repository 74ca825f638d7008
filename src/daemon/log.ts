/**
 * The daemon's log: pino, one JSON object a line, written synchronously so that nothing is lost when the
 * process ends.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { pino } from 'pino';
import { errorText, Failure } from './failure.js';
import type { LogLevel } from './messages.js';

export interface Log {
  write(level: LogLevel, message: string, fields?: Record<string, unknown>): void;
  /** SIGHUP: the file may have been renamed by logrotate(8). */
  reopen(): void;
  flush(): void;
}

export const openLog = (file: string, level: LogLevel): Log => {
  try {
    mkdirSync(dirname(file), { recursive: true });
    const destination = pino.destination({ dest: file, append: true, sync: true });
    const logger = pino(
      { level, timestamp: pino.stdTimeFunctions.isoTime, base: { pid: process.pid } },
      destination,
    );
    return {
      write: (at, message, fields = {}) => logger[at](fields, message),
      reopen: () => destination.reopen(),
      flush: () => destination.flushSync(),
    };
  } catch (error) {
    throw new Failure(
      'general',
      `cannot write the log file ${file} (${errorText(error)}): give another with --log-file`,
    );
  }
};

/** Fields that show an error in the log with its stack and cause. */
export const errorFields = (error: unknown): Record<string, unknown> =>
  error instanceof Error
    ? { stack: error.stack, ...(error.cause === undefined ? {} : { cause: errorText(error.cause) }) }
    : { thrown: String(error) };
