/**
 * Rehearsal: while a new dispatcher has nothing else to do, it serves a small filesystem of its own through the code
 * that serves mounts, so that V8 has compiled that code when requests come. Otherwise the first thousands of requests of a
 * mount take up to twice as long as those after them (native-notes/decisions.md).
 *
 * A scratch store is made, opened for reading, and removed; a socket pair stands for /dev/fuse. Groups are said to be
 * committed and are not: whatever one makes it takes away again.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { socketPair } from '../../../base/descriptors.js';
import { isRunning } from '../../../base/processes.js';
import { SystemClock } from '../../../base/system-clock.js';
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET, syscalls } from '../../../base/syscalls.js';
import { PAGE_BYTES } from '../../../store/types.js';
import type { SyncerPort } from '../../../syncer/txg-options.js';
import { Core } from '../../../vfs/core.js';
import { Shared } from '../../../vfs/shared.js';
import { kernelCapabilities } from '../capabilities.js';
import { KernelSession } from '../session.js';
import { defaultSessionOptions } from '../session-options.js';
import { createScratchStore } from './scratch-store.js';
import { play } from './script.js';
import { ScriptedKernel } from './scripted-kernel.js';

const POOL_PAGES = 512;
/** Fewer than the files of the scratch store, so that these are read from it again and again. */
const VNODES = 1024;
/** It ends when it has worked for so long, however far it has come. */
const WORK_MAX_MS = 1200;
const SNAPSHOT_MS = 20;

const PREFIX = 'rehearsal-';

/** Of daemons that were killed at the wrong moment. */
const removeLeftOver = (parent: string): void => {
  for (const name of readdirSync(parent)) {
    const pid = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : NaN;
    if (!Number.isNaN(pid) && !isRunning(pid)) rmSync(join(parent, name), { recursive: true, force: true });
  }
};

/** The store's directory, below `parent`, is gone when this returns: SQLite has the files open. */
const openScratchCore = (parent: string, syncer: SyncerPort): Core => {
  removeLeftOver(parent);
  const directory = mkdtempSync(join(parent, `${PREFIX}${process.pid}-`));
  try {
    const store = join(directory, 'store');
    createScratchStore(store);
    const pool = new SharedArrayBuffer(POOL_PAGES * PAGE_BYTES);
    return new Core(new Shared({ pool, vnodesMax: VNODES, clock: new SystemClock() }), {
      store,
      syncIntervalMs: Infinity,
      syncer,
      capabilities: kernelCapabilities(),
      readOnly: false,
      noatime: false,
      hostFreeBytes: () => Number.MAX_SAFE_INTEGER,
      snapshotMs: SNAPSHOT_MS,
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

export class Rehearsal {
  readonly kernel: ScriptedKernel;
  readonly core: Core;
  workedMs = 0;
  readonly #fds: readonly [number, number];
  readonly #acts: Generator<void>;
  /** Number of the group that is sealed. */
  #sealed = 0;

  /** The scratch store is below `directory` for a moment. The caller calls {@link close}. Errors: StoreError, FsError, Node's. */
  constructor(directory: string) {
    const start = performance.now();
    this.core = openScratchCore(directory, {
      send: (request) => {
        if (request.kind === 'commit') this.#sealed = request.txg;
      },
    });
    this.#fds = socketPair(SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK);
    const session = new KernelSession({
      fd: this.#fds[1],
      vfs: this.core.fs,
      pool: this.core.pool.memory,
      options: defaultSessionOptions,
      log: () => undefined,
      onInit: () => undefined,
      onEnd: () => undefined,
    });
    this.kernel = new ScriptedKernel(this.#fds[0], session);
    this.#acts = play(this.kernel);
    this.workedMs = performance.now() - start;
  }

  /** Goes on for about `ms` milliseconds. False: it is over. */
  step(ms: number): boolean {
    const start = performance.now();
    let nowMs = start;
    let over = false;
    do {
      over = this.next();
      nowMs = performance.now();
    } while (!over && nowMs - start < ms);
    this.core.idle();
    this.workedMs += nowMs - start;
    return !over && this.workedMs < WORK_MAX_MS;
  }

  /** The next few requests; true: there are none. */
  next(): boolean {
    const over = this.#acts.next().done === true;
    if (this.#sealed !== 0) {
      const txg = this.#sealed;
      this.#sealed = 0;
      this.core.onReply({ kind: 'committed', txg, errno: 0, reason: '', commitMs: 0, walBytes: 0 });
      this.kernel.takeAnswer();
    }
    this.core.poll();
    return over;
  }

  close(): void {
    for (const fd of this.#fds) syscalls().close(fd);
    this.core.drop();
    this.core.close();
  }
}
