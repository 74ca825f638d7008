/**
 * What is measured: a plain directory, or a filesystem mounted on the same disk. A workload sees only
 * {@link MountedTarget}, so that it cannot treat one target otherwise than another.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { RequestCounts } from './stats.js';

/** How a workload wants the filesystem mounted. What a target has no such option for, it ignores. */
export interface MountVariant {
  /** The kernel may cache no attributes and no names, so that each stat is a request. */
  noLifetimes?: boolean;
  /** Poll this long for the next request before sleeping. */
  pollUs?: number;
}

export interface Target {
  readonly name: string;
  /** For the report: the command line, or what the target is. */
  readonly about: string;
  /** Why this machine cannot run it; undefined when it can. */
  unavailable(): string | undefined;
  /** A new, empty filesystem, in the existing empty folder `place`. The caller closes it. */
  open(place: string, variant: MountVariant): Promise<MountedTarget>;
}

export interface MountedTarget {
  /** Where to work. Touch it only in a child process. */
  readonly root: string;
  /** Unmounts and mounts again, so that neither the kernel nor the server remembers anything. */
  remount(): Promise<void>;
  /** Returns when the server has nothing left to write. */
  sync(): Promise<void>;
  /** Requests so far since the last mount; undefined when the target does not count them. */
  requests(): Promise<RequestCounts | undefined>;
  /** Unmounts by whatever force is needed, and never throws for a mount that hangs. */
  close(): Promise<void>;
}

/** A plain directory of the disk: what everything else is measured beside. */
export class PlainTarget implements Target {
  readonly name = 'plain';
  readonly about = 'a directory of the disk itself';

  unavailable(): undefined {
    return undefined;
  }

  open(place: string): Promise<MountedTarget> {
    const root = join(place, 'dir');
    mkdirSync(root);
    return Promise.resolve({
      root,
      remount: () => Promise.resolve(),
      sync: () => Promise.resolve(),
      requests: () => Promise.resolve(undefined),
      close: () => Promise.resolve(),
    });
  }
}
