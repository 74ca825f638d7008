/**
 * The dispatcher: core, kernel session and device loop of one mount, all on the thread that calls {@link
 * Dispatcher.run}.
 *
 *   serving   → the kernel lets go, the connection is cut, or the main thread asks
 *   finishing → everything dirty is committed as a barrier; a failing store is tried until {@link FINISH_LIMIT_MS}
 *   closing   → the reader is closed, the syncer told to fold in the WAL and close
 *   finished  → the main thread is told; run() returns
 */
import { statfsSync } from 'node:fs';
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { Errno, FsError } from '../base/errno.js';
import { SystemClock } from '../base/system-clock.js';
import { DeviceLoop } from '../fuse/kernel/device-loop.js';
import { KernelSession } from '../fuse/kernel/session.js';
import { Notifications } from '../fuse/kernel/notifications.js';
import { defaultSessionOptions } from '../fuse/kernel/session-options.js';
import type { SyncerReply } from '../syncer/messages.js';
import { Core } from '../vfs/core.js';
import type { DispatcherWorkerData } from './workers.js';
import type { DispatcherConfig, FromDispatcher, LogLevel, ToDispatcher } from './messages.js';
import { statusOf } from './dispatcher-status.js';

/** How long a store that fails is tried again at the end, before what it doesn't take is given up. */
const FINISH_LIMIT_MS = 10_000;
const HOST_FREE_TTL_MS = 1_000;

type Cause = Extract<FromDispatcher, { kind: 'finished' }>['cause'];

export class Dispatcher {
  readonly #config: DispatcherConfig;
  readonly #main: MessagePort;
  readonly #syncer: MessagePort;
  readonly #notifications: Notifications;
  readonly #core: Core;
  readonly #session: KernelSession;
  readonly #loop: DeviceLoop;
  #protocol = '';
  #phase: 'serving' | 'finishing' | 'closing' | 'finished' = 'serving';
  #cause: Cause = 'unmounted';
  #finishUntilMs = Infinity;
  #wasFailing = false;

  /** Errors: StoreError, FsError if the store can't be used. */
  constructor({ config, main, syncer, notifier }: DispatcherWorkerData) {
    this.#config = config;
    this.#main = main;
    this.#syncer = syncer;
    this.#notifications = new Notifications(notifier);
    this.#core = new Core({
      store: config.store,
      pool: config.pool,
      vnodesMax: config.vnodesMax,
      syncIntervalMs: config.syncIntervalMs,
      clock: new SystemClock(),
      syncer: {
        send: (request) => {
          if (request.kind === 'commit') syncer.postMessage(request, [request.log]);
          else syncer.postMessage(request);
        },
      },
      readOnly: config.readOnly,
      noatime: config.noatime,
      hostFreeBytes: hostFree(config.store),
    });
    this.#session = new KernelSession({
      fd: config.deviceFd,
      vfs: this.#core.fs,
      pool: config.pool,
      options: {
        ...defaultSessionOptions,
        attrTtlMs: config.attrTtlMs,
        entryTtlMs: config.entryTtlMs,
        forcedUid: config.forcedUid,
        forcedGid: config.forcedGid,
        writebackCache: config.writebackCache,
        traceFile: config.traceFile,
      },
      log: (level, message, fields) => this.#log(level, message, fields),
      notify: (message, done) => this.#notifications.send(message, done),
      onInit: (protocol, features) => {
        this.#protocol = protocol;
        this.#post({ kind: 'ready', protocol, features });
      },
      onEnd: (cause) => this.#finish(cause),
    });
    this.#loop = new DeviceLoop({
      wakeFd: config.wakeFd,
      pollUs: config.pollUs,
      nextDeadlineMs: () => Math.min(this.#core.deadlineMs, this.#finishUntilMs),
      onDeadline: () => this.#onDeadline(),
      expectsWake: () => this.#core.txgs.barrierPending,
    });
    this.#loop.add(this.#session);
    if (this.#core.orphansReaped > 0) {
      this.#log('info', 'removed files that were unlinked while open', { count: this.#core.orphansReaped });
    }
  }

  /** Serves until the mount has ended and everything is stored. Throws InvariantError for a bug. */
  run(): void {
    this.#loop.run(() => this.#onWake());
  }

  #post(message: FromDispatcher): void {
    this.#main.postMessage(message);
  }

  #log(level: LogLevel, message: string, fields: Record<string, unknown>): void {
    this.#post({ kind: 'log', level, message, fields });
  }

  #onWake(): void {
    for (let got = receiveMessageOnPort(this.#syncer); got; got = receiveMessageOnPort(this.#syncer)) {
      this.#onSyncerReply(got.message as SyncerReply);
    }
    this.#notifications.take();
    for (let got = receiveMessageOnPort(this.#main); got; got = receiveMessageOnPort(this.#main)) {
      this.#onRequest(got.message as ToDispatcher);
    }
  }

  #onRequest(request: ToDispatcher): void {
    switch (request.kind) {
      case 'status': {
        const status = statusOf(this.#core, this.#session, this.#protocol, this.#phase !== 'serving');
        this.#post({ kind: 'status', id: request.id, status });
        return;
      }
      case 'sync':
        this.#core.fs.syncfs((error) => {
          const reason = error === undefined ? '' : (this.#core.txgs.failing?.reason ?? error.message);
          this.#post({ kind: 'synced', id: request.id, errno: error?.errno ?? 0, reason });
        });
        return;
      case 'finish':
        this.#cause = 'asked';
        this.#session.end('aborted');
        return;
    }
  }

  #onSyncerReply(reply: SyncerReply): void {
    if (reply.kind === 'closed') {
      this.#finished(reply.errno, reply.reason);
      return;
    }
    this.#core.txgs.onReply(reply);
    const failing = reply.errno !== 0;
    if (failing !== this.#wasFailing) {
      this.#wasFailing = failing;
      if (failing)
        this.#log('error', 'the store takes no writes; trying again', {
          errno: reply.errno,
          reason: reply.reason,
        });
      else this.#log('info', 'the store takes writes again', { txg: reply.txg });
    }
    if (this.#phase === 'finishing' && !failing) this.#commitLast();
  }

  #onDeadline(): void {
    if (performance.now() >= this.#finishUntilMs) {
      const { failing } = this.#core.txgs;
      this.#finished(failing?.errno ?? Errno.EIO, failing?.reason ?? 'the store did not answer in time');
      return;
    }
    this.#core.poll();
  }

  #finish(cause: 'unmounted' | 'aborted'): void {
    if (this.#phase !== 'serving') return;
    if (this.#cause !== 'asked') this.#cause = cause;
    this.#phase = 'finishing';
    this.#finishUntilMs = performance.now() + FINISH_LIMIT_MS;
    this.#core.fs.releaseAll();
    this.#commitLast();
  }

  #commitLast(): void {
    if (this.#config.readOnly) {
      this.#closeStore();
      return;
    }
    this.#core.fs.syncfs((error) => {
      // After a failure the next reply of the syncer, which tries again, brings us back here.
      if (error === undefined) this.#closeStore();
    });
  }

  /** The reader goes first: SQLite folds in and removes the WAL when the last connection closes. */
  #closeStore(): void {
    if (this.#phase !== 'finishing') return;
    this.#phase = 'closing';
    this.#finishUntilMs = Infinity;
    this.#core.close();
    this.#syncer.postMessage({ kind: 'close' });
  }

  #finished(errno: number, reason: string): void {
    this.#phase = 'finished';
    this.#post({ kind: 'finished', errno, reason, cause: this.#cause });
    this.#loop.stop();
  }
}

/** Bytes free where the store lies, asked for at most once a second. */
const hostFree = (store: string): (() => number) => {
  let bytes = 0;
  let untilMs = -Infinity;
  return () => {
    if (performance.now() < untilMs) return bytes;
    try {
      const stat = statfsSync(store);
      bytes = stat.bavail * stat.bsize;
    } catch (error) {
      throw new FsError(Errno.EIO, 'statfs', { cause: error });
    }
    untilMs = performance.now() + HOST_FREE_TTL_MS;
    return bytes;
  };
};
