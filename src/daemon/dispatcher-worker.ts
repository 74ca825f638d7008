/** The dispatcher's thread. Whatever goes wrong in it is told to the main thread, which ends all mounts. */
import { workerData } from 'node:worker_threads';
import { Dispatcher } from './dispatcher.js';
import type { FromDispatcher } from './messages.js';
import type { DispatcherWorkerData } from './workers.js';

const data = workerData as DispatcherWorkerData;

let dispatcher: Dispatcher | undefined;
try {
  dispatcher = new Dispatcher(data);
  dispatcher.run();
} catch (error) {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const report: FromDispatcher = { kind: 'fatal', message, stack: stack ?? '' };
  data.main.postMessage(report);
  dispatcher?.saveWhatIsSafe();
}
