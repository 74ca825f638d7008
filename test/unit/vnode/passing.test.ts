/** Bulk data passes through few page frames; what is used again stays. */
import t from 'tap';
import { Prng } from '../../../src/base/prng.js';
import { byteName, type Fh, type Ino, ROOT_INO } from '../../../src/base/ids.js';
import { PAGE_BYTES } from '../../../src/store/types.js';
import { BufferSink } from '../../harness/core-files.js';
import { createTestCore, type InProcessCore } from '../../harness/test-core.js';

const CALLER = { uid: 0, gid: 0, pid: 1 };
const WRITE = { fromCache: true, killSuidgid: false };
const CHUNK = 8192;
const PAGES = 2048;
const CHUNKS = 600;

const bulkFile = (core: InProcessCore, name: string): { ino: Ino; fh: Fh } => {
  const { vp, open } = core.vfs.create(CALLER, ROOT_INO, byteName(name), 0o644, 2, 0);
  const data = new Prng(1).fill(new Uint8Array(CHUNK));
  for (let i = 0; i < CHUNKS; i++)
    core.patiently(() => core.vfs.write(CALLER, vp.ino, open.fh, i * CHUNK, data, WRITE));
  core.sync();
  core.vfs.vrele(vp);
  return { ino: vp.ino, fh: open.fh };
};

await t.test('what is written whole', (t) => {
  const core = createTestCore({ pages: PAGES, mkfs: { chunkBytes: CHUNK } });
  const { fh } = bulkFile(core, 'bulk');
  const { pool } = core.core.vnodes.bufs;
  t.ok(pool.resident < 200, `${pool.resident} frames are in use`);
  core.check();
  core.vfs.release(fh);
  core.close();
  t.end();
});

await t.test('what is read in sequence', (t) => {
  const core = createTestCore({ pages: PAGES, mkfs: { chunkBytes: CHUNK } });
  const { ino, fh } = bulkFile(core, 'bulk');
  const { pool } = core.core.vnodes.bufs;
  for (let i = 0; i < CHUNKS; i += 4) {
    core.vfs.read(ino, fh, i * CHUNK, 4 * CHUNK, new BufferSink(core.pool));
    core.core.idle();
  }
  t.ok(
    core.core.fs.state.readAhead.hits > CHUNKS / 4,
    `${core.core.fs.state.readAhead.hits} were read ahead`,
  );
  const area = core.core.fs.state.readAhead.frames().length;
  t.ok(pool.resident < area + 600, `${pool.resident} frames are in use, ${area} of them for reading ahead`);
  core.check();
  core.vfs.release(fh);
  core.close();
  t.end();
});

await t.test('of what is read here and there, only that is kept', (t) => {
  const chunkPages = 16;
  const chunks = 20;
  const core = createTestCore({ pages: PAGES, mkfs: { chunkBytes: chunkPages * PAGE_BYTES } });
  const { vp, open } = core.vfs.create(CALLER, ROOT_INO, byteName('f'), 0o644, 2, 0);
  const data = new Prng(2).fill(new Uint8Array(chunks * chunkPages * PAGE_BYTES));
  core.patiently(() => core.vfs.write(CALLER, vp.ino, open.fh, 0, data, WRITE));
  core.sync();
  const { bufs } = core.core.vnodes;
  bufs.newRequest();
  bufs.shed(vp, Infinity);
  t.equal(vp.residentPages, 0);
  const read = (chunk: number, page: number): number => {
    const before = vp.residentPages;
    const sink = new BufferSink(core.pool);
    const at = (chunk * chunkPages + page) * PAGE_BYTES;
    core.vfs.read(vp.ino, open.fh, at, PAGE_BYTES, sink);
    t.same(sink.take(), Buffer.from(data.subarray(at, at + PAGE_BYTES)), `page ${page} of chunk ${chunk}`);
    return vp.residentPages - before;
  };
  for (let n = 0; n < chunks; n++) t.equal(read((n * 7) % chunks, 3), 1, 'the page that was asked for');
  t.equal(read(5, 3), 0, 'which is kept');
  t.equal(read(5, 4), chunkPages - 1, 'all of it when a request goes on from there');
  t.equal(read(6, 9), 1);
  t.equal(read(6, 6), 1);
  t.equal(read(6, 14), chunkPages - 3, 'or when a quarter of it has been asked for');
  core.check();
  core.vfs.release(open.fh);
  core.vfs.vrele(vp);
  core.close();
  t.end();
});

await t.test('small files, and what is written in pieces, stay', (t) => {
  const core = createTestCore({ pages: PAGES, mkfs: { chunkBytes: CHUNK } });
  const data = new Uint8Array(4096);
  for (let i = 0; i < 200; i++) {
    const { vp, open } = core.vfs.create(CALLER, ROOT_INO, byteName(`f${i}`), 0o644, 2, 0);
    core.patiently(() => core.vfs.write(CALLER, vp.ino, open.fh, 0, data, WRITE));
    core.vfs.release(open.fh);
    core.vfs.vrele(vp);
  }
  core.sync();
  t.ok(core.core.vnodes.bufs.pool.resident >= 200);
  core.check();
  core.close();
  t.end();
});
