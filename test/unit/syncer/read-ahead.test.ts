/** Reading ahead never shows anything but what a read of the dispatcher's own would have shown. */
import t, { type Test } from 'tap';
import { Prng } from '../../../src/base/prng.js';
import { byteName, type Fh, type Ino, ROOT_INO } from '../../../src/base/ids.js';
import { PAGE_BYTES } from '../../../src/store/types.js';
import { BufferSink } from '../../harness/core-files.js';
import { createTestCore, type InProcessCore } from '../../harness/test-core.js';

const CALLER = { uid: 0, gid: 0, pid: 1 };
const WRITE = { fromCache: false, killSuidgid: false };
const CHUNK = 8192;
const BYTES = 400 * CHUNK;

/** A core with a pool of 128 chunks, of which 16 are for reading ahead, and a stored file of random bytes. */
class Rig {
  readonly core: InProcessCore = createTestCore({ pages: 256, aheadShare: 0.5, mkfs: { chunkBytes: CHUNK } });
  readonly model = new Prng(7).fill(new Uint8Array(BYTES));
  readonly ino: Ino;
  readonly fh: Fh;

  constructor() {
    const { vfs } = this.core;
    const { vp, open } = vfs.create(CALLER, ROOT_INO, byteName('f'), 0o644, 2, 0);
    [this.ino, this.fh] = [vp.ino, open.fh];
    vfs.vrele(vp);
    for (let at = 0; at < BYTES; at += 4 * CHUNK) this.write(at, this.model.subarray(at, at + 4 * CHUNK));
    this.core.sync();
  }

  get hits(): number {
    return this.core.core.fs.state.readAhead.hits;
  }

  write(at: number, data: Uint8Array): void {
    this.core.patiently(() => this.core.vfs.write(CALLER, this.ino, this.fh, at, data, WRITE));
    this.model.set(data, at);
  }

  truncate(size: number): void {
    this.core.vfs.vrele(
      this.core.patiently(() => this.core.vfs.setattr(CALLER, this.ino, this.fh, { size })),
    );
    this.model.fill(0, size);
  }

  read(at: number, bytes: number): Buffer {
    const sink = new BufferSink(this.core.pool);
    this.core.vfs.read(this.ino, this.fh, at, bytes, sink);
    return sink.take();
  }

  /** Reads [from, to) in pieces and compares. */
  agrees(t: Test, from: number, to: number, piece: number): void {
    for (let at = from; at < to; at += piece) {
      const bytes = Math.min(piece, to - at);
      const found = this.read(at, bytes);
      if (!found.equals(this.model.subarray(at, at + bytes))) {
        t.fail(`differs at ${at}`);
        return;
      }
    }
    t.pass(`agrees from ${from} to ${to}`);
  }

  end(): void {
    this.core.vfs.release(this.fh);
    this.core.close();
  }
}

await t.test('a file read in sequence comes from what was read ahead', (t) => {
  const rig = new Rig();
  rig.agrees(t, 0, BYTES, 2 * CHUNK);
  // The rig's syncer reads half of what is wanted at once: what it hasn't come to the dispatcher reads itself.
  t.ok(rig.hits > 20, `${rig.hits} chunks came from there`);
  rig.agrees(t, 0, BYTES, 3000);
  rig.end();
  t.end();
});

await t.test('random reads want nothing', (t) => {
  const rig = new Rig();
  const random = new Prng(3);
  const before = rig.hits;
  for (let i = 0; i < 300; i++) {
    const at = random.int(BYTES - PAGE_BYTES);
    t.ok(rig.read(at, 100).equals(rig.model.subarray(at, at + 100)));
  }
  t.equal(rig.hits, before);
  rig.end();
  t.end();
});

await t.test('what was read ahead before a commit is not used after it', (t) => {
  const rig = new Rig();
  rig.agrees(t, 0, 16 * CHUNK, 2 * CHUNK);
  const before = rig.hits;
  t.ok(before > 0);
  // The chunks that come next are in memory shared with the syncer by now; each is changed.
  for (let at = 16 * CHUNK; at < 40 * CHUNK; at += CHUNK) rig.write(at + 10, Buffer.from('changed'));
  rig.core.sync();
  const { bufs } = rig.core.core.vnodes;
  bufs.newRequest();
  bufs.reserve(bufs.pool.size); // evicts whatever can be
  rig.agrees(t, 16 * CHUNK, BYTES, 2 * CHUNK);
  rig.end();
  t.end();
});

await t.test('with writes, truncates and commits in between', (t) => {
  const rig = new Rig();
  const random = new Prng(11);
  for (let round = 0; round < 30; round++) {
    const from = random.int(300) * CHUNK;
    rig.agrees(t, from, from + 40 * CHUNK, [1000, CHUNK, 3 * CHUNK][random.int(3)]);
    for (let i = 0; i < 10; i++) {
      const at = Math.min(BYTES - 5000, from + random.int(80 * CHUNK));
      rig.write(at, random.fill(new Uint8Array(1 + random.int(5000))));
      if (random.int(4) === 0) rig.core.advance();
    }
    if (random.int(3) === 0) {
      rig.truncate(from + random.int(60 * CHUNK));
      rig.truncate(BYTES);
    }
    if (random.int(2) === 0) rig.core.sync();
  }
  t.ok(rig.hits > 20, `${rig.hits} chunks were read ahead`);
  rig.core.check();
  rig.end();
  t.end();
});
