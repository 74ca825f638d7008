/**
 * The dispatcher of the fuse-native transport: as {@link Dispatcher}, but on the main thread, since that binding serves
 * no other. It lives in turns of the event loop, beside control socket, log and signals, and speaks the same messages
 * over a port whose other end is on the same thread.
 *
 * INVARIANT: nothing on this thread waits for a mount that it serves: unmounting, probing and flushing are done by
 * children.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { onMacos } from '../base/macos/system.js';
import { SystemClock } from '../base/system-clock.js';
import type { FuseClass } from '../fuse/fuse-native/binding.js';
import { nativeCapabilities } from '../fuse/fuse-native/capabilities.js';
import { deviceEnd, fuseDescriptors } from '../fuse/fuse-native/device-watch.js';
import { linuxPlatform, macosPlatform } from '../fuse/fuse-native/platform.js';
import { NativeSession } from '../fuse/fuse-native/session.js';
import type { SyncerReply } from '../syncer/messages.js';
import type { Core } from '../vfs/core.js';
import { Shared } from '../vfs/shared.js';
import { mountGone } from './macos-host.js';
import type { DispatcherConfig, FromDispatcher, MountConfig, ToDispatcher } from './messages.js';
import type { OnWorkerTrouble, StartDispatcher } from './ports.js';
import { ServedMount, type SessionEvents } from './served-mount.js';

type Add = Extract<ToDispatcher, { kind: 'add' }>;
const TIMER_MAX_MS = 0x7fff_ffff;

export class MainDispatcher {
  readonly #binding: FuseClass;
  readonly #main: MessagePort;
  readonly #shared: Shared;
  readonly #onTrouble: OnWorkerTrouble;
  readonly #mounts: ServedMount<NativeSession>[] = [];
  /** The last mount begun, settled when it is mounted: one at a time, since each is known by the descriptor that it adds. */
  #mounting: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #timerMs = Infinity;

  constructor(binding: FuseClass, config: DispatcherConfig, main: MessagePort, onTrouble: OnWorkerTrouble) {
    this.#binding = binding;
    this.#main = main;
    this.#onTrouble = onTrouble;
    this.#shared = new Shared({
      pool: config.pool,
      vnodesMax: config.vnodesMax,
      clock: new SystemClock(),
    });
    main.on('message', (request: ToDispatcher) => this.#guard(() => this.#onRequest(request)));
  }

  /** What goes wrong here is the main thread's own trouble. */
  #guard(act: () => void): void {
    try {
      act();
      this.#forgetDropped();
      this.#setTimer();
    } catch (error) {
      this.#onTrouble(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #onRequest(request: ToDispatcher): void {
    if (request.kind === 'add') this.#add(request);
    else if (request.kind === 'ping')
      this.#main.postMessage({ kind: 'pong', task: '' } satisfies FromDispatcher);
    // None: it was refused, or has ended; the main thread will have heard so.
    else this.#mounts.find(({ id }) => id === request.mount)?.onRequest(request);
  }

  #add({ mount, config, syncer }: Add): void {
    const say = (message: FromDispatcher): void => this.#main.postMessage(message);
    const refuse = (error: unknown): void => {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      say({ kind: 'refused', mount, message, stack: stack ?? '' });
    };
    try {
      const served: ServedMount<NativeSession> = new ServedMount(mount, config, {
        shared: this.#shared,
        syncer,
        say,
        capabilities: nativeCapabilities({ allowOther: config.flags.allowOther }),
        newSession: (core, events) => this.#newSession(config, core, events, refuse),
        closeDevice: () => undefined, // libfuse's own threads close it
      });
      syncer.on('message', (reply: SyncerReply) => this.#guard(() => served.onSyncerReply(reply)));
      this.#mounts.push(served);
    } catch (error) {
      syncer.postMessage({ kind: 'close', whole: false });
      refuse(error);
    }
  }

  #newSession(
    config: MountConfig,
    core: Core,
    events: SessionEvents,
    refuse: (error: unknown) => void,
  ): NativeSession {
    const { mountpoint, fsname, flags, attrTtlMs, entryTtlMs, forcedUid, forcedGid } = config;
    const session = new NativeSession({
      vfs: core.fs,
      pool: core.pool.memory,
      binding: this.#binding,
      options: {
        ...flags,
        mountpoint,
        fsname,
        attrTtlMs,
        entryTtlMs,
        forcedUid,
        forcedGid,
        asRoot: process.geteuid?.() === 0,
        platform: onMacos ? macosPlatform : linuxPlatform,
      },
      log: events.log,
      turnEnded: () => this.#setTimer(),
      onEnd: (cause) => events.ended(cause),
    });
    this.#mount(session, mountpoint, events).catch(refuse);
    return session;
  }

  async #mount(session: NativeSession, mountpoint: string, events: SessionEvents): Promise<void> {
    const mounted = this.#mounting.then(async () => {
      const before = onMacos ? undefined : fuseDescriptors();
      await session.mount();
      // In an object: a promise that resolves with a promise would wait for it.
      return { end: before === undefined ? mountGone(mountpoint) : deviceEnd(before) };
    });
    this.#mounting = mounted.catch(() => undefined);
    const { end } = await mounted;
    events.ready('libfuse 2.9', ['fuse-native 2.2.6', ...session.features]);
    await end;
    this.#guard(() => session.end('unmounted'));
  }

  #nextDeadlineMs(): number {
    let deadlineMs = this.#shared.vnlru.deadlineMs;
    for (const mount of this.#mounts) deadlineMs = Math.min(deadlineMs, mount.deadlineMs);
    return deadlineMs;
  }

  /** The timer that stands is kept while it is early enough: requests come far oftener than deadlines. */
  #setTimer(): void {
    const deadlineMs = this.#nextDeadlineMs();
    if (deadlineMs >= this.#timerMs || deadlineMs === Infinity) return;
    clearTimeout(this.#timer);
    this.#timerMs = deadlineMs;
    const delayMs = Math.min(TIMER_MAX_MS, Math.max(0, Math.ceil(deadlineMs - performance.now())));
    this.#timer = setTimeout(() => this.#guard(() => this.#onTimer()), delayMs);
  }

  #onTimer(): void {
    this.#timerMs = Infinity;
    if (performance.now() < this.#nextDeadlineMs()) return;
    for (const mount of this.#mounts) {
      mount.session.settleNow();
      mount.onDeadline();
    }
    this.#shared.vnlru.vnlruProc();
  }

  #forgetDropped(): void {
    for (let i = this.#mounts.length - 1; i >= 0; i--) if (this.#mounts[i].dropped) this.#mounts.splice(i, 1);
  }
}

export const mainDispatcherStarter =
  (binding: FuseClass): StartDispatcher =>
  (config, onTrouble) => {
    const { port1, port2 } = new MessageChannel();
    new MainDispatcher(binding, config, port2, onTrouble);
    return port1;
  };
