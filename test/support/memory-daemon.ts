/**
 * A process that mounts and serves a {@link MemoryVfs}: `node memory-daemon.js <mountpoint> [JSON]`. The main thread
 * mounts, a worker serves. Prints `ready <protocol> <features>` on standard output when INIT is answered; on standard
 * input, "end" unmounts, "prune <ino>" (inodes 2 to that), "forget <name>" (in the root) and "invalidate <ino>" notify
 * the kernel and print `notified <errno>`. At its end it prints one line of JSON with request counts.
 */
import { createInterface } from 'node:readline';
import { isMainThread, parentPort, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads';
import { createEventFd, EventFdWaker } from '../../src/base/descriptors.js';
import { asIno, byteName, ROOT_INO } from '../../src/base/ids.js';
import { DeviceLoop } from '../../src/fuse/kernel/device-loop.js';
import { mountKernel, unmountKernel } from '../../src/fuse/kernel/mount.js';
import { notifyInvalEntry, notifyInvalInode, notifyPrune } from '../../src/fuse/kernel/notify.js';
import { KernelSession } from '../../src/fuse/kernel/session.js';
import { defaultSessionOptions, type KernelSessionOptions } from '../../src/fuse/kernel/session-options.js';
import { MemoryVfs } from './memory-vfs.js';

export interface MemoryDaemonOptions extends Partial<KernelSessionOptions> {
  allowOther?: boolean;
  pollUs?: number;
  poolBytes?: number;
}
interface WorkerConfig {
  fd: number;
  wakeFd: number;
  options: MemoryDaemonOptions;
}

const serve = (): void => {
  const { fd, wakeFd, options } = workerData as WorkerConfig;
  const pool = new SharedArrayBuffer(options.poolBytes ?? 64 << 20);
  const vfs = new MemoryVfs(pool);
  const loop = new DeviceLoop({ wakeFd, pollUs: options.pollUs ?? 50 });
  const session = new KernelSession({
    fd,
    vfs,
    pool,
    options: { ...defaultSessionOptions, ...options },
    log: (level, message, fields) =>
      parentPort?.postMessage(`log ${level} ${message} ${JSON.stringify(fields)}`),
    onInit: (protocol, features) => parentPort?.postMessage(`ready ${protocol} ${features.join(',')}`),
    onEnd: (cause) => {
      const cpu = process.cpuUsage();
      parentPort?.postMessage(
        JSON.stringify({
          cause,
          requests: session.requestCounts(),
          counters: session.counters(),
          sleeps: loop.sleeps,
          handles: vfs.handles.size,
          lookups: [...vfs.nodes.values()].reduce((sum, node) => sum + node.lookups, 0),
          cpuMs: (cpu.user + cpu.system) / 1000,
        }),
      );
      loop.stop();
    },
  });
  loop.add(session);
  loop.run(() => {
    if (parentPort !== null && receiveMessageOnPort(parentPort) !== undefined) loop.stop();
  });
};

const main = async (): Promise<void> => {
  const [mountpoint, json = '{}'] = process.argv.slice(2);
  const options = JSON.parse(json) as MemoryDaemonOptions;
  const mounted = mountKernel({
    mountpoint,
    fsname: 'memory, of the \\tests',
    allowOther: options.allowOther ?? false,
    readOnly: false,
    nosuid: true,
    nodev: false,
    noexec: false,
    noatime: false,
  });
  const wakeFd = createEventFd();
  const config: WorkerConfig = { fd: mounted.fd, wakeFd, options };
  const worker = new Worker(new URL(import.meta.url), { workerData: config });
  worker.on('message', (line: string) => console.log(line));
  const input = createInterface({ input: process.stdin });
  input.on('line', (line) => {
    const [command, argument] = line.split(' ');
    if (command === 'end') {
      unmountKernel(mounted.mountpoint, { lazy: false }).catch((e: unknown) => console.log(String(e)));
    } else if (command === 'prune') {
      const inos = Array.from({ length: Number(argument) - 1 }, (_, i) => asIno(i + 2));
      console.log(`notified ${notifyPrune(mounted.fd, inos)}`);
    } else if (command === 'forget') {
      console.log(`notified ${notifyInvalEntry(mounted.fd, ROOT_INO, byteName(argument))}`);
    } else if (command === 'invalidate') {
      console.log(`notified ${notifyInvalInode(mounted.fd, asIno(Number(argument)), 0, 0)}`);
    }
  });
  await new Promise((resolve) => worker.once('exit', resolve));
  new EventFdWaker(wakeFd).wake();
  input.close();
  process.exit(0);
};

if (isMainThread) await main();
else serve();
