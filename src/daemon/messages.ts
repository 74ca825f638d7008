/**
 * What the main thread and the dispatcher thread say to each other (MessagePort). Main → dispatcher is followed by a
 * write of 8 bytes to the dispatcher's eventfd, since the dispatcher sleeps in poll(2).
 */

/** How the dispatcher thread is started (workerData). */
export interface DispatcherConfig {
  store: string;
  mountpoint: string;
  /** The open /dev/fuse descriptor, already mounted. */
  deviceFd: number;
  /** eventfd(2) that wakes the dispatcher. */
  wakeFd: number;
  /** pagesMax * 4096 bytes. */
  pool: SharedArrayBuffer;
  vnodesMax: number;
  syncIntervalMs: number;
  readOnly: boolean;
  noatime: boolean;
  /** relatime unless noatime: 'strictatime' is not offered. */
  forcedUid: number | undefined;
  forcedGid: number | undefined;
  /** Kernel cache lifetimes in milliseconds; the default is a day. */
  attrTtlMs: number;
  entryTtlMs: number;
  /** Poll this long before sleeping, at most, in microseconds; 0 sleeps at once. */
  pollUs: number;
  writebackCache: boolean;
  traceFile: string | undefined;
}

export type ToDispatcher =
  | { kind: 'status'; id: number }
  | { kind: 'sync'; id: number }
  /** Seal, commit as a barrier, close the store, and answer 'finished': the mount point has been detached. */
  | { kind: 'finish' };

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type FromDispatcher =
  /** INIT has been answered: the mount serves requests. `protocol` like "7.45". */
  | { kind: 'ready'; protocol: string; features: string[] }
  | { kind: 'status'; id: number; status: DispatcherStatus }
  | { kind: 'synced'; id: number; errno: number; reason: string }
  | { kind: 'log'; level: LogLevel; message: string; fields: Record<string, unknown> }
  /** Everything is committed and the store is closed (errno 0), or could not be. The daemon exits now. */
  | { kind: 'finished'; errno: number; reason: string; cause: 'unmounted' | 'aborted' | 'asked' }
  | { kind: 'fatal'; message: string; stack: string };

/** Shown by `vnodefs status --json` under each mount, beside mountpoint, store, pid and transport. */
export interface DispatcherStatus {
  state: 'running' | 'read-only' | 'failing' | 'unmounting';
  /** Why it is failing; empty otherwise. */
  reason: string;
  protocol: string;
  vnodes: { resident: number; max: number; active: number };
  pages: { resident: number; dirty: number; max: number };
  names: number;
  handles: number;
  txg: { open: number; committed: number; durable: number };
  walBytes: number;
  /** Requests so far, by opcode name. */
  requests: Record<string, number>;
  /** Free-form counters: hits, misses, reclaims, throttles, errors, … */
  counters: Record<string, number>;
}
