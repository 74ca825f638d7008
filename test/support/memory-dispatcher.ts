/**
 * A dispatcher worker over a MemoryVfs: lets the daemon's main thread and the command line be tested on a real
 * mount without a store.
 */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { FromDispatcher, ToDispatcher } from '../../src/daemon/messages.js';
import type { DispatcherWorkerData } from '../../src/daemon/workers.js';
import { DeviceLoop } from '../../src/fuse/kernel/device-loop.js';
import { KernelSession } from '../../src/fuse/kernel/session.js';
import { defaultSessionOptions } from '../../src/fuse/kernel/session-options.js';
import { MemoryVfs } from './memory-vfs.js';

const { config, main } = workerData as DispatcherWorkerData;
const say = (message: FromDispatcher): void => main.postMessage(message);

const vfs = new MemoryVfs(config.pool);
const loop = new DeviceLoop({ wakeFd: config.wakeFd, pollUs: config.pollUs });
const finish = (cause: 'unmounted' | 'aborted' | 'asked'): void => {
  say({ kind: 'finished', errno: 0, reason: '', cause });
  loop.stop();
};
const session = new KernelSession({
  fd: config.deviceFd,
  vfs,
  pool: config.pool,
  options: { ...defaultSessionOptions },
  log: (level, message, fields) => say({ kind: 'log', level, message, fields }),
  onInit: (protocol, features) => say({ kind: 'ready', protocol, features: [...features] }),
  onEnd: (cause) => finish(cause === 'aborted' ? 'aborted' : 'unmounted'),
});
loop.add(session);

const status = (id: number): FromDispatcher => ({
  kind: 'status',
  id,
  status: {
    state: 'running',
    reason: '',
    protocol: '7.x',
    vnodes: { resident: 1, max: config.vnodesMax, active: 0 },
    pages: { resident: 0, dirty: 0, max: config.pool.byteLength / 4096 },
    names: 0,
    handles: vfs.handles.size,
    txg: { open: 1, committed: 0, durable: 0 },
    walBytes: 0,
    requests: { ...session.requestCounts() },
    counters: {},
  },
});

loop.run(() => {
  for (;;) {
    const received: { message: ToDispatcher } | undefined = receiveMessageOnPort(main);
    if (received === undefined) return;
    const { message } = received;
    if (message.kind === 'status') say(status(message.id));
    else if (message.kind === 'sync') say({ kind: 'synced', id: message.id, errno: 0, reason: '' });
    else finish('asked');
  }
});
