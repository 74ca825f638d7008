/**
 * The syncer's thread: takes requests from the dispatcher's port, answers, and wakes the dispatcher by its
 * eventfd.
 */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { EventFdWaker } from '../base/descriptors.js';
import { openReader } from '../store/reader.js';
import type { CommitRequest, SyncerReply, SyncerRequest, SyncerWorkerData } from './messages.js';
import { ReadAheadServer } from './read-ahead.js';
import { type LogState, Syncer } from './syncer.js';

/** Pauses before a failed group is tried again: doubled each time, from the first to the last. */
const RETRY_FIRST_MS = 250;
const RETRY_LAST_MS = 5_000;
/** Between two slices of idle work: a request that comes meanwhile waits for one at most. */
const SLICE_PAUSE_MS = 5;
const LOOK_OUT_MS = 0.2;
/** Requests taken that way before the event loop (timers) has its turn. */
const LOOK_OUTS_MAX = 1000;

const { store, readOnly, pool, wakeFd, dispatcher, limits } = workerData as SyncerWorkerData;
const waker = new EventFdWaker(wakeFd);
// A read-only mount has no writer, until it is remounted for writing.
let syncer = readOnly ? undefined : new Syncer(store, pool, limits);
let lookOutWanted = false;
let idleTimer: NodeJS.Timeout | undefined;
let retryTimer: NodeJS.Timeout | undefined;
let held = '';
const ahead = new ReadAheadServer(pool, () => openReader(store));

const reply = (message: SyncerReply): void => {
  dispatcher.postMessage(message);
  waker.wake();
};

const commit = (syncer: Syncer, request: CommitRequest, retryMs: number): void => {
  const answer = syncer.commit(request);
  reply(answer);
  if (answer.errno !== 0) {
    retryTimer = setTimeout(() => commit(syncer, request, Math.min(retryMs * 2, RETRY_LAST_MS)), retryMs);
    return;
  }
  lookOutWanted = request.barrier;
  tell(syncer.settle());
  if (syncer.prepareIntents()) reply({ kind: 'intent-ready' });
  idleSoon(syncer, syncer.limits.idleMs);
};

const tell = (state: LogState): void => {
  if (state.held === held) return;
  held = state.held;
  reply({ kind: 'log', ...state });
};

const idleSoon = (syncer: Syncer, ms: number): void => {
  clearTimeout(idleTimer);
  idleTimer = setTimeout(() => {
    const state = syncer.idle();
    tell(state);
    if (state.more) idleSoon(syncer, SLICE_PAUSE_MS);
    else if (state.held !== '') idleSoon(syncer, syncer.limits.idleMs);
  }, ms);
};

const take = (request: SyncerRequest): void => {
  if (request.kind === 'commit') {
    syncer ??= new Syncer(store, pool, limits);
    commit(syncer, request, RETRY_FIRST_MS);
    return;
  }
  if (request.kind === 'read') {
    ahead.add(request);
    return;
  }
  clearTimeout(idleTimer);
  clearTimeout(retryTimer); // given up: whoever closes after a failed group has said so
  ahead.close();
  reply({ kind: 'closed', ...(syncer?.close(request.whole) ?? { errno: 0, reason: '' }) });
  dispatcher.close();
};

/**
 * After a barrier the next request often follows within microseconds (a database, one fsync after the other): looking
 * out for it a little spares both threads the sleep and the waking, which in a virtual machine cost more than the
 * look-out.
 */
const lookOut = (): void => {
  const untilMs = performance.now() + LOOK_OUT_MS;
  do {
    const got = receiveMessageOnPort(dispatcher);
    if (got !== undefined) {
      take(got.message as SyncerRequest);
      return;
    }
  } while (performance.now() < untilMs);
};

/** Chunks that are wanted, and between two of them whatever has come meanwhile. */
const readAhead = (): void => {
  while (ahead.step()) {
    const got = receiveMessageOnPort(dispatcher);
    if (got !== undefined) take(got.message as SyncerRequest);
  }
};

dispatcher.on('message', (request: SyncerRequest) => {
  take(request);
  readAhead();
  for (let i = 0; i < LOOK_OUTS_MAX && lookOutWanted; i++) {
    lookOutWanted = false;
    lookOut();
    readAhead();
  }
});
