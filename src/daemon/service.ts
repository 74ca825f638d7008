/**
 * One mount's life as the main thread sees it. The main thread never touches a path below the mount.
 *
 *   starting  claim the store, mount, start the workers, wait for 'ready'. A failure detaches the mount again.
 *   running   until somebody unmounts (the dispatcher says 'finished' by itself) or {@link MountService.stop}
 * is called.
 *   stopping  detach; when busy write back, sync and detach lazily; ask the dispatcher to finish; all before a
 * deadline.
 *   ended     {@link MountService.ended} has resolved, once. Whatever led here, the mount point no longer
 *             shows our mount, unless detaching failed (which is logged).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EndResult } from './control-protocol.js';
import type { Finished, LogMessage, MountLink } from './dispatcher-link.js';
import { asFailure, errorText, Failure } from './failure.js';
import type { Host } from './host.js';
import { errorFields, type Log } from './log.js';
import type { Account, DispatcherStatus, MountConfig } from './messages.js';
import { Errno } from '../base/errno.js';
import { isOurs, mountAt, type MountEntry } from '../base/mountinfo.js';
import type { DaemonPorts, StoreClaim } from './ports.js';
import { remount, type RemountReport, type RemountRequest } from './remount.js';
import type { MountSettings } from './settings.js';
import type { DaemonThreads, MountThreads } from './threads.js';
import { leftUnsaved, type UnmountReport, type UnmountRequest } from './unmount-report.js';
import { awaitWriteBack } from './write-back.js';
import { Unmounter, type FinishResult, type Unmountable } from './unmounter.js';

/** After a failure of another thread the syncer has so long for the group that it has been given. */
const SETTLE_MS = 2_000;
const ARRIVE_MS = 20_000;
const NO_ACCOUNT: Account = { closed: true, flushed: { files: 0, bytes: 0 }, dropped: [], droppedMore: 0 };

/** Injected so that tests need not wait. */
export interface ServiceLimits {
  /** From mounted to INIT answered; a store with a long write-ahead log is recovered in this time. */
  readyMs: number;
  /** From the first stop to the end, come what may. */
  stopMs: number;
  /** After a plain detach the dispatcher sees the end by itself; past this it is told. */
  noticeMs: number;
}
export const DEFAULT_LIMITS: ServiceLimits = {
  readyMs: 60_000,
  stopMs: 10_000,
  noticeMs: 1_000,
};

export interface End extends EndResult {
  exitCode: number;
}

export interface Started {
  created: boolean;
  protocol: string;
}

const endOf = ({ errno, reason, dropped }: Pick<UnmountReport, 'errno' | 'reason' | 'dropped'>): End => ({
  exitCode: errno === 0 && !leftUnsaved(dropped) ? 0 : 1,
  errno,
  reason,
});

export class MountService {
  readonly ended: Promise<End>;
  readonly #settings: MountSettings;
  readonly #ports: DaemonPorts;
  readonly #host: Host;
  readonly #log: Log;
  readonly #threads: DaemonThreads;
  readonly #limits: ServiceLimits;
  #state: 'starting' | 'running' | 'stopping' | 'ended' = 'starting';
  #resolveEnded!: (end: End) => void;
  #claim: StoreClaim | undefined;
  #served: MountThreads | undefined;
  #startFailed: ((error: Failure) => void) | undefined;
  /** Device number of our mount: so that we never detach what somebody mounted there later. */
  #device: string | undefined;
  /** The one in progress. */
  #unmounter: Unmounter | undefined;
  /** The syncer has ended in order. */
  #closed = false;
  #finishWith!: (result: FinishResult) => void;
  readonly #result: Promise<FinishResult>;

  constructor(
    settings: MountSettings,
    ports: DaemonPorts,
    host: Host,
    log: Log,
    threads: DaemonThreads,
    limits: ServiceLimits = DEFAULT_LIMITS,
  ) {
    this.#settings = settings;
    this.#ports = ports;
    this.#host = host;
    this.#log = log;
    this.#threads = threads;
    this.#limits = limits;
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    this.#result = new Promise((resolve) => (this.#finishWith = resolve));
  }

  get state(): string {
    return this.#state;
  }

  #sayReplayed(replayed: number | string): void {
    if (typeof replayed === 'string')
      this.#log.write('warn', 'the intent log is not used', { reason: replayed });
    else if (replayed > 0)
      this.#log.write('info', 'brought in what fsync had confirmed', { groups: replayed });
  }

  /** Resolves when the mount answers. Rejects with a Failure, everything undone. */
  async start(): Promise<Started> {
    const { store, mountpoint, flags } = this.#settings;
    try {
      this.#claim = this.#ports.store.claim(store, flags.readOnly);
      this.#sayReplayed(this.#claim.replayed);
      const source = flags.fsname ?? store;
      const { deviceFd } = this.#ports.mounter.mount({ mountpoint, source, flags });
      if (deviceFd >= 0) this.#device = mountAt(this.#host.mounts(), mountpoint)?.device;
      const protocol = await this.#serve(this.#config(deviceFd));
      if (this.#state === 'starting') this.#state = 'running';
      return { created: this.#claim.created, protocol };
    } catch (error) {
      this.#state = 'ended';
      await this.#detachLazily(2_000);
      void this.#abandon();
      throw asFailure(error);
    }
  }

  /** Rejects with a Failure once the mount has ended. */
  status(check = false): Promise<DispatcherStatus> {
    return this.#running().status(check);
  }

  /** Whoever asks has had the kernel write back. */
  async sync(): Promise<EndResult> {
    const link = this.#running();
    await awaitWriteBack(link, ARRIVE_MS);
    return link.sync();
  }

  /**
   * Unmounts as {@link Unmounter} does. `unmounted`: the mount has ended, or does so at once. Another outcome: it goes on. Rejects with a
   * Failure while another unmount is in progress, unless this one is forced.
   */
  async unmount(request: UnmountRequest): Promise<UnmountReport> {
    this.#running();
    if (this.#unmounter !== undefined) {
      if (request.mode !== 'force')
        throw new Failure('busy', `another unmount of ${this.#settings.mountpoint} is in progress`);
      this.#unmounter.hurry();
    }
    const unmounter = new Unmounter(this.#unmountable(), request);
    this.#unmounter = unmounter;
    try {
      const report = await unmounter.run();
      this.#log.write(report.outcome === 'unmounted' ? 'info' : 'warn', 'unmount', { report });
      if (report.outcome === 'unmounted') this.#end(endOf(report));
      return report;
    } finally {
      if (this.#unmounter === unmounter) this.#unmounter = undefined;
    }
  }

  /** Throws a Failure with nothing changed. */
  async remount(request: RemountRequest): Promise<RemountReport> {
    const link = this.#running();
    const mount = this.#mounted();
    const { mountpoint, flags } = this.#settings;
    if (mount === undefined) throw new Failure('mount', `${mountpoint} is detached`);
    const { mounter } = this.#ports;
    const setReadOnly = async (readOnly: boolean): Promise<EndResult> => {
      if (readOnly) await awaitWriteBack(link, ARRIVE_MS);
      return link.setReadOnly(readOnly);
    };
    const report = await remount({ mount, flags, mounter, host: this.#host, setReadOnly }, request);
    this.#log.write('info', 'remounted', { ...report });
    return report;
  }

  #unmountable(): Unmountable {
    const { mountpoint, store } = this.#settings;
    const link = this.#running();
    const host = this.#host;
    return {
      mountpoint,
      store,
      host,
      mounted: () => this.#mounted(),
      arrived: (limitMs) => awaitWriteBack(link, limitMs),
      tally: () => link.tally(),
      closeFiles: (how) => link.closeFiles(how),
      finish: (limitMs) => {
        link.finish(limitMs);
        return this.#result;
      },
      finished: () => {
        // Detached, but perhaps still held from another mount namespace: then the dispatcher never sees the end by itself.
        const notice = setTimeout(() => link.finish(), this.#limits.noticeMs);
        void this.ended.finally(() => clearTimeout(notice));
        return this.#result;
      },
    };
  }

  /** SIGTERM and SIGINT: write-close, then force, within the deadline; a second call ends at once. `ended` tells how it went. */
  async stop(cause: string): Promise<void> {
    if (this.#state === 'ended') return;
    if (this.#state === 'starting') {
      this.#startFailed?.(new Failure('general', `stopped by ${cause} before the mount was ready`));
      return;
    }
    if (this.#state === 'stopping') return this.#giveUp(`a second ${cause}`);
    this.#state = 'stopping';
    this.#log.write('info', 'stopping', { cause });
    const timeoutMs = this.#limits.stopMs;
    const deadline = setTimeout(() => void this.#giveUp('the deadline'), timeoutMs);
    void this.ended.finally(() => clearTimeout(deadline));
    try {
      // An unmount in progress may yet be refused: this one overtakes it.
      this.#unmounter?.hurry();
      this.#unmounter = undefined;
      await this.unmount({ mode: 'write-close', timeoutMs, thenForce: true });
    } catch (error) {
      if (this.#over) return;
      this.#log.write('error', 'could not stop in order', errorFields(error));
      await this.#giveUp('an error');
    }
  }

  get #over(): boolean {
    return this.#state === 'ended';
  }

  /** A worker or the main thread has failed: no mount may be left hanging. */
  async fail(error: Error): Promise<void> {
    if (this.#state === 'ended') return;
    this.#log.write('error', `fatal: ${errorText(error)}`, errorFields(error));
    if (this.#state === 'starting') {
      this.#startFailed?.(
        new Failure('general', `the daemon failed at start: ${errorText(error)}`, { cause: error }),
      );
      return;
    }
    if (this.#device !== undefined) this.#host.abort(this.#device);
    await this.#detachLazily(3_000);
    // What was handed to the syncer is a whole group: it may still be committed.
    await Promise.race([this.#served?.settled(), sleep(SETTLE_MS)]);
    this.#end({ exitCode: 1, errno: Errno.EIO, reason: `the daemon failed: ${errorText(error)}` });
  }

  #running(): MountLink {
    if (this.#served === undefined || this.#state === 'starting' || this.#state === 'ended')
      throw new Failure('general', 'the mount is not running');
    return this.#served.link;
  }

  #config(deviceFd: number): MountConfig {
    const { store, mountpoint, flags, tuning } = this.#settings;
    return {
      store,
      mountpoint,
      deviceFd,
      fsname: flags.fsname ?? store,
      flags,
      syncIntervalMs: tuning.syncIntervalMs,
      readOnly: flags.readOnly,
      noatime: flags.noatime,
      forcedUid: tuning.forcedUid,
      forcedGid: tuning.forcedGid,
      attrTtlMs: tuning.attrTtlMs,
      entryTtlMs: tuning.entryTtlMs,
      writebackCache: tuning.writebackCache,
      intentLog: tuning.intentLog,
      protocolMinor: tuning.protocolMinor,
      traceFile: tuning.traceFile,
    };
  }

  /** Has the device served; resolves with the protocol version when the dispatcher has answered INIT. */
  #serve(config: MountConfig): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(new Failure('timed-out', `the mount did not come up in ${this.#limits.readyMs / 1000} s`)),
        this.#limits.readyMs,
      );
      this.#startFailed = (error) => {
        clearTimeout(timer);
        reject(error);
      };
      const fail = (error: Error): void => void this.fail(error);
      const events = {
        ready: (protocol: string, features: string[]) => {
          clearTimeout(timer);
          this.#startFailed = undefined;
          // A transport that mounts by itself has done so only now.
          this.#device ??= mountAt(this.#host.mounts(), config.mountpoint)?.device;
          this.#ports.mounter.settled(config.mountpoint);
          const { name, reason } = this.#ports.transport;
          this.#log.write('info', 'mounted', {
            ...this.#settings,
            transport: name,
            transportReason: reason,
            protocol,
            features,
          });
          resolve(protocol);
        },
        refused: fail,
        log: ({ level, message, fields }: LogMessage) => this.#log.write(level, message, fields),
        finished: (message: Finished) => void this.#finished(message),
      };
      this.#served = this.#threads.serve(config, events, fail);
    });
  }

  async #finished({ errno, reason, cause, account = NO_ACCOUNT }: Finished): Promise<void> {
    if (this.#state === 'ended') return;
    if (this.#state === 'starting') {
      this.#startFailed?.(new Failure('general', `the mount ended before it was ready (${reason || cause})`));
      return;
    }
    this.#log.write(errno === 0 ? 'info' : 'error', 'finished', { errno, reason, cause, ...account });
    const { closed, ...saved } = account;
    this.#closed = closed;
    this.#finishWith({ errno, reason, ...saved });
    if (this.#unmounter !== undefined) return; // it ends the mount, when it has made its report
    // 'aborted': somebody cut the connection, and the dead mount is still there.
    if (cause === 'aborted') await this.#detachLazily(3_000);
    this.#end(endOf({ errno, reason, ...saved }));
  }

  async #giveUp(why: string): Promise<void> {
    if (this.#state === 'ended') return;
    const reason = `stopped without waiting for the last changes, because of ${why}`;
    this.#log.write('error', reason);
    await this.#detachLazily(2_000);
    this.#end({ exitCode: 1, errno: Errno.EIO, reason });
  }

  #mounted(): MountEntry | undefined {
    const mount = mountAt(this.#host.mounts(), this.#settings.mountpoint);
    return mount !== undefined && isOurs(mount) && mount.device === this.#device ? mount : undefined;
  }

  async #detachLazily(timeoutMs: number): Promise<void> {
    if (this.#device === undefined || this.#mounted() === undefined) return;
    const detached = await this.#host.detach(this.#settings.mountpoint, true, timeoutMs);
    if (detached.outcome !== 'done' && detached.outcome !== 'not-mounted')
      this.#log.write('error', 'could not detach the mount', { ...detached });
  }

  #end(end: End): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    if (this.#closed) {
      this.#served?.link.close();
      this.#served?.link.drop();
      this.#claim?.release(true);
    } else void this.#abandon();
    this.#resolveEnded(end);
  }

  /** The store stays locked until the syncer, which may still be writing to it, has ended. */
  async #abandon(): Promise<void> {
    this.#served?.link.close();
    await this.#served?.abandon();
    this.#claim?.release(false);
  }
}
