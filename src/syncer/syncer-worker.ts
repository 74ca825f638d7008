/**
 * The syncer's thread: takes requests from the dispatcher's port, answers, and wakes the dispatcher by its
 * eventfd.
 */
import { workerData } from 'node:worker_threads';
import { EventFdWaker } from '../base/descriptors.js';
import type { CommitRequest, SyncerReply, SyncerRequest, SyncerWorkerData } from './messages.js';
import { Syncer } from './syncer.js';

/** Pauses before a failed group is tried again: doubled each time, from the first to the last. */
const RETRY_FIRST_MS = 250;
const RETRY_LAST_MS = 5_000;
/** Nothing asked for this long counts as idle. */
const IDLE_MS = 250;

const { store, readOnly, pool, wakeFd, dispatcher } = workerData as SyncerWorkerData;
const waker = new EventFdWaker(wakeFd);
// A read-only mount has no writer: only the closing is asked of it.
const syncer = readOnly ? undefined : new Syncer(store, pool);
let idleTimer: NodeJS.Timeout | undefined;

const reply = (message: SyncerReply): void => {
  dispatcher.postMessage(message);
  waker.wake();
};

const commit = (syncer: Syncer, request: CommitRequest, retryMs: number): void => {
  const answer = syncer.commit(request);
  reply(answer);
  if (answer.errno !== 0) {
    setTimeout(() => commit(syncer, request, Math.min(retryMs * 2, RETRY_LAST_MS)), retryMs);
    return;
  }
  syncer.checkpoint(false);
  clearTimeout(idleTimer);
  idleTimer = setTimeout(() => syncer.checkpoint(true), IDLE_MS);
};

dispatcher.on('message', (request: SyncerRequest) => {
  if (request.kind === 'commit') {
    if (syncer === undefined) throw new Error('commit on a read-only mount');
    commit(syncer, request, RETRY_FIRST_MS);
    return;
  }
  clearTimeout(idleTimer);
  reply({ kind: 'closed', ...(syncer?.close() ?? { errno: 0, reason: '' }) });
  dispatcher.close();
});
