/**
 * Starts the worker threads. Each gets its end of the dispatcher-syncer channel, and the dispatcher one of a
 * channel to the
 * main thread, in its workerData. The dispatcher takes messages with receiveMessageOnPort after its eventfd wakes it.
 */
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import type { NotifierWorkerData } from '../fuse/kernel/notifier-messages.js';
import type { SyncerWorkerData } from '../syncer/messages.js';
import type { DispatcherConfig } from './messages.js';
import type { OnWorkerTrouble, StartWorkers } from './ports.js';

/** workerData of src/daemon/dispatcher-worker.ts. */
export interface DispatcherWorkerData {
  config: DispatcherConfig;
  /** Carries ToDispatcher in, FromDispatcher out. */
  main: MessagePort;
  /** Carries SyncerRequest out, SyncerReply in. */
  syncer: MessagePort;
  /** Carries NotifyRequest out, NotifyReply in. */
  notifier: MessagePort;
}

/** A worker that ends well does so just before or after the dispatcher says 'finished'; past this it is trouble. */
const EXIT_GRACE_MS = 5_000;

const watch = (name: string, worker: Worker, onTrouble: OnWorkerTrouble): void => {
  worker.on('error', (error: unknown) =>
    onTrouble(error instanceof Error ? error : new Error(`the ${name} threw ${String(error)}`)),
  );
  worker.on('exit', (code) => {
    const error = new Error(`the ${name} thread ended with code ${code}`);
    if (code !== 0) onTrouble(error);
    else setTimeout(() => onTrouble(error), EXIT_GRACE_MS).unref();
  });
};

export const workerStarter =
  (dispatcherUrl: URL, syncerUrl: URL, notifierUrl: URL): StartWorkers =>
  (config, onTrouble) => {
    const toSyncer = new MessageChannel();
    const toMain = new MessageChannel();
    const toNotifier = new MessageChannel();
    const notifierData: NotifierWorkerData = {
      deviceFd: config.deviceFd,
      wakeFd: config.wakeFd,
      dispatcher: toNotifier.port2,
    };
    const syncerData: SyncerWorkerData = {
      store: config.store,
      readOnly: config.readOnly,
      pool: config.pool,
      wakeFd: config.wakeFd,
      dispatcher: toSyncer.port2,
    };
    const dispatcherData: DispatcherWorkerData = {
      config,
      main: toMain.port2,
      syncer: toSyncer.port1,
      notifier: toNotifier.port1,
    };
    const syncer = new Worker(syncerUrl, {
      name: 'syncer',
      workerData: syncerData,
      transferList: [toSyncer.port2],
    });
    const dispatcher = new Worker(dispatcherUrl, {
      name: 'dispatcher',
      workerData: dispatcherData,
      transferList: [toMain.port2, toSyncer.port1, toNotifier.port1],
    });
    const notifier = new Worker(notifierUrl, {
      name: 'notifier',
      workerData: notifierData,
      transferList: [toNotifier.port2],
    });
    watch('notifier', notifier, onTrouble);
    watch('syncer', syncer, onTrouble);
    watch('dispatcher', dispatcher, onTrouble);
    return { dispatcher: toMain.port1 };
  };
