/**
 * The threads of a daemon as the main thread sees them: dispatcher and notifier, shared by all mounts and living as
 * long as the process; and a syncer for each mount.
 */
import { keepFreedMemory, sharedMemory } from '../base/memory.js';
import { DispatcherLink, type MountEvents, type MountLink } from './dispatcher-link.js';
import { Failure } from './failure.js';
import type { MountConfig } from './messages.js';
import { runtimeDir, surroundings } from './places.js';
import type { DaemonPorts, OnWorkerTrouble } from './ports.js';
import type { Tuning } from './settings.js';

const PAGE_BYTES = 4096;

/** A mount's part of them. */
export interface MountThreads {
  link: MountLink;
  /** Ends the syncer, whatever it is doing, and then has the dispatcher drop the mount. Resolves when no thread uses its store. */
  abandon(): Promise<void>;
  /** Resolves when the syncer has ended by itself. */
  settled(): Promise<void>;
}

const allocatePool = (pagesMax: number): SharedArrayBuffer => {
  try {
    return sharedMemory(pagesMax * PAGE_BYTES);
  } catch (error) {
    throw new Failure('usage', `cannot set aside ${pagesMax} pages of memory: give a smaller --pages`, {
      cause: error,
    });
  }
};

export class DaemonThreads {
  readonly #ports: DaemonPorts;
  readonly #pool: SharedArrayBuffer;
  readonly #wakeFd: number;
  readonly #link: DispatcherLink;

  /** `onTrouble`: dispatcher or notifier has failed, and with it all mounts; may be called several times. Throws Failure. */
  constructor(tuning: Tuning, ports: DaemonPorts, onTrouble: OnWorkerTrouble) {
    const { pagesMax, vnodesMax, pollUs, rehearsal } = tuning;
    this.#ports = ports;
    keepFreedMemory();
    this.#pool = allocatePool(pagesMax);
    this.#wakeFd = ports.system.eventfd();
    const config = {
      pool: this.#pool,
      wakeFd: this.#wakeFd,
      vnodesMax,
      pollUs,
      rehearsalDirectory: rehearsal ? runtimeDir(surroundings()) : undefined,
    };
    const port = ports.startDispatcher(config, onTrouble);
    this.#link = new DispatcherLink(port, ports.system.waker(this.#wakeFd), onTrouble);
  }

  /** Resolves when the dispatcher has had its turn, with the name of its thread. Not two at a time. */
  ping(): Promise<string> {
    return this.#link.ping();
  }

  /** Starts the mount's syncer and has the dispatcher serve its device, which is the dispatcher's from now on. */
  serve(config: MountConfig, events: MountEvents, onTrouble: OnWorkerTrouble): MountThreads {
    const { store, readOnly } = config;
    const syncer = this.#ports.startSyncer(
      { store, readOnly, pool: this.#pool, wakeFd: this.#wakeFd },
      onTrouble,
    );
    const link = this.#link.add(config, syncer.dispatcher, events);
    return {
      link,
      settled: () => syncer.ended,
      abandon: async () => {
        await syncer.stop();
        link.drop();
      },
    };
  }
}
