/**
 * What a daemon started in the background tells the command that started it: one line of JSON on an inherited
 * descriptor.
 */
import { closeSync, writeSync } from 'node:fs';
import { FAILURE_KINDS, type Failure, type FailureKind } from './failure.js';

export interface ReadyReport {
  kind: 'ready';
  pid: number;
  transport: string;
  /** Why it is this one. */
  transportReason: string;
  protocol: string;
  created: boolean;
}
export interface FailedReport {
  kind: 'failed';
  failure: FailureKind;
  message: string;
}
export type StartReport = ReadyReport | FailedReport;

export const failedReport = ({ kind, message }: Failure): FailedReport => ({
  kind: 'failed',
  failure: kind,
  message,
});

/** Writes the report and closes `fd`. The starter may have gone: then nobody needs it. */
export const sendReport = (fd: number, report: StartReport): void => {
  try {
    writeSync(fd, `${JSON.stringify(report)}\n`);
    closeSync(fd);
  } catch {
    // EPIPE: the starter was interrupted. The mount goes on; `vnodefs status` shows it.
  }
};

/** Undefined if the daemon ended without a (whole) report. */
export const parseReport = (text: string): StartReport | undefined => {
  try {
    const report = JSON.parse(text) as Partial<StartReport>;
    if (report.kind === 'ready' && typeof report.pid === 'number') return report as ReadyReport;
    if (report.kind === 'failed' && FAILURE_KINDS.some((kind) => kind === report.failure))
      return report as FailedReport;
    return undefined;
  } catch {
    return undefined;
  }
};
