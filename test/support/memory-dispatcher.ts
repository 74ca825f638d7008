/**
 * A dispatcher worker over a MemoryVfs for each mount: lets the daemon's main thread and the command line be tested on
 * real mounts without a store.
 */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { FromDispatcher, ToDispatcher } from '../../src/daemon/messages.js';
import type { DispatcherWorkerData } from '../../src/daemon/workers.js';
import { kernelCapabilities } from '../../src/fuse/kernel/capabilities.js';
import { DeviceLoop } from '../../src/fuse/kernel/device-loop.js';
import { KernelSession } from '../../src/fuse/kernel/session.js';
import { defaultSessionOptions } from '../../src/fuse/kernel/session-options.js';
import { MemoryVfs } from './memory-vfs.js';

const { config, main } = workerData as DispatcherWorkerData;
const { pool, wakeFd, pollUs, vnodesMax } = config;
const say = (message: FromDispatcher): void => main.postMessage(message);

const loop = new DeviceLoop({ wakeFd, pollUs });
const mounts = new Map<number, { session: KernelSession; vfs: MemoryVfs }>();
const asked = new Set<number>();

const add = (mount: number, fd: number): void => {
  const vfs = new MemoryVfs(pool);
  const session = new KernelSession({
    fd,
    vfs,
    pool,
    options: { ...defaultSessionOptions },
    log: (level, message, fields) => say({ kind: 'log', mount, level, message, fields }),
    onInit: (protocol, features) => say({ kind: 'ready', mount, protocol, features: [...features] }),
    onEnd: (end) => {
      const cause = asked.has(mount) ? 'asked' : end;
      say({ kind: 'finished', mount, errno: 0, reason: '', cause });
    },
  });
  mounts.set(mount, { session, vfs });
  loop.add(session);
};

const status = (mount: number, id: number, session: KernelSession, vfs: MemoryVfs): FromDispatcher => ({
  kind: 'status',
  mount,
  id,
  status: {
    state: 'running',
    reason: '',
    protocol: '7.x',
    fsid: '0000000000000000',
    capabilities: kernelCapabilities(),
    vnodes: { resident: 1, max: vnodesMax, active: 0, ofMount: 1 },
    pages: { resident: 0, dirty: 0, max: pool.byteLength / 4096 },
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
    if (message.kind === 'ping') {
      say({ kind: 'pong', task: '' });
      continue;
    }
    const { mount } = message;
    if (message.kind === 'add') add(mount, message.config.deviceFd);
    const known = mounts.get(mount);
    if (known === undefined) continue;
    if (message.kind === 'status') say(status(mount, message.id, known.session, known.vfs));
    else if (message.kind === 'sync') say({ kind: 'synced', mount, id: message.id, errno: 0, reason: '' });
    else if (message.kind === 'close')
      say({ kind: 'closed', mount, id: message.id, closed: { done: true, paths: [], trouble: '' } });
    else if (message.kind === 'finish') {
      asked.add(mount);
      known.session.end('aborted');
    } else if (message.kind === 'drop') mounts.delete(mount);
  }
});
