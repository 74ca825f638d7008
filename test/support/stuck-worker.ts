/** A worker that is busy for ever (workerData `spin`), sits in a system call (`call`), or idles: for tests of who watches it. */
import { readlinkSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { syscalls } from '../../src/base/syscalls.js';

const STUCK_MS = 20_000;
/** Even the end of the process waits for it. */
const CALL_MS = 2_000;

const spinForLong = (): void => {
  // Unlike performance.now this is no JavaScript of Node's own: the innermost frame is always this function.
  const end = Date.now() + STUCK_MS;
  while (Date.now() < end);
};
const blockForLong = (): void => {
  syscalls().poll(0, 0, CALL_MS);
};

parentPort?.postMessage(readlinkSync('/proc/thread-self'));
if (workerData === 'spin') spinForLong();
else if (workerData === 'call') blockForLong();
else parentPort?.on('message', () => undefined);
