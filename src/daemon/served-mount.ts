/**
 * One mount on the dispatcher's thread: its core, its session with the kernel, its end.
 *
 *   serving   → the kernel lets go, the connection is cut, or the main thread asks
 *   finishing → everything dirty is committed as a barrier; a failing store is tried until {@link FINISH_LIMIT_MS}
 *   closing   → the reader is closed, the syncer told to fold in the WAL and close
 *   dropped   → nothing of it is left in the shared caches, and the main thread is told.
 *
 * Where the store doesn't take the last changes in time, the main thread is told first (finished); dropped comes when
 * it has ended the syncer, which may be reading page frames until then.
 */
import { statfsSync } from 'node:fs';
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { Errno, FsError } from '../base/errno.js';
import { Pruner } from '../fuse/kernel/pruner.js';
import type { EndCause, SessionLog } from '../fuse/kernel/session-options.js';
import type { SyncerReply } from '../syncer/messages.js';
import type { TransportCapabilities } from '../vfs/capabilities.js';
import { Core } from '../vfs/core.js';
import { closeFiles, type ClosedFiles } from '../vfs/force-close.js';
import { checkInvariants } from '../vfs/invariants.js';
import { lossesOf } from '../vfs/losses.js';
import type { Shared } from '../vfs/shared.js';
import { PAGE_BYTES } from '../store/types.js';
import { statusOf } from './dispatcher-status.js';
import type { Ino } from '../base/ids.js';
import type { FromMount, LogLevel, MountConfig, ToDispatcher } from './messages.js';

/** How long a store that fails is tried again at the end, before what it doesn't take is given up. */
const FINISH_LIMIT_MS = 10_000;
const HOST_FREE_TTL_MS = 1_000;

type Cause = Extract<FromMount, { kind: 'finished' }>['cause'];
type Request = Exclude<ToDispatcher, { kind: 'add' | 'ping' }>;

/** The transport's side of a mount. */
export interface ServedSession {
  /** Requests so far, by the transport's names for them. */
  requestCounts(): Record<string, number>;
  counters(): Record<string, number>;
  /** Stops serving. Idempotent; leads to {@link SessionEvents.ended}. */
  end(cause: EndCause): void;
}

export interface SessionEvents {
  readonly log: SessionLog;
  /** The kernel has been answered: the mount serves requests. */
  ready(protocol: string, features: readonly string[]): void;
  /** Called once. No request comes any more. */
  ended(cause: EndCause): void;
}

export interface MountSurroundings<S extends ServedSession> {
  shared: Shared;
  /** Carries SyncerRequest out, SyncerReply in. */
  syncer: MessagePort;
  say: (message: FromMount) => void;
  capabilities: TransportCapabilities;
  /** How long reads of the store may share a snapshot: only where {@link ServedMount.idle} is called. */
  snapshotMs?: number;
  /** Whether barriers may go by the intent log: see {@link CoreOptions}. */
  intentLog?: boolean;
  /** Sends notifications to the kernel; wanted where `capabilities.prune`. */
  notify?: ConstructorParameters<typeof Pruner>[0];
  newSession: (core: Core, events: SessionEvents) => S;
  /** The session has ended: its device isn't needed any more. */
  closeDevice: () => void;
}

export class ServedMount<S extends ServedSession> {
  readonly id: number;
  readonly session: S;
  readonly #core: Core;
  readonly #syncer: MessagePort;
  readonly #closeDevice: () => void;
  readonly #say: (message: FromMount) => void;
  /** Undefined: this transport can't have the kernel forget. */
  readonly #pruner: Pruner | undefined;
  #protocol = '';
  #phase: 'serving' | 'finishing' | 'closing' | 'finished' | 'dropped' = 'serving';
  #cause: Cause = 'unmounted';
  #finishUntilMs = Infinity;
  #wasFailing = false;
  #finishLimitMs = FINISH_LIMIT_MS;

  /** Errors: StoreError, FsError if the store can't be used; then nothing is left. */
  constructor(id: number, config: MountConfig, surroundings: MountSurroundings<S>) {
    const { shared, syncer, say, capabilities, notify, newSession, closeDevice } = surroundings;
    this.id = id;
    this.#syncer = syncer;
    this.#closeDevice = closeDevice;
    this.#say = say;
    const isResident = (ino: Ino): boolean => shared.vnodes.peek(this.#core.fs.mount, ino) !== undefined;
    this.#pruner = capabilities.prune && notify !== undefined ? new Pruner(notify, isResident) : undefined;
    this.#core = new Core(shared, {
      store: config.store,
      mountpoint: config.mountpoint,
      syncIntervalMs: config.syncIntervalMs,
      syncer: {
        send: (request) => {
          if (request.kind === 'commit') syncer.postMessage(request, [request.log]);
          else syncer.postMessage(request);
        },
      },
      capabilities,
      readOnly: config.readOnly,
      noatime: config.noatime,
      hostFreeBytes: hostFree(config.store),
      onReclaim: (vp) => this.#pruner?.add(vp),
      snapshotMs: surroundings.snapshotMs,
      intentLog: surroundings.intentLog,
    });
    this.session = newSession(this.#core, {
      log: (level, message, fields) => this.#log(level, message, fields),
      ready: (protocol, features) => {
        this.#protocol = protocol;
        this.#pruner?.start(Number(protocol.split('.')[1]));
        this.#say({ kind: 'ready', mount: this.id, protocol, features: [...features] });
      },
      ended: (cause) => this.#finish(cause),
    });
    if (this.#core.orphansReaped > 0) {
      this.#log('info', 'removed files that were unlinked while open', { count: this.#core.orphansReaped });
    }
  }

  get dropped(): boolean {
    return this.#phase === 'dropped';
  }

  /** When {@link onDeadline} wants to be called, on performance.now()'s scale. */
  get deadlineMs(): number {
    const { txgs, fs } = this.#core;
    if (fs.flushing) return 0;
    return Math.min(txgs.deadlineMs, this.#finishUntilMs, this.#pruner?.deadlineMs ?? Infinity);
  }

  /** The syncer is about to answer a barrier that somebody waits for. */
  get barrierPending(): boolean {
    return this.#core.txgs.barrierPending;
  }

  #log(level: LogLevel, message: string, fields: Record<string, unknown>): void {
    this.#say({ kind: 'log', mount: this.id, level, message, fields });
  }

  /** Takes the syncer's answers that have come. */
  takeReplies(): void {
    if (this.#phase === 'dropped') return;
    for (let got = receiveMessageOnPort(this.#syncer); got; got = receiveMessageOnPort(this.#syncer)) {
      this.onSyncerReply(got.message as SyncerReply);
    }
  }

  onRequest(request: Request): void {
    switch (request.kind) {
      case 'status': {
        const status = statusOf(
          this.#core,
          this.session,
          this.#pruner,
          this.#protocol,
          this.#phase !== 'serving',
        );
        if (request.check) status.broken = checkInvariants(this.#core.vnodes);
        this.#say({ kind: 'status', mount: this.id, id: request.id, status });
        return;
      }
      case 'sync':
        this.#core.vnodes.bioOps.bioOpsSync(this.#core.fs.mount, (error) => this.#synced(request.id, error));
        return;
      case 'tally':
        this.#core.fs.state.refusedWrites.beginUnmount();
        this.#core.txgs.tally = undefined; // of an unmount that was refused
        this.#core.txgs.waiveLogHeld();
        this.#tally();
        return;
      case 'close':
        this.#tally();
        this.#closeFiles(request.id, request.how);
        return;
      case 'read-only':
        this.#core.fs.setReadOnly(request.readOnly, (error) => this.#synced(request.id, error));
        return;
      case 'finish':
        if (this.#phase === 'serving') this.#cause = 'asked';
        this.#finishLimitMs = request.limitMs ?? FINISH_LIMIT_MS;
        if (this.#phase === 'finishing') this.#finishUntilMs = performance.now() + this.#finishLimitMs;
        this.session.end('aborted');
        return;
      case 'drop':
        this.#drop();
        return;
    }
  }

  #synced(id: number, error: FsError | undefined): void {
    const reason = error === undefined ? '' : (this.#core.txgs.failing?.reason ?? error.message);
    this.#say({ kind: 'synced', mount: this.id, id, errno: error?.errno ?? 0, reason });
  }

  #closeFiles(id: number, how: 'writers' | 'all'): void {
    const answer = (closed: ClosedFiles): void => this.#say({ kind: 'closed', mount: this.id, id, closed });
    if (this.#phase !== 'serving' || this.#core.fs.unmounting) {
      answer({ done: false, paths: [], trouble: 'an unmount is in progress' });
      return;
    }
    closeFiles(this.#core.fs, how, answer);
  }

  #tally(): void {
    this.#core.txgs.tally ??= { files: new Set(), pages: 0 };
  }

  onSyncerReply(reply: SyncerReply): void {
    if (reply.kind === 'closed') {
      this.#drop();
      this.#finished(reply.errno, reply.reason, true);
      return;
    }
    if (reply.kind === 'intent-ready') {
      this.#core.txgs.intents?.ready();
      return;
    }
    if (reply.kind === 'log') {
      this.#core.txgs.onLog(reply);
      if (reply.held !== '') this.#log('warn', 'writers wait', { reason: reply.held });
      else this.#log('info', 'writers go on', {});
      return;
    }
    this.#core.onReply(reply);
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

  /** No request is waiting: see {@link Core.lookAhead}. */
  lookAhead(): boolean {
    return this.#phase === 'serving' && this.#core.lookAhead();
  }

  /** Nor is one expected at once. */
  idle(): void {
    if (this.#phase === 'serving' || this.#phase === 'finishing') this.#core.idle();
  }

  onDeadline(): void {
    if (performance.now() >= this.#finishUntilMs) {
      const { failing } = this.#core.txgs;
      // While it closes everything is committed: the log that is left is folded in by the next mount.
      if (this.#phase === 'closing') this.#finished(0, '', false);
      else
        this.#finished(
          failing?.errno ?? Errno.EIO,
          failing?.reason ?? 'the store did not answer in time',
          false,
        );
      return;
    }
    if (this.#phase === 'serving' || this.#phase === 'finishing') this.#core.txgs.poll();
    this.#core.fs.flushSlice();
    this.#pruner?.poll();
  }

  /** No request comes any more. Whoever still uses a detached mount gets ENOTCONN once the device is closed. */
  #finish(cause: 'unmounted' | 'aborted'): void {
    this.#pruner?.stop();
    this.#closeDevice();
    if (this.#phase !== 'serving') return;
    if (this.#cause !== 'asked') this.#cause = cause;
    this.#phase = 'finishing';
    this.#finishUntilMs = performance.now() + this.#finishLimitMs;
    this.#tally();
    const { fs } = this.#core;
    fs.state.refusedWrites.noteNames(fs.mount);
    if (!fs.unmounting) fs.beginUnmount();
    this.#core.txgs.waiveLogHeld();
    fs.forgetAll();
    this.#commitLast();
  }

  #commitLast(): void {
    this.#core.fs.finishUnmount((error, open) => {
      // After a failure the next reply of the syncer, which tries again, brings us back here.
      if (error !== undefined || this.#phase !== 'finishing') return;
      if (open.length > 0) this.#log('warn', 'files were open at the end: closed by force', { open });
      this.#closeStore();
    });
  }

  /** `whole`: see CloseRequest. */
  closeSyncer(whole: boolean): void {
    this.#syncer.postMessage({ kind: 'close', whole });
  }

  /** The reader goes first: SQLite folds in and removes the WAL when the last connection closes. */
  #closeStore(): void {
    if (this.#phase !== 'finishing') return;
    this.#phase = 'closing';
    this.#core.close();
    this.closeSyncer(true);
  }

  /** `closed`: the syncer has ended. */
  #finished(errno: number, reason: string, closed: boolean): void {
    const { fs, txgs } = this.#core;
    const losses = lossesOf(fs.mount, fs.state.refusedWrites, txgs, reason);
    const { files, pages } = txgs.tally ?? { files: new Set(), pages: 0 };
    const flushed = { files: files.size, bytes: pages * PAGE_BYTES };
    if (this.#phase !== 'dropped') this.#phase = 'finished';
    this.#finishUntilMs = Infinity;
    const cause = this.#cause;
    const account = { closed, flushed, ...losses };
    this.#say({ kind: 'finished', mount: this.id, errno, reason, cause, account });
  }

  /** The syncer has ended. What isn't committed by now is given up. */
  #drop(): void {
    if (this.#phase === 'dropped') return;
    this.#phase = 'dropped';
    this.session.end('aborted');
    this.#core.drop();
    this.#core.close();
    this.#syncer.close();
    const { vnodes, pool } = this.#core.shared;
    const left = { vnodes: vnodes.count, pages: pool.resident, dirtyPages: vnodes.bufs.dirtyPages };
    // Of the other mounts, if there are any: otherwise all of it is 0, or something leaks.
    const leaks = vnodes.mountlist.mountlistBootGetfirst() === undefined && vnodes.count + pool.resident > 0;
    this.#log(leaks ? 'error' : 'info', 'memory after the mount', left);
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
