/**
 * The mounts of one daemon process: a {@link MountService} each, with its own registry entry and control socket, on
 * threads and budgets that all share.
 *
 * INVARIANT: {@link Daemon.ended} resolves once, when the last mount has ended; none can be added after that.
 */
import { rmSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { ControlServer } from './control-server.js';
import type { EndResult } from './control-protocol.js';
import { watchDispatcher } from './dispatcher-watch.js';
import { asFailure, Failure } from './failure.js';
import type { Host } from './host.js';
import type { Log } from './log.js';
import type { Surroundings } from './places.js';
import type { DaemonPorts } from './ports.js';
import { identify } from './process-identity.js';
import type { ReadyReport } from './ready.js';
import { registryFiles, removeEntry, writeEntry, type Registered } from './registry.js';
import { parseRemountRequest } from './remount.js';
import { DEFAULT_LIMITS, MountService, type Started } from './service.js';
import { parseSettings, type MountSettings } from './settings.js';
import type { ChosenTransport } from './transport.js';
import { DaemonThreads } from './threads.js';
import { parseUnmountRequest } from './unmount-report.js';
import type { Watchdog } from './watchdog.js';

export class Daemon {
  /** The exit code: that of the mount which ended worst. */
  readonly ended: Promise<number>;
  readonly #settings: MountSettings;
  readonly #ports: DaemonPorts;
  readonly #host: Host;
  readonly #here: Surroundings;
  readonly #log: Log;
  readonly #threads: DaemonThreads;
  readonly #watchdog: Watchdog;
  readonly #services = new Map<string, MountService>();
  #exitCode = 0;
  #closing = false;
  #resolveEnded!: (exitCode: number) => void;

  /** `settings` of the first mount: its budgets are the daemon's. Throws Failure. */
  constructor(settings: MountSettings, ports: DaemonPorts, host: Host, here: Surroundings, log: Log) {
    this.#settings = settings;
    this.#ports = ports;
    this.#host = host;
    this.#here = here;
    this.#log = log;
    this.#threads = new DaemonThreads(settings.tuning, ports, (error) => this.fail(error));
    this.#watchdog = watchDispatcher(
      () => this.#threads.ping(),
      settings.tuning.watchdogMs,
      log,
      (error) => this.fail(error),
    );
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
  }

  /** Mounts one more store. Resolves when it answers. Rejects with a Failure, everything undone. */
  async mount(settings: MountSettings): Promise<ReadyReport> {
    const { mountpoint } = settings;
    this.#admit(settings);
    const { file, socket } = registryFiles(mountpoint, this.#here);
    const log: Log = {
      ...this.#log,
      write: (level, message, fields) => this.#log.write(level, message, { mountpoint, ...fields }),
    };
    const service = new MountService(settings, this.#ports, this.#host, log, this.#threads, {
      ...DEFAULT_LIMITS,
      stopMs: settings.tuning.stopMs,
    });
    this.#services.set(mountpoint, service);
    const server = this.#controlOf(service);
    let registered: Registered | undefined;
    try {
      await server.listen(socket);
      const started = await service.start();
      this.#watchdog.start(); // a dispatcher that loads its modules is not silent yet
      registered = { file, entry: entryOf(settings, this.#ports.transport, socket) };
      writeEntry(file, registered.entry);
      void this.#finish(service, server, registered);
      return readyReport(this.#ports.transport, started);
    } catch (error) {
      await service.fail(asFailure(error)); // mounted, but not registered: undo that too
      await server.close();
      rmSync(socket, { force: true });
      this.#forget(mountpoint);
      throw error;
    }
  }

  /** SIGTERM and SIGINT: all mounts end within a deadline; a second call ends them at once. */
  stop(cause: string): void {
    this.#closing = true;
    for (const service of this.#services.values()) void service.stop(cause);
  }

  /** Something that all mounts depend on has failed. */
  fail(error: Error): void {
    this.#closing = true;
    for (const service of this.#services.values()) void service.fail(error);
  }

  #admit({ mountpoint, store }: MountSettings): void {
    if (this.#closing) throw new Failure('general', 'the daemon is ending: try again without --join');
    for (const served of this.#services.keys())
      for (const path of [mountpoint, store])
        if (path === served || path.startsWith(`${served}/`))
          throw new Failure(
            'mount',
            `${path} lies in ${served}, which the same daemon serves: mount it without --join`,
          );
  }

  #controlOf(service: MountService): ControlServer {
    const asked = service.ended.then(({ errno, reason }): EndResult => ({ errno, reason }));
    return new ControlServer({
      status: async (args) => service.status(isCheck(args)),
      sync: async () => service.sync(),
      end: () => asked,
      unmount: async (args) => service.unmount(parseUnmountRequest(args)),
      remount: async (args) => service.remount(parseRemountRequest(args)),
      join: async (args) => {
        const { logFile, logLevel, transport } = this.#settings;
        return this.mount({ ...parseSettings(args), logFile, logLevel, transport });
      },
    });
  }

  async #finish(service: MountService, server: ControlServer, registered: Registered): Promise<void> {
    const end = await service.ended;
    this.#exitCode = Math.max(this.#exitCode, end.exitCode);
    await setImmediate(); // lets the answers to 'end' be written before their connections are closed
    await server.close();
    removeEntry(registered);
    this.#forget(registered.entry.mountpoint);
  }

  #forget(mountpoint: string): void {
    this.#services.delete(mountpoint);
    if (this.#services.size > 0) return;
    this.#closing = true;
    this.#watchdog.stop();
    this.#resolveEnded(this.#exitCode);
  }
}

const isCheck = (args: unknown): boolean =>
  typeof args === 'object' && args !== null && 'check' in args && args.check === true;

const entryOf = (
  settings: MountSettings,
  transport: ChosenTransport,
  socket: string,
): Registered['entry'] => ({
  ...identify(process.pid),
  mountpoint: settings.mountpoint,
  store: settings.store,
  transport: transport.name,
  transportReason: transport.reason,
  logFile: settings.logFile,
  socket,
  startedMs: Date.now(),
});

const readyReport = (transport: ChosenTransport, { created, protocol }: Started): ReadyReport => ({
  kind: 'ready',
  pid: process.pid,
  transport: transport.name,
  transportReason: transport.reason,
  protocol,
  created,
});
