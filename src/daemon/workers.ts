/**
 * Starts the worker threads: dispatcher and notifier once, a syncer for each mount. The dispatcher takes messages with
 * receiveMessageOnPort after its eventfd wakes it.
 */
import { MessageChannel, Worker, type MessagePort, type WorkerOptions } from 'node:worker_threads';
import type { NotifierWorkerData } from '../fuse/kernel/notifier-messages.js';
import type { SyncerWorkerData } from '../syncer/messages.js';
import type { DispatcherConfig } from './messages.js';
import type { OnWorkerTrouble, StartDispatcher, StartSyncer } from './ports.js';

/** workerData of src/daemon/dispatcher-worker.ts. */
export interface DispatcherWorkerData {
  config: DispatcherConfig;
  /** Carries ToDispatcher in, FromDispatcher out. */
  main: MessagePort;
  /** Carries NotifyRequest out, NotifyReply in. */
  notifier: MessagePort;
}

/**
 * Young generations of the threads' heaps, in MB; V8's default is 48 for each. What is made for a request is garbage at
 * once, so a smaller one costs little, and the daemon 48 MiB less of resident memory (native-notes/decisions.md).
 */
const YOUNG_MB = { dispatcher: 24, syncer: 12, notifier: 6 } as const;

/** A syncer that ends well does so just before or after the dispatcher says 'finished'; past this it is trouble. */
const EXIT_GRACE_MS = 5_000;

const start = (
  name: keyof typeof YOUNG_MB,
  url: URL,
  options: WorkerOptions,
  onTrouble: OnWorkerTrouble,
): Worker => {
  const worker = new Worker(url, {
    name,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB[name] },
    ...options,
  });
  worker.on('error', (error: unknown) =>
    onTrouble(error instanceof Error ? error : new Error(`the ${name} threw ${String(error)}`)),
  );
  worker.on('exit', (code) => {
    const error = new Error(`the ${name} thread ended with code ${code}`);
    if (code !== 0) onTrouble(error);
    else setTimeout(() => onTrouble(error), EXIT_GRACE_MS).unref();
  });
  return worker;
};

export const dispatcherStarter =
  (dispatcherUrl: URL, notifierUrl: URL): StartDispatcher =>
  (config, onTrouble) => {
    const toMain = new MessageChannel();
    const toNotifier = new MessageChannel();
    const notifierData: NotifierWorkerData = { wakeFd: config.wakeFd, dispatcher: toNotifier.port2 };
    const dispatcherData: DispatcherWorkerData = { config, main: toMain.port2, notifier: toNotifier.port1 };
    start(
      'dispatcher',
      dispatcherUrl,
      { workerData: dispatcherData, transferList: [toMain.port2, toNotifier.port1] },
      onTrouble,
    );
    start('notifier', notifierUrl, { workerData: notifierData, transferList: [toNotifier.port2] }, onTrouble);
    return toMain.port1;
  };

export const syncerStarter =
  (syncerUrl: URL): StartSyncer =>
  (config, onTrouble) => {
    const toDispatcher = new MessageChannel();
    const workerData: SyncerWorkerData = { ...config, dispatcher: toDispatcher.port2 };
    let stopping = false;
    const worker = start('syncer', syncerUrl, { workerData, transferList: [toDispatcher.port2] }, (error) => {
      if (!stopping) onTrouble(error);
    });
    return {
      dispatcher: toDispatcher.port1,
      ended: new Promise<void>((resolve) => worker.once('exit', () => resolve())),
      stop: async () => {
        stopping = true;
        await worker.terminate();
      },
    };
  };
