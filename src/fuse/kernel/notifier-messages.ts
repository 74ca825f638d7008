/** What the dispatcher and the notifier thread say to each other. */
import type { MessagePort } from 'node:worker_threads';

/** workerData of notifier-worker.ts. */
export interface NotifierWorkerData {
  /** The dispatcher's eventfd: written after each reply. */
  wakeFd: number;
  /** Carries NotifyRequest in, NotifyReply out. */
  dispatcher: MessagePort;
}

/** 'close' isn't answered. */
export type NotifyRequest =
  | { kind: 'write'; id: number; deviceFd: number; messages: readonly Uint8Array[] }
  | { kind: 'close'; deviceFd: number };

export interface NotifyReply {
  id: number;
  /** 0, or that of the last message which failed. */
  errno: number;
}
