/**
 * What the main thread and the dispatcher thread say to each other (MessagePort). Main → dispatcher is followed by a
 * write of 8 bytes to the dispatcher's eventfd, since the dispatcher sleeps in poll(2).
 */

import type { MessagePort } from 'node:worker_threads';
import type { MountFlags } from './settings.js';
import type { TransportCapabilities } from '../vfs/capabilities.js';
import type { ClosedFiles } from '../vfs/force-close.js';
import type { Loss, Saved } from '../vfs/losses.js';

export type { ClosedFiles, Loss, Saved };

/** What a mount's end saved and what it didn't. */
export interface Account {
  /** False: the time was up, and the syncer may still be at work. */
  closed: boolean;
  flushed: Saved;
  dropped: Loss[];
  droppedMore: number;
}

/** What the mounts of a daemon share; settled when its first one is made. */
export interface DispatcherConfig {
  /** eventfd(2) that wakes the dispatcher. */
  wakeFd: number;
  /** pagesMax * 4096 bytes. */
  pool: SharedArrayBuffer;
  vnodesMax: number;
  /** Poll this long before sleeping, at most, in microseconds; 0 sleeps at once. */
  pollUs: number;
  /** Where the scratch store of a rehearsal may be for a moment; undefined: no rehearsal. */
  rehearsalDirectory: string | undefined;
}

export interface MountConfig {
  store: string;
  mountpoint: string;
  /** The open /dev/fuse descriptor, already mounted. The dispatcher has it closed when the mount has ended. -1: it mounts itself. */
  deviceFd: number;
  /** How it is, or will be, mounted. */
  fsname: string;
  flags: MountFlags;
  syncIntervalMs: number;
  readOnly: boolean;
  noatime: boolean;
  /** relatime unless noatime: 'strictatime' is not offered. */
  forcedUid: number | undefined;
  forcedGid: number | undefined;
  /** Kernel cache lifetimes in milliseconds; the default is a day. */
  attrTtlMs: number;
  entryTtlMs: number;
  /** undefined: on, unless the store has a size limit. */
  writebackCache: boolean | undefined;
  /** Where the transport can: barriers go by the intent log. */
  intentLog: boolean;
  protocolMinor: number | undefined;
  traceFile: string | undefined;
}

/** `mount` is the daemon's own number for a mount: never used again. */
export type ToDispatcher =
  /** Serve one more. `syncer` (transferred) carries SyncerRequest out, SyncerReply in. Answered by 'ready' or 'refused'. */
  | { kind: 'add'; mount: number; config: MountConfig; syncer: MessagePort }
  /** `check`: look at the invariants too. */
  | { kind: 'status'; mount: number; id: number; check: boolean }
  | { kind: 'sync'; mount: number; id: number }
  /** An unmount begins: what is committed from now on is counted for its report. Not answered. */
  | { kind: 'tally'; mount: number }
  /** Force-close (src/vfs/force-close.ts). Answered by 'closed', or never if commits hang. */
  | { kind: 'close'; mount: number; id: number; how: 'writers' | 'all' }
  /** Remount. Answered by 'synced'. */
  | { kind: 'read-only'; mount: number; id: number; readOnly: boolean }
  /** For the watchdog: answered by 'pong' at once. */
  | { kind: 'ping' }
  /** Seal, commit as a barrier, close the store, and answer 'finished': the mount point has been detached. */
  | { kind: 'finish'; mount: number; limitMs?: number }
  /** The mount has been given up and its syncer has ended: forget it, whatever it still holds. Not answered. */
  | { kind: 'drop'; mount: number };

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** About one mount. */
export type FromMount =
  /** INIT has been answered: the mount serves requests. `protocol` like "7.45". */
  | { kind: 'ready'; mount: number; protocol: string; features: string[] }
  /** The store can't be used: nothing is left of the mount in the dispatcher. */
  | { kind: 'refused'; mount: number; message: string; stack: string }
  | { kind: 'status'; mount: number; id: number; status: DispatcherStatus }
  | { kind: 'synced'; mount: number; id: number; errno: number; reason: string }
  | { kind: 'closed'; mount: number; id: number; closed: ClosedFiles }
  | { kind: 'log'; mount: number; level: LogLevel; message: string; fields: Record<string, unknown> }
  /** Everything is committed and the store is closed (errno 0), or could not be. */
  | {
      kind: 'finished';
      mount: number;
      errno: number;
      reason: string;
      cause: 'unmounted' | 'aborted' | 'asked';
      account?: Account;
    };

export type FromDispatcher =
  | FromMount
  /** `task`: the thread as /proc/thread-self names it. */
  | { kind: 'pong'; task: string }
  /** The thread has failed: no mount is served any more. */
  | { kind: 'fatal'; message: string; stack: string };

/** Shown by `vnodefs status --json` under each mount, beside mountpoint, store, pid and transport. */
export interface DispatcherStatus {
  state: 'running' | 'read-only' | 'failing' | 'unmounting';
  /** Why it is failing, or what writers wait for; empty otherwise. */
  reason: string;
  protocol: string;
  /** 16 hexadecimal digits, the same at every mount of the store; no other mount has it. */
  fsid: string;
  /** What the transport can carry. */
  capabilities: TransportCapabilities;
  /** Of all mounts of the daemon together, but for `ofMount`. */
  vnodes: { resident: number; max: number; active: number; ofMount: number };
  pages: { resident: number; dirty: number; max: number };
  names: number;
  handles: number;
  txg: { open: number; committed: number; durable: number };
  walBytes: number;
  /** Requests so far, by opcode name. */
  requests: Record<string, number>;
  /** Free-form counters: hits, misses, reclaims, throttles, errors, … */
  counters: Record<string, number>;
  /** If asked for: what does not hold of the invariants, one sentence each. */
  broken?: string[];
}
