/**
 * A vnodefs daemon for the crash tests: `node rig-daemon.js MOUNTPOINT JSON`. The core, the kernel session and the
 * product's own syncer and notifier threads, as the dispatcher puts them together, with the recorder of requests in
 * between. Prints `ready`; ends when unmounted, having written the request log.
 */
import { writeSync, openSync } from 'node:fs';
import {
  isMainThread,
  MessageChannel,
  receiveMessageOnPort,
  Worker,
  workerData,
  type MessagePort,
} from 'node:worker_threads';
import { createEventFd } from '../../src/base/descriptors.js';
import { SystemClock } from '../../src/base/system-clock.js';
import { kernelCapabilities } from '../../src/fuse/kernel/capabilities.js';
import { DeviceLoop } from '../../src/fuse/kernel/device-loop.js';
import { mountKernel } from '../../src/fuse/kernel/mount.js';
import { Notifications } from '../../src/fuse/kernel/notifications.js';
import type { NotifierWorkerData } from '../../src/fuse/kernel/notifier-messages.js';
import { KernelSession } from '../../src/fuse/kernel/session.js';
import { defaultSessionOptions } from '../../src/fuse/kernel/session-options.js';
import { IntentLog } from '../../src/store/intent-log.js';
import { lockStore } from '../../src/store/lock.js';
import { PAGE_BYTES } from '../../src/store/types.js';
import type { SyncerReply, SyncerRequest, SyncerWorkerData } from '../../src/syncer/messages.js';
import { Core } from '../../src/vfs/core.js';
import { Shared } from '../../src/vfs/shared.js';
import { recordingVfs } from './recording-vfs.js';
import { barrierMark, RequestLog } from './request-log.js';

/** Deliberate bugs, to see that the replay finds them: commits that don't sync; barriers answered before their commit. */
export type Sabotage = 'none' | 'no-sync' | 'early-barrier';

export interface RigOptions {
  store: string;
  /** Where marks go: see disk-vfs.ts. */
  markFile: string;
  session: number;
  logFile: string;
  sabotage: Sabotage;
  syncIntervalMs: number;
  pages: number;
  vnodesMax: number;
  /** See SyncerLimits. */
  walSoftBytes: number;
  walHardBytes: number;
  keepFreePages: number;
  idleMs: number;
  /** 0: no intent log. */
  intentAfter: number;
  intentBytes: number;
}

interface RigWorkerData {
  fd: number;
  wakeFd: number;
  pool: SharedArrayBuffer;
  options: RigOptions;
  syncer: MessagePort;
  notifier: MessagePort;
  main: MessagePort;
}

const FINISH_MS = 20_000;

/** Parts that go to the intent log are noted before they do. */
const tapIntents = (log: RequestLog, sabotage: Sabotage): void => {
  const methods: {
    append: (this: IntentLog, ...args: Parameters<IntentLog['append']>) => boolean;
    sync: () => void;
  } = IntentLog.prototype;
  const { append } = methods;
  methods.append = function (part, ...rest): boolean {
    log.add({ change: 'part', txg: part.txg, part: part.part });
    return append.call(this, part, ...rest);
  };
  if (sabotage === 'no-sync') methods.sync = (): void => undefined;
};

const serve = (): void => {
  const { fd, wakeFd, pool, options, syncer, notifier, main } = workerData as RigWorkerData;
  const log = new RequestLog();
  tapIntents(log, options.sabotage);
  const markFd = openSync(options.markFile, 'w');
  const shared = new Shared({ pool, vnodesMax: options.vnodesMax, clock: new SystemClock() });
  const core = new Core(shared, {
    store: options.store,
    syncIntervalMs: options.syncIntervalMs,
    syncer: {
      send: (request: SyncerRequest) => {
        if (request.kind !== 'commit') return syncer.postMessage(request);
        log.add({ change: 'seal', txg: request.txg });
        const barrier = request.barrier && options.sabotage !== 'no-sync';
        syncer.postMessage({ ...request, barrier }, [request.log]);
      },
    },
    capabilities: kernelCapabilities(),
    readOnly: false,
    noatime: true,
    hostFreeBytes: () => 1 << 30,
    intentLog: options.intentAfter > 0,
  });
  const notifications = new Notifications(notifier);
  let closing = false;
  const close = (): void => {
    if (closing) return;
    closing = true;
    core.close();
    syncer.postMessage({ kind: 'close', whole: true });
  };
  const loop = new DeviceLoop({
    wakeFd,
    pollUs: 50,
    nextDeadlineMs: () => core.deadlineMs,
    onDeadline: () => core.poll(),
    expectsWake: () => core.txgs.barrierPending,
  });
  const session = new KernelSession({
    fd,
    vfs: recordingVfs(core.fs, {
      log,
      mark: (barrier) => void writeSync(markFd, barrierMark(options.session, barrier)),
      earlyBarriers: options.sabotage === 'early-barrier',
    }),
    pool,
    options: defaultSessionOptions,
    log: (level, message, fields) => {
      if (level === 'error') process.stderr.write(`rig: ${message} ${JSON.stringify(fields)}\n`);
    },
    notify: (messages, done) => notifications.send(fd, messages, done),
    onInit: () => main.postMessage('ready'),
    onEnd: () => {
      core.fs.beginUnmount();
      core.fs.forgetAll();
      core.fs.finishUnmount(() => close());
    },
  });
  loop.add(session);
  loop.run(() => {
    notifications.take();
    for (let got = receiveMessageOnPort(syncer); got; got = receiveMessageOnPort(syncer)) {
      const reply = got.message as SyncerReply;
      if (reply.kind === 'closed') {
        log.save(options.logFile);
        main.postMessage('closed');
        loop.stop();
        return;
      }
      if (reply.kind === 'log') core.txgs.onLog(reply);
      else if (reply.kind === 'intent-ready') core.txgs.intents?.ready();
      else core.onReply(reply);
    }
  });
};

const main = async (): Promise<void> => {
  const [mountpoint, json] = process.argv.slice(2);
  const options = JSON.parse(json) as RigOptions;
  lockStore(options.store);
  const mounted = mountKernel({
    mountpoint,
    fsname: options.store,
    allowOther: true,
    readOnly: false,
    nosuid: true,
    nodev: true,
    noexec: false,
    noatime: true,
  });
  const wakeFd = createEventFd();
  const pool = new SharedArrayBuffer(options.pages * PAGE_BYTES);
  const [toSyncer, toNotifier, toMain] = [new MessageChannel(), new MessageChannel(), new MessageChannel()];
  const { store, walSoftBytes, walHardBytes, keepFreePages, idleMs, intentAfter, intentBytes } = options;
  const syncerData: SyncerWorkerData = {
    ...{ store, readOnly: false, pool, wakeFd, dispatcher: toSyncer.port2 },
    limits: {
      walSoftBytes,
      walHardBytes,
      keepFreePages,
      idleMs,
      intentAfter: intentAfter || Infinity,
      intentBytes,
    },
  };
  const notifierData: NotifierWorkerData = { wakeFd, dispatcher: toNotifier.port2 };
  const rigData: RigWorkerData = {
    ...{ fd: mounted.fd, wakeFd, pool, options },
    ...{ syncer: toSyncer.port1, notifier: toNotifier.port1, main: toMain.port2 },
  };
  const product = (path: string): URL => new URL(`../../src/${path}`, import.meta.url);
  new Worker(product('syncer/syncer-worker.js'), { workerData: syncerData, transferList: [toSyncer.port2] });
  new Worker(product('fuse/kernel/notifier-worker.js'), {
    workerData: notifierData,
    transferList: [toNotifier.port2],
  });
  const transferList = [toSyncer.port1, toNotifier.port1, toMain.port2];
  const worker = new Worker(new URL(import.meta.url), { workerData: rigData, transferList });
  toMain.port1.on('message', (line: string) => {
    console.log(line);
    if (line === 'closed') setTimeout(() => process.exit(0), FINISH_MS).unref();
  });
  await new Promise((resolve) => worker.once('exit', resolve));
  // The worker's last words may still be on their way.
  for (let got = receiveMessageOnPort(toMain.port1); got; got = receiveMessageOnPort(toMain.port1)) {
    console.log(String(got.message));
  }
  process.exit(0);
};

if (isMainThread) await main();
else serve();
