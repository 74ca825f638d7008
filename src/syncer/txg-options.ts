/** What Txgs (txgs.ts) is built on. */
import type { Clock } from '../base/clock.js';
import type { EncodedTxg } from '../store/txg-log.js';
import type { StoreCounters, TxgOps } from '../store/types.js';
import type { VnodeCache } from '../vnode/vnode-cache.js';
import type { Intents } from './intents.js';
import type { SyncerRequest } from './messages.js';
import type { WriteRoom } from './write-room.js';

/** The encoder of a group's log: see store/txg-log.ts. */
export interface TxgLog extends TxgOps {
  /** Bytes of the operations appended so far. */
  readonly logBytes: number;
  /** The encoded operations, until the next one. */
  peek(): EncodedTxg;
  /** Hands the encoded operations over and starts anew. */
  take(): EncodedTxg;
}

/** How a sealed group reaches the syncer. Its answer comes by Txgs.onReply, never from inside `send`. */
export interface SyncerPort {
  send(request: SyncerRequest): void;
}

export interface TxgOptions {
  vnodes: VnodeCache;
  log: TxgLog;
  port: SyncerPort;
  /** Where barriers may go by the intent log; closed by whoever made it. */
  intents?: Intents;
  /** Shared with the other mounts of the daemon. */
  room: WriteRoom;
  clock: Clock;
  counters: StoreCounters;
  /** Number of the last committed group of the store. */
  committed: number;
  /** A group is sealed at the latest this long after its first change. */
  syncIntervalMs: number;
}
