/** What an unmount did: made by the daemon, printed by `vnodefs umount`, written to the log at SIGTERM. */
import { Failure } from './failure.js';
import { describeHolders, type Holder } from './holders.js';
import type { Loss, Saved } from './messages.js';

/**
 * `plain` refuses while anybody uses the mount. `write-close` closes by force what is open for writing or unlinked;
 * who only reads goes on, and the mount becomes read-only. `force` ends it, whoever uses it.
 */
export const UNMOUNT_MODES = ['plain', 'write-close', 'force'] as const;
export type UnmountMode = (typeof UNMOUNT_MODES)[number];

export interface UnmountRequest {
  mode: UnmountMode;
  /** The deadline: for a forced one it is kept whatever happens. */
  timeoutMs: number;
  /** After a write-close that readers outlive: wait for them for a part of the time, then force. (SIGTERM) */
  thenForce?: boolean;
}

const TIMEOUT_MAX_MS = 2 ** 31 - 1;

/** What another process asked for; throws a Failure if it isn't a request. */
export const parseUnmountRequest = (args: unknown): UnmountRequest => {
  const { mode, timeoutMs } = (args ?? {}) as { mode?: unknown; timeoutMs?: unknown };
  const known = UNMOUNT_MODES.find((name) => name === mode);
  if (known === undefined || typeof timeoutMs !== 'number' || !(timeoutMs >= 0))
    throw new Failure('general', 'not an unmount request');
  return { mode: known, timeoutMs: Math.min(timeoutMs, TIMEOUT_MAX_MS) };
};

/** The errno of a report whose time was up. */
export const ETIMEDOUT = 110;

/** In this order; those that had nothing to do are left out. */
export type PhaseName = 'write-back' | 'close' | 'wait' | 'detach' | 'finish';

export interface Phase {
  name: PhaseName;
  ms: number;
  /** What went wrong in it; empty if nothing did. */
  trouble: string;
}

export interface UnmountReport {
  mountpoint: string;
  store: string;
  mode: UnmountMode;
  /** `busy`: refused, nothing has changed. `read-only`: write-closed, but readers go on. */
  outcome: 'unmounted' | 'busy' | 'read-only';
  /** Who still uses the mount, unless it is unmounted. */
  holders: Holder[];
  /** Mount points below this one, which keep it busy. */
  mountsBelow: string[];
  /** Whose use was ended by force. */
  cutOff: Holder[];
  /** Stored during the unmount: files whose contents changed, and their bytes. */
  flushed: Saved;
  /** Something written that isn't in the store; the first hundred, those of the unmount itself first. */
  dropped: Loss[];
  /** Losses beyond those listed. */
  droppedMore: number;
  phases: Phase[];
  /** 0 when everything is on disk, or somebody is in the way; otherwise why not, ETIMEDOUT where time was up. */
  errno: number;
  reason: string;
}

/** Whether the unmount itself left something unsaved. */
export const leftUnsaved = (dropped: readonly Loss[]): boolean => dropped.some(({ earlier }) => !earlier);

const bytesText = (bytes: number): string =>
  bytes >= 1 << 20 ? `${(bytes / (1 << 20)).toFixed(1)} MiB` : `${Math.ceil(bytes / 1024)} KiB`;

/** For the terminal. Requires an outcome other than `busy`, which is an error message. */
export const describeUnmount = (report: UnmountReport): string[] => {
  const { mountpoint, store, outcome, flushed, cutOff, dropped, droppedMore, phases, holders } = report;
  const lines =
    outcome === 'unmounted'
      ? [`unmounted ${store} from ${mountpoint}`]
      : [`${mountpoint} is read-only now, and used by ${describeHolders(holders)}`];
  if (flushed.files > 0)
    lines.push(
      `stored ${flushed.files} changed file${flushed.files === 1 ? '' : 's'}, ${bytesText(flushed.bytes)}`,
    );
  if (cutOff.length > 0) lines.push(`cut off: ${describeHolders(cutOff, 20)}`);
  for (const { path, bytes, reason, earlier } of dropped) {
    const what = earlier ? 'refused earlier' : 'dropped';
    lines.push(`${what}: ${path}${bytes > 0 ? `, ${bytesText(bytes)}` : ''} (${reason})`);
  }
  if (droppedMore > 0) lines.push(`dropped: ${droppedMore} more`);
  for (const { name, trouble } of phases) if (trouble !== '') lines.push(`${name}: ${trouble}`);
  const slow = phases.reduce((sum, { ms }) => sum + ms, 0) >= 1_000;
  if (slow)
    lines.push(`time: ${phases.map(({ name, ms }) => `${name} ${(ms / 1000).toFixed(1)} s`).join(', ')}`);
  return lines;
};
