/**
 * `vnodefs remount -o ro|rw`: in the dispatcher, which refuses changes, and in the kernel, which then doesn't even send
 * them. The kernel's part is root's alone; an ordinary user's mount becomes read-only in the dispatcher, and shows `rw`
 * in /proc/mounts.
 */
import { Failure } from './failure.js';
import type { EndResult } from './control-protocol.js';
import { describeHolders } from './holders.js';
import type { Host } from './host.js';
import type { MountEntry } from '../base/mountinfo.js';
import type { Mounter } from './ports.js';
import type { MountFlags } from './settings.js';

export interface RemountRequest {
  readOnly: boolean;
}

export interface RemountReport {
  mountpoint: string;
  readOnly: boolean;
  /** False: the kernel still shows the other (an ordinary user's mount). */
  kernel: boolean;
}

/** What another process asked for; throws a Failure if it isn't a request. */
export const parseRemountRequest = (args: unknown): RemountRequest => {
  const { readOnly } = (args ?? {}) as { readOnly?: unknown };
  if (typeof readOnly !== 'boolean') throw new Failure('general', 'not a remount request');
  return { readOnly };
};

export interface Remountable {
  readonly mount: MountEntry;
  readonly flags: MountFlags;
  readonly host: Host;
  readonly mounter: Mounter;
  setReadOnly(readOnly: boolean): Promise<EndResult>;
}

const EBUSY = 16;
const FLUSH_MS = 30_000;

const refused = ({ mount, host }: Remountable, why: string): Failure => {
  const writers = host.holders(mount).filter(({ uses }) => uses.some(({ use }) => use === 'writing'));
  const who = writers.length === 0 ? '' : `: end ${describeHolders(writers)} first`;
  return new Failure('busy', `${mount.mountpoint} cannot be made read-only, ${why}${who}`);
};

/** Throws a Failure, with nothing changed: busy while files are open for writing. */
export const remount = async (target: Remountable, { readOnly }: RemountRequest): Promise<RemountReport> => {
  const { mount, flags, host, mounter } = target;
  const { mountpoint } = mount;
  if (readOnly) {
    const trouble = await host.flush(mountpoint, FLUSH_MS); // what the kernel holds comes before the refusals
    if (trouble !== '') throw new Failure('general', `${mountpoint} was not written back: ${trouble}`);
  } else if (flags.readOnly && process.geteuid?.() !== 0)
    throw new Failure(
      'mount',
      `${mountpoint} was mounted read-only by an ordinary user: unmount it and mount it again`,
    );
  const { errno, reason } = await target.setReadOnly(readOnly);
  if (errno === EBUSY) throw refused(target, 'files are open for writing');
  if (errno !== 0) throw new Failure('general', `${mountpoint} could not be saved (${reason})`);
  const kernel = await mounter.remount(mountpoint, { ...flags, readOnly });
  if (kernel === 'done' || kernel === 'not-root') return { mountpoint, readOnly, kernel: kernel === 'done' };
  await target.setReadOnly(!readOnly);
  if (kernel === 'busy') throw refused(target, 'files are open for writing');
  throw new Failure('mount', `the kernel refused to remount ${mountpoint}: ${kernel.reason}`);
};
