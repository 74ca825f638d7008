/**
 * The process of the fault-injecting store disk: `node disk-daemon.js MOUNTPOINT DIRECTORY SEED`. Prints `ready`, then
 * takes one JSON command a line on standard input and answers each with one line of JSON. Ends when its mount has gone.
 */
import { createInterface } from 'node:readline';
import { isMainThread, parentPort, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads';
import { createEventFd, EventFdWaker } from '../../src/base/descriptors.js';
import { DeviceLoop } from '../../src/fuse/kernel/device-loop.js';
import { mountKernel, unmountKernel } from '../../src/fuse/kernel/mount.js';
import { KernelSession } from '../../src/fuse/kernel/session.js';
import { defaultSessionOptions } from '../../src/fuse/kernel/session-options.js';
import type { FaultRule } from './disk-faults.js';
import { saveTrace } from './disk-trace.js';
import { DiskVfs } from './disk-vfs.js';

export type DiskCommand =
  | { command: 'faults'; rules: FaultRule[] }
  | { command: 'limit'; bytes: number | null }
  | { command: 'record'; on: boolean }
  /** Writes the trace so far to a file and forgets it. */
  | { command: 'save'; path: string }
  | { command: 'counts' }
  | { command: 'end' };

interface WorkerConfig {
  fd: number;
  wakeFd: number;
  dir: string;
  seed: number;
}

const obey = (vfs: DiskVfs, command: DiskCommand): unknown => {
  switch (command.command) {
    case 'faults':
      vfs.faults.set(command.rules);
      return {};
    case 'limit':
      vfs.limitBytes = command.bytes ?? Infinity;
      return {};
    case 'record':
      vfs.recording = command.on;
      return {};
    case 'save': {
      const records = vfs.records.length;
      saveTrace(command.path, vfs.records);
      vfs.records.length = 0;
      return { records };
    }
    case 'counts':
      return { faults: vfs.faults.counts, records: vfs.records.length };
    case 'end':
      return {};
  }
};

const serve = (): void => {
  const { fd, wakeFd, dir, seed } = workerData as WorkerConfig;
  const vfs = new DiskVfs(dir, seed);
  const loop = new DeviceLoop({ wakeFd, pollUs: 50 });
  const session = new KernelSession({
    fd,
    vfs,
    pool: new SharedArrayBuffer(4096),
    // Never READDIRPLUS: a look at the directory must not count as lookups of its files.
    options: { ...defaultSessionOptions, writebackCache: false, readdirPlus: 'never', attrTtlMs: 0 },
    log: (level, message, fields) => {
      if (level === 'error') process.stderr.write(`disk: ${message} ${JSON.stringify(fields)}\n`);
    },
    onInit: () => parentPort?.postMessage('ready'),
    onEnd: () => loop.stop(),
  });
  loop.add(session);
  loop.run(() => {
    for (
      let got = parentPort && receiveMessageOnPort(parentPort);
      got;
      got = receiveMessageOnPort(parentPort!)
    ) {
      parentPort?.postMessage(JSON.stringify(obey(vfs, got.message as DiskCommand)));
    }
  });
};

const main = async (): Promise<void> => {
  const [mountpoint, dir, seed] = process.argv.slice(2);
  const mounted = mountKernel({
    mountpoint,
    fsname: 'fault-disk',
    allowOther: true,
    readOnly: false,
    nosuid: true,
    nodev: true,
    noexec: true,
    noatime: true,
  });
  const wakeFd = createEventFd();
  const config: WorkerConfig = { fd: mounted.fd, wakeFd, dir, seed: Number(seed) };
  const worker = new Worker(new URL(import.meta.url), { workerData: config });
  const waker = new EventFdWaker(wakeFd);
  worker.on('message', (line: string) => console.log(line));
  const input = createInterface({ input: process.stdin });
  const unmount = (): void => {
    unmountKernel(mounted.mountpoint, { lazy: true }).catch((error: unknown) => console.error(String(error)));
  };
  input.on('line', (line) => {
    const command = JSON.parse(line) as DiskCommand;
    if (command.command === 'end') {
      unmount();
      return;
    }
    worker.postMessage(command);
    waker.wake();
  });
  // Whoever started the disk has gone.
  input.on('close', unmount);
  await new Promise((resolve) => worker.once('exit', resolve));
  process.exit(0);
};

if (isMainThread) await main();
else serve();
