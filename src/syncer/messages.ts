/** What dispatcher and syncer say to each other, by MessagePort; file data goes through the shared page pool. */

import type { MessagePort } from 'node:worker_threads';
import type { SyncerLimits } from './syncer.js';

/** workerData of src/syncer/syncer-worker.ts. */
export interface SyncerWorkerData {
  store: string;
  readOnly: boolean;
  pool: SharedArrayBuffer;
  /** The dispatcher's eventfd: written after each reply. */
  wakeFd: number;
  /** Carries SyncerRequest in, SyncerReply out. */
  dispatcher: MessagePort;
  /** For tests: other bounds of the WAL than the usual ones. */
  limits?: Partial<SyncerLimits>;
}

/** Dispatcher → syncer. `log` is transferred, not copied; it is an encoded TxgOps sequence (store/txg-log.ts). */
export interface CommitRequest {
  kind: 'commit';
  txg: number;
  log: ArrayBuffer;
  logBytes: number;
  /** True: durable (synced) before the answer; with it everything committed earlier is durable too. */
  barrier: boolean;
}
/** Dispatcher → syncer: chunks are wanted; answered in shared memory alone. See read-ahead.ts. */
export interface ReadAheadRequest {
  kind: 'read';
  /** The slots to look at, in this order. */
  wanted: number[];
  /** Of the area: its memory, its number of slots, pages of each. */
  memory: SharedArrayBuffer;
  slots: number;
  pages: number;
}
/** Dispatcher → syncer: no more groups; checkpoint, close the store, answer 'closed'. */
export interface CloseRequest {
  kind: 'close';
  /** True: whatever a barrier confirmed is in the store, so nobody needs the intent log any more. */
  whole: boolean;
}
export type SyncerRequest = CommitRequest | ReadAheadRequest | CloseRequest;

/**
 * Syncer → dispatcher, followed by a write to the dispatcher's eventfd. A failed group (`errno` not 0) was rolled back
 * and is *kept by the syncer*, which tries it again after a pause, answering again each time.
 */
export interface CommitReply {
  kind: 'committed';
  txg: number;
  /** 0, or ENOSPC / EIO. */
  errno: number;
  /** Why it failed, for the log. */
  reason: string;
  commitMs: number;
  walBytes: number;
}
/** The log's state has changed beside a commit. */
export interface LogReply {
  kind: 'log';
  walBytes: number;
  /** Why nothing new should be taken for now: the log is at its bound, and somebody outside keeps it from being folded in. Or ''. */
  held: string;
}
/** The file of the intent log has been made: see intents.ts. */
export interface IntentReply {
  kind: 'intent-ready';
}
export interface ClosedReply {
  kind: 'closed';
  errno: number;
  reason: string;
}
export type SyncerReply = CommitReply | LogReply | IntentReply | ClosedReply;
