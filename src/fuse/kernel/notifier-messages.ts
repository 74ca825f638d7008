/** What the dispatcher and the notifier thread say to each other. */
import type { MessagePort } from 'node:worker_threads';

/** workerData of notifier-worker.ts. */
export interface NotifierWorkerData {
  deviceFd: number;
  /** The dispatcher's eventfd: written after each reply. */
  wakeFd: number;
  /** Carries NotifyRequest in, NotifyReply out. */
  dispatcher: MessagePort;
}

/** `message`: a whole notification, as notify.ts encodes it. */
export interface NotifyRequest {
  id: number;
  message: Uint8Array;
}

export interface NotifyReply {
  id: number;
  errno: number;
}
