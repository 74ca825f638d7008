/** Groups are kept short while programs wait for barriers again and again, and only then. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { byteName, ROOT_INO } from '../../../src/base/ids.js';
import { kernelCapabilities } from '../../../src/fuse/kernel/capabilities.js';
import { createStore } from '../../../src/store/mkfs.js';
import { PAGE_BYTES } from '../../../src/store/types.js';
import { APART_MS, BarrierPace, LONG_MS } from '../../../src/syncer/barrier-pace.js';
import { WouldBlock } from '../../../src/vfs/api.js';
import { Core } from '../../../src/vfs/core.js';
import { Shared } from '../../../src/vfs/shared.js';

const LEAST = 100;
const POOL_PAGES = 4096;
const WRITE_FLAGS = { fromCache: true, killSuidgid: false };

await t.test('two long barriers, one after the other', (ct) => {
  const clock = new ManualClock();
  const pace = new BarrierPace(clock, LEAST);
  const barrier = (ms: number): void => {
    let told = 0;
    const done = pace.timed(() => told++);
    clock.advanceMs(ms);
    done(undefined);
    ct.equal(told, 1, 'whoever waits is told');
  };
  pace.committed(20_000, 1_000);
  for (let i = 0; i < 5; i++) barrier(LONG_MS);
  ct.equal(pace.pagesMax, Infinity, 'short ones bound nothing');
  barrier(LONG_MS + 1);
  ct.equal(pace.pagesMax, Infinity, 'nor does a single long one');
  clock.advanceMs(APART_MS);
  barrier(LONG_MS + 1);
  ct.equal(pace.pagesMax, Infinity, 'nor a second one much later');
  barrier(LONG_MS + 1);
  ct.equal(pace.pagesMax, 2 * 20 * LONG_MS, 'two groups that are committed in that time');
  for (let i = 0; i < 3; i++) {
    clock.advanceMs(APART_MS - 2);
    barrier(1);
  }
  ct.equal(pace.pagesMax, 2 * 20 * LONG_MS, 'as long as barriers follow, long or short');
  for (let i = 0; i < 20; i++) pace.committed(10, 1_000);
  ct.equal(pace.pagesMax, 2 * LEAST, 'a slow store: not less than that');
  for (let i = 0; i < 20; i++) pace.committed(0, 1_000);
  for (let i = 0; i < 20; i++) pace.committed(5_000, 0);
  ct.ok(pace.pagesMax > 2 * 4_900 * LONG_MS && pace.pagesMax <= 2 * 5_000 * LONG_MS, 'a quick one');
  clock.advanceMs(APART_MS);
  ct.equal(pace.pagesMax, Infinity, 'and no longer');
  ct.end();
});

/** A core whose commits, of which nothing comes, take as long as is said. */
class Rig {
  readonly clock = new ManualClock();
  readonly core: Core;
  readonly #caller = { uid: 0, gid: 0, pid: 1 };
  readonly #fh;
  readonly #ino;
  #sealed = 0;
  #page = 0;

  constructor(store: string) {
    createStore(store);
    const pool = new SharedArrayBuffer(POOL_PAGES * PAGE_BYTES);
    this.core = new Core(new Shared({ pool, vnodesMax: 256, clock: this.clock }), {
      store,
      syncIntervalMs: Infinity,
      syncer: {
        send: (request) => {
          if (request.kind === 'commit') this.#sealed = request.txg;
        },
      },
      capabilities: kernelCapabilities(),
      readOnly: false,
      noatime: true,
      hostFreeBytes: () => Number.MAX_SAFE_INTEGER,
    });
    const { vp, open } = this.core.fs.create(this.#caller, ROOT_INO, byteName('f'), 0o600, 2, 0);
    this.core.fs.vrele(vp);
    this.#fh = open.fh;
    this.#ino = vp.ino;
  }

  /** Commits what is sealed, and what is sealed after it. */
  commit(commitMs: number): void {
    for (this.core.poll(); this.#sealed !== 0; this.core.poll()) {
      const txg = this.#sealed;
      this.#sealed = 0;
      this.clock.advanceMs(commitMs);
      this.core.onReply({ kind: 'committed', txg, errno: 0, reason: '', commitMs, walBytes: 0 });
    }
  }

  /** Writes pages until it would have to wait; returns how many. */
  fill(): number {
    for (let written = 0; written < POOL_PAGES; written++) {
      try {
        const data = Buffer.alloc(PAGE_BYTES, 'x');
        this.core.fs.write(this.#caller, this.#ino, this.#fh, this.#page * PAGE_BYTES, data, WRITE_FLAGS);
        this.#page++;
      } catch (error) {
        if (error instanceof WouldBlock) return written;
        throw error;
      }
      this.core.poll();
    }
    throw new Error('nobody has to wait');
  }

  /** Returns when it is done: commits have been made. */
  fsync(commitMs: number): void {
    let done = false;
    this.core.fs.fsync(this.#ino, this.#fh, false, () => (done = true));
    this.commit(commitMs);
    if (!done) throw new Error('the barrier is not done');
  }

  close(): void {
    this.core.drop();
    this.core.close();
  }
}

await t.test('writers wait sooner then', (ct) => {
  const directory = mkdtempSync(join(tmpdir(), 'vnodefs-pace-'));
  const rig = new Rig(join(directory, 'store'));
  ct.teardown(() => {
    rig.close();
    rmSync(directory, { recursive: true });
  });
  const full = rig.fill();
  ct.ok(full > 1000, `${full} pages may be dirty`);
  rig.fsync(2_000);
  ct.equal(rig.fill(), full, 'after one long barrier, too');
  rig.fsync(2_000);
  const bounded = rig.fill();
  ct.ok(bounded < full / 4, `then only ${bounded}`);
  rig.fsync(1);
  rig.clock.advanceMs(2 * APART_MS);
  ct.equal(rig.fill(), full, 'until nobody waits any more');
  rig.commit(1);
  ct.end();
});
