/** Which transport serves a daemon's mounts, and why. */
import type { FuseClass } from '../fuse/fuse-native/binding.js';
import { MountError } from '../fuse/kernel/mount-error.js';
import type { TransportChoice } from './settings.js';

export interface ChosenTransport {
  readonly name: Exclude<TransportChoice, 'auto'>;
  /** For status and log. */
  readonly reason: string;
}

export interface TransportProbes {
  platform: string;
  /** Why the kernel transport can't be used here; undefined: it can. */
  kernelProblem: () => string | undefined;
  /** Throws MountError. */
  loadBinding: () => FuseClass;
}

export interface TransportWithBinding {
  transport: ChosenTransport;
  /** Of fuse-native. */
  binding: FuseClass | undefined;
}

/** Throws MountError where fuse-native is asked for, or all that is left, and can't be used. */
export const chooseTransport = (choice: TransportChoice, probes: TransportProbes): TransportWithBinding => {
  if (choice === 'kernel') return { transport: { name: 'kernel', reason: 'asked for' }, binding: undefined };
  if (choice === 'fuse-native')
    return { transport: { name: 'fuse-native', reason: 'asked for' }, binding: probes.loadBinding() };
  const problem = probes.kernelProblem();
  if (problem === undefined)
    return { transport: { name: 'kernel', reason: '/dev/fuse is there' }, binding: undefined };
  try {
    return { transport: { name: 'fuse-native', reason: problem }, binding: probes.loadBinding() };
  } catch (error) {
    if (!(error instanceof MountError)) throw error;
    throw new MountError(
      'unsupported',
      `Nothing can be mounted here: ${problem}. ${error.message.replace(/ Use --transport .*$/, '')}`,
      { cause: error },
    );
  }
};
