/** The dispatcher's thread. Whatever goes wrong in it is told to the main thread, which ends the mount. */
import { workerData } from 'node:worker_threads';
import { Dispatcher } from './dispatcher.js';
import type { FromDispatcher } from './messages.js';
import type { DispatcherWorkerData } from './workers.js';

const { config, main, syncer } = workerData as DispatcherWorkerData;

try {
  new Dispatcher(config, main, syncer).run();
  main.close();
  syncer.close();
} catch (error) {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const report: FromDispatcher = { kind: 'fatal', message, stack: stack ?? '' };
  main.postMessage(report);
}
