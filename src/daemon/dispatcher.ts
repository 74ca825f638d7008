/**
 * The dispatcher: the caches that all mounts of the daemon share, one loop over their devices, and a
 * {@link ServedMount} for each, all on the thread that calls {@link Dispatcher.run}.
 *
 * INVARIANT: a mount is in `#mounts` from its 'add' until nothing of it is left in the shared caches.
 */
import { readlinkSync } from 'node:fs';
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { InvariantError } from '../base/assert.js';
import { SystemClock } from '../base/system-clock.js';
import { kernelCapabilities } from '../fuse/kernel/capabilities.js';
import { DeviceLoop } from '../fuse/kernel/device-loop.js';
import { Notifications } from '../fuse/kernel/notifications.js';
import { Rehearsal } from '../fuse/kernel/rehearsal/rehearsal.js';
import { defaultSessionOptions } from '../fuse/kernel/session-options.js';
import { KernelSession } from '../fuse/kernel/session.js';
import type { Core } from '../vfs/core.js';
import { Shared } from '../vfs/shared.js';
import type { FromDispatcher, MountConfig, ToDispatcher } from './messages.js';
import { ServedMount, type SessionEvents } from './served-mount.js';
import type { DispatcherWorkerData } from './workers.js';

/** A checkpoint that waits for readers waits no longer than this. */
const SNAPSHOT_MS = 20;
/** A request that comes during a rehearsal waits no longer than this. */
const REHEARSAL_STEP_MS = 1;

const threadSelf = (): string => {
  try {
    return readlinkSync('/proc/thread-self');
  } catch {
    return ''; // no /proc
  }
};

export class Dispatcher {
  readonly #main: MessagePort;
  readonly #notifications: Notifications;
  readonly #shared: Shared;
  readonly #loop: DeviceLoop;
  readonly #mounts: ServedMount<KernelSession>[] = [];
  readonly #task = threadSelf();
  #rehearsal: Rehearsal | undefined;

  constructor({ config, main, notifier }: DispatcherWorkerData) {
    this.#main = main;
    this.#notifications = new Notifications(notifier);
    const { pool, vnodesMax, wakeFd, pollUs, rehearsalDirectory } = config;
    this.#shared = new Shared({ pool, vnodesMax, clock: new SystemClock() });
    this.#loop = new DeviceLoop({
      wakeFd,
      pollUs,
      nextDeadlineMs: () => this.#nextDeadlineMs(),
      onDeadline: () => this.#onDeadline(),
      expectsWake: () => this.#expectsWake(),
      lookAhead: () => this.#lookAhead(),
      spareWork: rehearsalDirectory === undefined ? undefined : () => this.#rehearse(rehearsalDirectory),
    });
  }

  /** Serves for as long as the process lives. Throws InvariantError for a bug. */
  run(): void {
    this.#loop.run(
      () => this.#onWake(),
      () => this.#onIdle(),
    );
  }

  /**
   * After an exception in {@link run}: groups already handed over are whole, so let the syncers commit them, and close.
   * What an intent log has of the open group comes in with the next mount.
   */
  saveWhatIsSafe(): void {
    for (const mount of this.#mounts) mount.closeSyncer(false);
  }

  /** False: it is over. */
  #rehearse(directory: string): boolean {
    let said: Pick<Extract<FromDispatcher, { kind: 'log' }>, 'message' | 'fields'>;
    try {
      this.#rehearsal ??= new Rehearsal(directory);
      if (this.#rehearsal.step(REHEARSAL_STEP_MS)) return true;
      const { workedMs, kernel } = this.#rehearsal;
      said = { message: 'rehearsed', fields: { requests: kernel.requests, ms: Math.round(workedMs) } };
    } catch (error) {
      // Only speed is lost: no room for the scratch store, say.
      if (error instanceof InvariantError) throw error;
      said = { message: 'no rehearsal', fields: { error: String(error) } };
    }
    this.#rehearsal?.close();
    this.#rehearsal = undefined;
    const log: FromDispatcher = { kind: 'log', mount: this.#mounts[0].id, level: 'debug', ...said };
    this.#main.postMessage(log);
    return false;
  }

  #nextDeadlineMs(): number {
    let deadlineMs = this.#shared.vnlru.deadlineMs;
    for (const mount of this.#mounts) deadlineMs = Math.min(deadlineMs, mount.deadlineMs);
    return deadlineMs;
  }

  #onDeadline(): void {
    for (const mount of this.#mounts) mount.onDeadline();
    this.#shared.vnlru.vnlruProc();
  }

  #expectsWake(): boolean {
    for (const mount of this.#mounts) if (mount.barrierPending) return true;
    return false;
  }

  #onWake(): void {
    for (const mount of this.#mounts) mount.takeReplies();
    this.#notifications.take();
    for (let got = receiveMessageOnPort(this.#main); got; got = receiveMessageOnPort(this.#main)) {
      this.#onRequest(got.message as ToDispatcher);
    }
    this.#forgetDropped();
  }

  #onRequest(request: ToDispatcher): void {
    if (request.kind === 'add') {
      this.#add(request);
      return;
    }
    if (request.kind === 'ping') {
      this.#main.postMessage({ kind: 'pong', task: this.#task } satisfies FromDispatcher);
      return;
    }
    // None: it was refused, or has ended; the main thread will have heard so.
    this.#mounts.find(({ id }) => id === request.mount)?.onRequest(request);
  }

  #add({ mount, config, syncer }: Extract<ToDispatcher, { kind: 'add' }>): void {
    const say = (message: FromDispatcher): void => this.#main.postMessage(message);
    try {
      const served = new ServedMount(mount, config, {
        shared: this.#shared,
        syncer,
        say,
        capabilities: kernelCapabilities(),
        snapshotMs: SNAPSHOT_MS,
        intentLog: config.intentLog,
        notify: (messages, done) => this.#notifications.send(config.deviceFd, messages, done),
        newSession: (core, events) => this.#newSession(config, core, events),
        closeDevice: () => this.#notifications.closeDevice(config.deviceFd),
      });
      this.#mounts.push(served);
      this.#loop.add(served.session);
    } catch (error) {
      syncer.postMessage({ kind: 'close', whole: false });
      this.#notifications.closeDevice(config.deviceFd);
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      say({ kind: 'refused', mount, message, stack: stack ?? '' });
    }
  }

  #newSession(config: MountConfig, core: Core, events: SessionEvents): KernelSession {
    return new KernelSession({
      fd: config.deviceFd,
      vfs: core.fs,
      pool: core.pool.memory,
      options: {
        ...defaultSessionOptions,
        attrTtlMs: config.attrTtlMs,
        entryTtlMs: config.entryTtlMs,
        forcedUid: config.forcedUid,
        forcedGid: config.forcedGid,
        // With a size limit each write(2) must hear of ENOSPC itself: nothing may wait in the kernel's cache.
        writebackCache: config.writebackCache ?? !core.fs.hasSizeLimit,
        minorMax: config.protocolMinor ?? defaultSessionOptions.minorMax,
        traceFile: config.traceFile,
      },
      log: events.log,
      notify: (messages, done) => this.#notifications.send(config.deviceFd, messages, done),
      onInit: (protocol, features) => events.ready(protocol, features),
      onEnd: (cause) => events.ended(cause),
    });
  }

  #lookAhead(): boolean {
    for (const mount of this.#mounts) if (mount.lookAhead()) return true;
    return false;
  }

  #onIdle(): void {
    for (const mount of this.#mounts) mount.idle();
  }

  #forgetDropped(): void {
    for (let i = this.#mounts.length - 1; i >= 0; i--) if (this.#mounts[i].dropped) this.#mounts.splice(i, 1);
  }
}
