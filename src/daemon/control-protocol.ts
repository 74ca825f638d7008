/**
 * The control socket's language: one JSON object a line, each request answered by one line with its `id`. Requests may
 * be answered out of order. The socket is the owner's (and root's) only, by the mode of its directory.
 */
import { Failure, FAILURE_KINDS, type FailureKind } from './failure.js';
import type { DispatcherStatus } from './messages.js';
import type { ReadyReport } from './ready.js';
import type { RemountReport, RemountRequest } from './remount.js';
import type { MountSettings } from './settings.js';
import type { UnmountReport, UnmountRequest } from './unmount-report.js';

/**
 * `unmount` is answered when the mount has ended, or why it goes on. `end` is answered when the mount has ended: with
 * what became of the last changes. `join` mounts one more store in the same daemon. All others are about the mount that
 * the socket belongs to.
 */
export const CONTROL_OPS = ['status', 'sync', 'end', 'join', 'unmount', 'remount'] as const;
export type ControlOp = (typeof CONTROL_OPS)[number];

/** `args` are for the operation to judge: they come from another process. */
export interface ControlRequest {
  id: number;
  op: ControlOp;
  args?: unknown;
}

/** What each operation takes; `undefined`: nothing. */
export interface ControlArgs {
  status: { check: boolean } | undefined;
  sync: undefined;
  end: undefined;
  join: MountSettings;
  unmount: UnmountRequest;
  remount: RemountRequest;
}

/** How the daemon ended; `errno` 0 when everything is on disk. */
export interface EndResult {
  errno: number;
  reason: string;
}

export interface ControlResults {
  status: DispatcherStatus;
  sync: EndResult;
  end: EndResult;
  join: ReadyReport;
  unmount: UnmountReport;
  remount: RemountReport;
}

export type ControlReply =
  | { id: number; ok: true; result: ControlResults[ControlOp] }
  | { id: number; ok: false; error: string; failure?: FailureKind };

/** The failure that a reply tells of; one without a kind is about the request itself. */
export const failureOf = ({ error, failure }: Extract<ControlReply, { ok: false }>): Failure =>
  failure !== undefined && FAILURE_KINDS.includes(failure)
    ? new Failure(failure, error)
    : new Failure('general', `the daemon refused: ${error}`);

/** A peer whose line grows past this is cut off. */
export const LINE_BYTES_MAX = 1 << 20;

/** Splits a byte stream into lines; throws RangeError past {@link LINE_BYTES_MAX}. */
export class LineSplitter {
  #rest = '';
  readonly #onLine: (line: string) => void;
  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }
  /** `text` comes from a stream decoder, so that it never splits a character. */
  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LINE_BYTES_MAX) throw new RangeError('control line too long');
    for (const line of lines) if (line !== '') this.#onLine(line);
  }
}

/** A request, or why it isn't one. */
export const parseRequest = (line: string): ControlRequest | { id: number; error: string } => {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { id: 0, error: 'not JSON' };
  }
  if (typeof value !== 'object' || value === null) return { id: 0, error: 'not an object' };
  const { id, op, args } = value as { id?: unknown; op?: unknown; args?: unknown };
  if (typeof id !== 'number') return { id: 0, error: 'no id' };
  const known = CONTROL_OPS.find((name) => name === op);
  if (known === undefined) return { id, error: `unknown request '${String(op)}'` };
  return args === undefined ? { id, op: known } : { id, op: known, args };
};

export const encodeLine = (message: ControlRequest | ControlReply): string => `${JSON.stringify(message)}\n`;
