/** The write-ahead log stays bounded whoever reads the store, and freed space goes back to the host. The long run: scripts/soak/wal. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { asIno, byteName, ROOT_INO } from '../../../src/base/ids.js';
import { checkStore } from '../../../src/store/fsck.js';
import { createStore } from '../../../src/store/mkfs.js';
import { TxgEncoder } from '../../../src/store/txg-log.js';
import { PAGE_BYTES } from '../../../src/store/types.js';
import { type LogState, Syncer, type SyncerLimits } from '../../../src/syncer/syncer.js';
import { WouldBlock } from '../../../src/vfs/api.js';
import { InProcessCore } from '../../harness/test-core.js';
import { file, scratchDir } from '../store/scratch.js';
import { childEnvironment } from '../../harness/environment.js';

const MIB = 1 << 20;
/** In MiB. */
const LOG_MAX = 12;
const CHUNK = 65536;
const CHUNK_PAGES = CHUNK / PAGE_BYTES;
const LIMITS: Partial<SyncerLimits> = {
  ...{ walSoftBytes: MIB, walHardBytes: 4 * MIB, walMaxBytes: LOG_MAX * MIB, keepFreePages: 16, idleMs: 10 },
};
const INO = asIno(2);

class Rig {
  readonly store: string;
  readonly syncer: Syncer;
  readonly #ops = new TxgEncoder();
  readonly #pool = new SharedArrayBuffer(CHUNK_PAGES * PAGE_BYTES);
  readonly #pages = [...Array(CHUNK_PAGES).keys()];
  #txg = 0;

  constructor(t: Test) {
    this.store = join(scratchDir(t), 'store.db');
    createStore(this.store);
    this.syncer = new Syncer(this.store, this.#pool, LIMITS);
    t.teardown(() => this.syncer.close(true));
  }

  /** Commits a file that has chunks `from` to `to` - 1, those written anew. */
  write(from: number, to: number): LogState {
    const pool = new Uint8Array(this.#pool);
    for (let i = from; i < to; i++)
      this.#ops.writePages(INO, i, to * CHUNK, this.#pages, this.#pages, CHUNK_PAGES);
    pool.fill(1 + (this.#txg % 255));
    return this.#commit(to);
  }
  cut(): LogState {
    this.#ops.truncate(INO, 0);
    return this.#commit(0);
  }
  #commit(chunks: number): LogState {
    this.#ops.putInode(file(2, { size: chunks * CHUNK, allocPages: chunks * CHUNK_PAGES, nlink: 0 }));
    this.#ops.addOrphan(INO);
    this.#ops.setCounters({ nextIno: 3, inodeCount: 2, allocPages: chunks * CHUNK_PAGES });
    const { log, logBytes } = this.#ops.take();
    const { errno } = this.syncer.commit({ kind: 'commit', txg: ++this.#txg, log, logBytes, barrier: false });
    if (errno !== 0) throw new Error(`commit: ${errno}`);
    return this.syncer.settle();
  }
  get walMiB(): number {
    return statSync(`${this.store}-wal`).size / MIB;
  }
  get mainMiB(): number {
    return statSync(this.store).size / MIB;
  }
  /** Until there is nothing more to do; returns the number of slices. */
  rest(): number {
    for (let slices = 1; ; slices++) if (!this.syncer.idle().more) return slices;
  }
}

/** What another process does with `open()`, each call of which gives a connection; it ends with its standard input. */
const HOLD = `begin(open()); console.log('reads');`;
const OVERLAP = `const both = [open(), open()]; both.forEach(begin); console.log('reads'); let i = 0;
setInterval(() => { const db = both[i++ % 2]; db.exec('COMMIT'); begin(db); }, 4);`;

const outsideReader = async (
  t: Test,
  store: string,
  what: string,
): Promise<{ pid: number; end: () => Promise<void> }> => {
  const sqlite = createRequire(import.meta.url).resolve('better-sqlite3');
  const text = `const Database = require(${JSON.stringify(sqlite)});
const open = () => new Database(${JSON.stringify(store)}, { readonly: true });
const begin = (db) => { db.exec('BEGIN'); db.prepare('SELECT count(*) FROM inode').get(); };
process.stdin.on('end', () => process.exit()).resume(); ${what}`;
  const child = spawn(process.execPath, ['-e', text], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: childEnvironment(),
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return {
    pid: child.pid ?? 0,
    end: async () => {
      const gone = once(child, 'exit');
      child.stdin.end();
      await gone;
    },
  };
};

await t.test('without readers the log begins anew at its bound', (t) => {
  const rig = new Rig(t);
  for (let i = 0; i < 100; i++) {
    t.equal(rig.write(0, 16).held, '');
    t.ok(rig.walMiB < 6, `${rig.walMiB} MiB`);
  }
  rig.rest();
  t.equal(rig.walMiB, 0, 'at rest nothing is left of it');
  t.end();
});

await t.test('readers that overlap, one always being there, are waited for', async (t) => {
  const rig = new Rig(t);
  rig.write(0, 16);
  const reader = await outsideReader(t, rig.store, OVERLAP);
  let largest = 0;
  let written = 0;
  // An attempt a second: slow enough that the log doesn't reach its bound in between.
  for (let i = 0; i < 300; i++) {
    t.equal(rig.write(0, 2).held, '');
    written += (2 * CHUNK) / MIB;
    largest = Math.max(largest, rig.walMiB);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  t.ok(largest < LOG_MAX && written > 3 * LOG_MAX, `${largest} MiB for the ${written} MiB written`);
  await reader.end();
});

await t.test('one that holds a transaction: writers are told to wait, who it is, and to go on', async (t) => {
  const rig = new Rig(t);
  rig.write(0, 16);
  const reader = await outsideReader(t, rig.store, HOLD);
  let state: LogState = { walBytes: 0, held: '' };
  let groups = 0;
  for (; state.held === '' && groups < 100; groups++) state = rig.write(0, 16);
  t.match(state.held, new RegExp(`node.* \\(process ${reader.pid}\\) reads the store`));
  t.ok(groups >= 8, `${groups} groups fitted`);
  t.ok(rig.walMiB >= LOG_MAX && rig.walMiB < LOG_MAX + 2, `${rig.walMiB} MiB: a group past the bound`);
  t.not(rig.syncer.idle().held, '', 'as long as it reads');
  t.not(rig.write(0, 1).held, '', 'what had been taken is committed all the same');
  await reader.end();
  const untilMs = performance.now() + 20_000;
  while (rig.syncer.idle().held !== '' && performance.now() < untilMs)
    await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(rig.syncer.idle().held, '', 'it has gone');
  rig.rest();
  t.equal(rig.walMiB, 0);
  t.equal(rig.write(0, 16).held, '');
  t.strictSame(checkStore(rig.store).findings, []);
});

await t.test('the core takes nothing new meanwhile, but reads go on; an unmount may write back', (t) => {
  const store = join(scratchDir(t), 'store.db');
  createStore(store);
  const core = new InProcessCore({ store });
  t.teardown(() => core.abandon());
  const caller = { uid: 0, gid: 0, pid: 1 };
  const { vfs } = core;
  vfs.vrele(vfs.mkdir(caller, ROOT_INO, byteName('before'), 0o755, 0));
  const tell = (held: string): void => core.core.txgs.onLog({ kind: 'log', walBytes: 5, held });
  const make = (name: string): void => vfs.vrele(vfs.mkdir(caller, ROOT_INO, byteName(name), 0o755, 0));
  tell('sqlite3 reads');
  t.throws(() => make('during'), WouldBlock);
  vfs.vrele(vfs.lookup(caller, ROOT_INO, byteName('before')));
  core.sync();
  t.equal(core.core.txgs.durable, core.core.txgs.latest, 'a barrier ends');
  core.core.txgs.waiveLogHeld();
  make('unmount');
  core.clock.advanceMs(61_000);
  t.throws(() => make('later'), WouldBlock);
  tell('');
  make('after');
  core.check();
  t.end();
});

await t.test('freed space goes back to the host, a slice at a time', (t) => {
  const rig = new Rig(t);
  for (let i = 0; i < 16; i++) rig.write(i * 32, i * 32 + 32);
  rig.rest();
  const full = rig.mainMiB;
  t.ok(full > 30, `${full} MiB`);
  rig.cut();
  const slices = rig.rest();
  t.ok(slices > 5, `${slices} slices`);
  t.ok(rig.mainMiB < 1, `${rig.mainMiB} MiB are left of ${full}`);
  t.equal(rig.walMiB, 0);
  t.strictSame(checkStore(rig.store).findings, []);
  t.end();
});

await t.test('under endless work too, a little with each group', (t) => {
  const rig = new Rig(t);
  for (let i = 0; i < 16; i++) rig.write(i * 32, i * 32 + 32);
  rig.rest();
  const full = rig.mainMiB;
  rig.cut();
  for (let i = 0; i < 300; i++) rig.write(0, 4);
  t.ok(rig.mainMiB < full / 2, `${rig.mainMiB} MiB are left of ${full}, and it never rested`);
  t.end();
});
