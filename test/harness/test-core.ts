/**
 * A core in this thread, without kernel, mount or other threads: the syncer is a queue that {@link
 * TestCore.advance} works off.
 * Budgets are tiny unless asked otherwise, so that recycling, eviction and throttling happen all the time.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../src/base/clock.js';
import { Prng } from '../../src/base/prng.js';
import { prepareIntentLog } from '../../src/store/intent-log.js';
import { replayIntentLog } from '../../src/store/intent-replay.js';
import { lockStore } from '../../src/store/lock.js';
import { openReader } from '../../src/store/reader.js';
import { createStore, type MkfsOptions } from '../../src/store/mkfs.js';
import { checkStore } from '../../src/store/fsck.js';
import { PAGE_BYTES } from '../../src/store/types.js';
import type { CommitReply, CommitRequest, SyncerRequest } from '../../src/syncer/messages.js';
import { ReadAheadServer } from '../../src/syncer/read-ahead.js';
import { Syncer } from '../../src/syncer/syncer.js';
import { kernelCapabilities } from '../../src/fuse/kernel/capabilities.js';
import type { TransportCapabilities } from '../../src/vfs/capabilities.js';
import { WouldBlock } from '../../src/vfs/api.js';
import { Core } from '../../src/vfs/core.js';
import { Shared } from '../../src/vfs/shared.js';
import { checkInvariants } from '../../src/vfs/invariants.js';
import { describeStore } from '../fault/crash-model.js';
import type { FileSystem } from '../../src/vfs/filesystem.js';

/** Small, so that the log is folded into the store all the time. */
const WAL_SOFT_BYTES = 256 << 10;

/** Calls between two checks while churning. */
const CHECK_EVERY = 20;

export interface TestCoreOptions {
  pages?: number;
  vnodesMax?: number;
  store?: string;
  mkfs?: MkfsOptions;
  noatime?: boolean;
  capabilities?: TransportCapabilities;
  hostFreeBytes?: number;
  /** The part of what is wanted ahead that is read at once; the rest is met in the state "wanted". Default: all. */
  aheadShare?: number;
  /** A seed: before each call, at random, groups are sealed and committed, vnodes recycled, invariants checked. */
  churn?: number;
  /** With an intent log of so many bytes, to which barriers go, those of the churn too. */
  intents?: number;
  /** Calls between two such checks that ask the store as well, which takes ten times as long; default: each does. */
  askStoreEvery?: number;
}

export class InProcessCore {
  readonly store: string;
  readonly core: Core;
  readonly clock = new ManualClock();
  readonly pool: Uint8Array;
  /** Makes the next commits fail with this errno, while not 0. */
  failWith = 0;
  readonly #dir: string | undefined;
  readonly #syncer: Syncer;
  readonly #lock;
  readonly #queue: CommitRequest[] = [];
  readonly #ahead: ReadAheadServer;
  readonly #aheadShare: number;
  /** Of a group that is in the store, while the dispatcher hasn't heard of it yet. */
  #reply: CommitReply | undefined;
  readonly #vfs: FileSystem;

  constructor(options: TestCoreOptions = {}) {
    this.#dir = options.store === undefined ? mkdtempSync(join(tmpdir(), 'vnodefs-core-')) : undefined;
    this.store = options.store ?? join(this.#dir ?? '', 'store.db');
    if (options.store === undefined) createStore(this.store, options.mkfs);
    const pool = new SharedArrayBuffer((options.pages ?? 1024) * PAGE_BYTES);
    this.pool = new Uint8Array(pool);
    this.#lock = lockStore(this.store);
    // As a daemon does: what an fsync had confirmed when another one was killed may be there alone.
    replayIntentLog(this.store);
    this.#syncer = new Syncer(this.store, pool, { walSoftBytes: WAL_SOFT_BYTES });
    this.#aheadShare = options.aheadShare ?? 1;
    this.#ahead = new ReadAheadServer(pool, () => openReader(this.store));
    const shared = new Shared({ pool, vnodesMax: options.vnodesMax ?? 256, clock: this.clock });
    this.core = new Core(shared, {
      store: this.store,
      syncIntervalMs: 5000,
      syncer: { send: (request) => this.#take(request) },
      capabilities: options.capabilities ?? kernelCapabilities(),
      readOnly: false,
      noatime: options.noatime ?? false,
      // For ever: a checkpoint in this thread that waits for the reader must be preceded by idle().
      snapshotMs: Infinity,
      hostFreeBytes: () => options.hostFreeBytes ?? 1 << 30,
      intentLog: options.intents !== undefined,
    });
    if (options.intents !== undefined) {
      prepareIntentLog(this.store, options.intents);
      this.core.txgs.intents?.ready();
    }
    this.#vfs =
      options.churn === undefined
        ? this.core.fs
        : this.#churning(options.churn, options.askStoreEvery ?? CHECK_EVERY);
  }

  get vfs(): FileSystem {
    return this.#vfs;
  }

  #churning(seed: number, askStoreEvery: number): FileSystem {
    const random = new Prng(seed);
    let calls = 0;
    return new Proxy(this.core.fs, {
      get: (fs, key) => {
        const value: unknown = Reflect.get(fs, key, fs);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (random.int(8) === 0) this.core.txgs.barrier(this.core.txgs.latest, () => undefined);
          if (random.int(10) === 0) this.#commitUnheard();
          if (random.int(6) === 0) this.advance();
          this.core.poll();
          if (++calls % CHECK_EVERY === 0) this.check({ asksStore: calls % askStoreEvery === 0 });
          return Reflect.apply(value, fs, args);
        };
      },
    });
  }

  #take(request: SyncerRequest): void {
    if (request.kind === 'commit') this.#queue.push(request);
    else if (request.kind === 'read') {
      this.#ahead.add(request);
      for (let i = 0; i < request.wanted.length * this.#aheadShare; i++) this.#ahead.step();
    }
  }

  #commitUnheard(): void {
    if (this.failWith === 0 && this.#queue.length > 0) this.#reply ??= this.#syncer.commit(this.#queue[0]);
  }

  /** Commits the sealed group, if there is one, and does what is due. */
  advance(): void {
    const request = this.#queue[0];
    if (request !== undefined) {
      if (this.failWith !== 0) {
        const reply = {
          kind: 'committed',
          txg: request.txg,
          errno: this.failWith,
          reason: 'test',
          commitMs: 0,
          walBytes: 0,
        } as const;
        this.core.onReply(reply);
        return;
      }
      this.#queue.shift();
      const reply = this.#reply ?? this.#syncer.commit(request);
      this.#reply = undefined;
      this.core.onReply(reply);
      this.core.idle();
      this.#syncer.settle();
    } else {
      this.core.idle();
      this.#syncer.idle();
    }
    this.core.poll();
  }

  /** Throws if an invariant is broken; `except`: but for those that it matches; `asksStore`: see checkInvariants. */
  check({ except, asksStore }: { except?: RegExp; asksStore?: boolean } = {}): void {
    const wrong = checkInvariants(this.core.vnodes, asksStore).filter((what) => except?.test(what) !== true);
    if (wrong.length > 0) throw new Error(`invariants: ${wrong.join('; ')}`);
  }

  /** A call that is made again after each commit that it has to wait for. */
  patiently<T>(act: () => T): T {
    for (;;) {
      try {
        return act();
      } catch (error) {
        if (!(error instanceof WouldBlock)) throw error;
        this.advance();
      }
    }
  }

  /** Everything so far is in the store. */
  sync(): void {
    let done = false;
    this.vfs.syncfs((error) => {
      if (error) throw error;
      done = true;
    });
    for (let i = 0; !done; i++) {
      if (i > 100) throw new Error('sync does not end');
      this.advance();
    }
  }

  /**
   * A barrier, by the intent log if that can be, then a copy of the store's files as a crash leaves them: what comes out
   * of them must be the state of this moment. Throws if it isn't. Returns how many groups the intent log brought.
   */
  checkCrash(): number {
    let done = false;
    const { txgs } = this.core;
    txgs.barrier(txgs.latest, (error) => {
      if (error) throw error;
      done = true;
    });
    this.core.poll();
    while (!done) this.advance();
    const dir = mkdtempSync(join(tmpdir(), 'vnodefs-crash-'));
    try {
      const copy = join(dir, 'store.db');
      for (const suffix of ['', '-wal', '-intent'])
        if (existsSync(this.store + suffix)) copyFileSync(this.store + suffix, copy + suffix);
      const { groups } = replayIntentLog(copy);
      const { findings } = checkStore(copy);
      if (findings.length > 0) throw new Error(`fsck after a crash: ${JSON.stringify(findings.slice(0, 5))}`);
      const found = describeFile(copy);
      this.sync();
      const wanted = new Set(describeFile(this.store));
      const wrong = found.filter((line) => !wanted.has(line));
      if (wrong.length > 0 || found.length !== wanted.size)
        throw new Error(
          `not what the barrier promised: ${wrong.join(' | ')} (${found.length}, ${wanted.size})`,
        );
      return groups;
    } finally {
      rmSync(dir, { recursive: true });
    }
  }

  /** Every vnode and name that can go goes, so that all comes from the store again. */
  recycleAll(): void {
    const { vnodes } = this.core;
    for (const vp of [...vnodes.table(this.core.fs.mount).values()])
      if (vp.useCount === 0 && vp.holdCount === 0) vnodes.vgone(vp);
  }

  /** Throws if anything is still referenced; verifies the store and removes it (if it was made here). */
  close(): void {
    this.sync();
    this.check();
    const left: string[] = [];
    for (const vp of this.core.vnodes.table(this.core.fs.mount).values()) {
      const isRoot = vp === this.core.fs.mount.rootVnode;
      if (vp.useCount !== (isRoot ? 1 : 0) || vp.holdCount !== 0 || vp.lookupCount !== 0) {
        left.push(`${vp.ino}: use ${vp.useCount} hold ${vp.holdCount} lookup ${vp.lookupCount}`);
      }
    }
    this.abandon(true);
    const report = checkStore(this.store);
    if (this.#dir !== undefined) rmSync(this.#dir, { recursive: true });
    if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
    if (report.findings.length > 0) throw new Error(`fsck: ${JSON.stringify(report.findings.slice(0, 5))}`);
  }

  /** As a crash of the daemon: what is not committed is lost. The store stays. */
  abandon(whole = false): void {
    this.core.close();
    this.#ahead.close();
    this.#syncer.close(whole);
    this.#lock.close();
  }
}

const describeFile = (store: string): string[] => {
  const reader = openReader(store);
  try {
    return describeStore(reader);
  } finally {
    reader.close();
  }
};

export const createTestCore = (options?: TestCoreOptions): InProcessCore & { pool: Uint8Array } =>
  new InProcessCore(options);
