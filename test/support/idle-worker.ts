/** A syncer that only stays alive, for daemons without a store. */
import { workerData } from 'node:worker_threads';
import type { SyncerWorkerData } from '../../src/syncer/messages.js';

(workerData as SyncerWorkerData).dispatcher.on('message', () => undefined);
