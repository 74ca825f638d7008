/** The writer: every record kind, errors, barriers, checkpoints, shared chunks. */
import Database from 'better-sqlite3';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { asIno, byteName, ROOT_INO, type ByteName } from '../../../src/base/ids.js';
import { checkStore } from '../../../src/store/fsck.js';
import { openReader } from '../../../src/store/reader.js';
import { PAGE_BYTES } from '../../../src/store/types.js';
import { dir, file, scratchDir, WriterRig } from './scratch.js';

const all = Array.from({ length: 255 }, (_, i) => String.fromCharCode(i + 1));
const oddName = all.filter((c) => c !== '/').join('') as ByteName;

void t.test('every record comes back as it went in', (t) => {
  const rig = new WriterRig(join(scratchDir(t), 'a'));
  const reader = openReader(rig.path);
  const extreme = file(2, {
    uid: 0xffffffff,
    gid: 0xfffffffe,
    nlink: 0x7fffffff,
    size: Number.MAX_SAFE_INTEGER,
    rdev: 0xfff00001,
    flags: 0xffffffff,
    atimeSec: -(2 ** 35),
    atimeNsec: 999_999_999,
    mtimeSec: 2 ** 40,
    mtimeNsec: 0,
    ctimeSec: -1,
    ctimeNsec: 1,
  });
  rig.ops.putInode(extreme);
  rig.ops.putDirent(ROOT_INO, oddName, asIno(2), 8, 3);
  rig.ops.putDirent(ROOT_INO, byteName('ü'), asIno(3), 10, 4);
  rig.ops.setSymlink(asIno(3), Buffer.from('../target\xff', 'latin1'));
  rig.ops.setXattr(asIno(2), byteName('user.a'), Buffer.from('one'));
  rig.ops.setXattr(asIno(2), byteName('user.empty'), new Uint8Array(0));
  rig.ops.setXattr(asIno(2), byteName('user.big'), Buffer.alloc(65536, 7));
  rig.ops.addOrphan(asIno(9));
  rig.ops.addOrphan(asIno(8));
  rig.ops.setCounters({ nextIno: 2 ** 52, inodeCount: 11, allocPages: 2 ** 45 });
  rig.commit(false, 2);
  t.same(reader.loadInode(asIno(2)), extreme);
  t.equal(reader.loadInode(asIno(77)), undefined);
  t.same(reader.lookupDirent(ROOT_INO, oddName), { name: oddName, ino: 2, type: 8, cookie: 3 });
  t.equal(reader.lookupDirent(ROOT_INO, byteName('u')), undefined);
  t.same(Buffer.from(reader.readSymlink(asIno(3)) ?? []).toString('latin1'), '../target\xff');
  t.equal(reader.readSymlink(asIno(2)), undefined);
  t.same(Buffer.from(reader.getXattr(asIno(2), byteName('user.a')) ?? []).toString(), 'one');
  t.equal(reader.getXattr(asIno(2), byteName('user.empty'))?.length, 0);
  t.equal(reader.getXattr(asIno(2), byteName('user.none')), undefined);
  t.same(
    reader.listXattrs(asIno(2)).map((x) => [x.name, x.value.length]),
    [
      ['user.a', 3],
      ['user.big', 65536],
      ['user.empty', 0],
    ],
  );
  t.same(reader.listOrphans(), [8, 9]);
  t.same(reader.counters(), { nextIno: 2 ** 52, inodeCount: 11, allocPages: 2 ** 45, txg: 2 });
  t.same(rig.writer.counters(), reader.counters());

  rig.ops.putInode({ ...extreme, size: 5, mtimeSec: 3 });
  rig.ops.putDirent(ROOT_INO, oddName, asIno(3), 10, 5);
  rig.ops.deleteDirent(ROOT_INO, byteName('ü'));
  rig.ops.removeXattr(asIno(2), byteName('user.a'));
  rig.ops.setXattr(asIno(2), byteName('user.empty'), Buffer.from('full'));
  rig.ops.removeOrphan(asIno(8));
  rig.commit(false, 2);
  t.match(reader.loadInode(asIno(2)), { size: 5, mtimeSec: 3, atimeNsec: 999_999_999 });
  t.same(reader.scanDirents(ROOT_INO, 0, 10), [{ name: oddName, ino: 3, type: 10, cookie: 5 }]);
  t.equal(reader.getXattr(asIno(2), byteName('user.a')), undefined);
  t.same(Buffer.from(reader.getXattr(asIno(2), byteName('user.empty')) ?? []).toString(), 'full');
  t.same(reader.listOrphans(), [9]);
  t.match(reader.counters(), { inodeCount: 11, txg: 4 }, 'a group without counters keeps them');
  reader.close();
  rig.writer.close();
  t.end();
});

void t.test('deleteInode takes everything of the inode along', (t) => {
  const rig = new WriterRig(join(scratchDir(t), 'a'));
  for (const ino of [2, 3]) {
    rig.ops.putInode(file(ino, { nlink: 0 }));
    rig.ops.setXattr(asIno(ino), byteName('user.a'), Buffer.from('x'));
    rig.ops.addOrphan(asIno(ino));
  }
  rig.ops.writePages(asIno(2), 0, 100, [0], [0], 1);
  rig.ops.writePages(asIno(3), 5, 1e7, [0, 1], [0, 1], 2);
  rig.ops.setSymlink(asIno(2), Buffer.from('t'));
  rig.commit();
  for (const ino of [2, 3]) rig.ops.deleteInode(asIno(ino));
  rig.commit(false, 2);
  t.same(checkStore(rig.path).findings, []);
  rig.writer.close();
  t.end();
});

void t.test('scanDirents goes by cookie, in pieces', (t) => {
  const rig = new WriterRig(join(scratchDir(t), 'a'));
  const order = [5, 3, 9, 4, 7];
  for (const cookie of order)
    rig.ops.putDirent(ROOT_INO, byteName(`n${99 - cookie}`), asIno(cookie), 8, cookie);
  rig.ops.putDirent(asIno(2), byteName('elsewhere'), asIno(3), 8, 6);
  rig.commit();
  const reader = openReader(rig.path);
  t.same(
    reader.scanDirents(ROOT_INO, 0, 3).map((d) => d.cookie),
    [3, 4, 5],
  );
  t.same(
    reader.scanDirents(ROOT_INO, 5, 3).map((d) => d.cookie),
    [7, 9],
  );
  t.same(reader.scanDirents(ROOT_INO, 9, 3), []);
  reader.close();
  rig.writer.close();
  t.end();
});

void t.test('appends round a grown chunk up, and stale bytes never come back', (t) => {
  const rig = new WriterRig(join(scratchDir(t), 'a'), { inlineMax: 0, chunkBytes: 65536 });
  const reader = openReader(rig.path);
  const ino = asIno(2);
  for (let f = 0; f < 8; f++) rig.fill(f, f + 1);
  const stored = (): Buffer => Buffer.from(reader.readChunk(ino, 0) ?? []);
  rig.ops.writePages(ino, 0, 5000, [0, 1], [0, 1], 2);
  rig.commit();
  t.equal(stored().length, 5000, 'exact when written in one go');
  rig.ops.writePages(ino, 0, 9000, [1, 2], [1, 2], 2);
  rig.commit();
  t.equal(stored().length, 4 * PAGE_BYTES, 'rounded up when it grew');
  t.equal(reader.chunkPages(ino, 0), 3);
  t.ok(
    stored()
      .subarray(9000)
      .every((b) => b === 0),
    'zeros past the end',
  );
  rig.ops.truncate(ino, 100);
  rig.ops.writePages(ino, 0, 3 * PAGE_BYTES, [2], [3], 1);
  rig.commit(false, 2);
  const bytes = stored();
  t.ok(bytes.subarray(0, 100).every((b) => b === 1));
  t.ok(
    bytes.subarray(100, 2 * PAGE_BYTES).every((b) => b === 0),
    'what was cut off reads as zeros',
  );
  t.ok(bytes.subarray(2 * PAGE_BYTES, 3 * PAGE_BYTES).every((b) => b === 4));
  rig.ops.writePages(ino, 2, 0, [0, 1], [0, 1], 2);
  rig.commit();
  t.equal(reader.readChunk(ino, 2)?.length, 0, 'pages past the end of the file are charged, not stored');
  t.equal(reader.sumChunkPages(ino, 1, Infinity), 2);
  reader.close();
  rig.writer.close();
  t.end();
});

void t.test('pages over a stored chunk, wherever they lie in it, also beside a shared one', (t) => {
  const rig = new WriterRig(join(scratchDir(t), 'a'));
  const reader = openReader(rig.path);
  const size = 16 * PAGE_BYTES - 100;
  const model = Buffer.alloc(size);
  const stored = (ino: number): Uint8Array => reader.readChunk(asIno(ino), 0) ?? new Uint8Array(0);
  const write = (pages: number[], frames: number[]): void => {
    pages.forEach((page, i) => {
      // Every byte value, so that nothing takes the bytes for text.
      for (let at = 0; at < PAGE_BYTES; at++)
        rig.pool[frames[i] * PAGE_BYTES + at] = at + page * 7 + frames[i];
      model.set(
        rig.pool
          .subarray(frames[i] * PAGE_BYTES, (frames[i] + 1) * PAGE_BYTES)
          .subarray(0, size - page * PAGE_BYTES),
        page * PAGE_BYTES,
      );
    });
    rig.ops.writePages(asIno(2), 0, size, pages, frames, pages.length);
    rig.commit();
    t.ok(model.equals(stored(2)), `pages ${pages.join()} from frames ${frames.join()}`);
  };
  const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);
  rig.ops.putInode(file(2, { size, allocPages: 16 }));
  rig.ops.putDirent(ROOT_INO, byteName('f'), asIno(2), 8, 3);
  rig.ops.putInode(dir(ROOT_INO, ROOT_INO, { size: 1, nextCookie: 4 }));
  rig.ops.setCounters({ nextIno: 4, inodeCount: 2, allocPages: 16 });
  write(range(0, 16), range(0, 16));
  write([0], [20]);
  write([7], [3]);
  write([15], [9]);
  write([4, 5, 6], [30, 31, 32]);
  write([13, 14, 15], [40, 41, 42]);
  write([4, 6], [10, 11]);
  write([4, 5], [11, 10]);
  write(range(1, 15), range(17, 15));
  // The same chunk under another file: what is written to one doesn't show in the other.
  const [row] = reader.chunkRows(asIno(2), 0, 1);
  const copied = Buffer.from(model);
  rig.ops.putInode(file(3, { size, allocPages: 16 }));
  rig.ops.putDirent(ROOT_INO, byteName('g'), asIno(3), 8, 4);
  rig.ops.putInode(dir(ROOT_INO, ROOT_INO, { size: 2, nextCookie: 5 }));
  rig.ops.cloneChunk(asIno(3), 0, row.chunk, 16);
  rig.ops.setCounters({ nextIno: 4, inodeCount: 3, allocPages: 32 });
  write([2], [50]);
  t.ok(copied.equals(stored(3)), 'the copy is what it was');
  write([3], [51]);
  reader.close();
  rig.writer.close();
  t.same(checkStore(rig.path).findings, []);
  t.end();
});

void t.test('a full disk: nothing of the group stays, and the same log can be committed later', (t) => {
  const rig = new WriterRig(join(scratchDir(t), 'a'), { chunkBytes: 131072 });
  rig.ops.putInode(file(2));
  rig.commit();
  const limit = new Database(rig.path);
  const pagesNow = limit.pragma('page_count', { simple: true }) as number;
  limit.close();
  rig.writer.limitPages(pagesNow + 3);
  rig.ops.putInode(file(3));
  for (let i = 0; i < 20; i++)
    rig.ops.writePages(asIno(3), i, 1e9, [...Array(32).keys()], [...Array(32).keys()], 32);
  const { log, logBytes } = rig.ops.take();
  t.throws(() => rig.writer.commit(50, log, logBytes, rig.pool, true), { name: 'FsError', errno: 28 });
  const reader = openReader(rig.path);
  t.equal(reader.loadInode(asIno(3)), undefined);
  t.equal(reader.nextChunk(asIno(3), 0), -1);
  t.equal(reader.counters().txg, 1);
  rig.writer.limitPages(1e6);
  rig.writer.commit(50, log, logBytes, rig.pool, true);
  t.equal(reader.sumChunkPages(asIno(3), 0, Infinity), 640);
  t.equal(reader.counters().txg, 50);
  reader.close();
  rig.writer.close();
  t.end();
});

void t.test('a damaged log stops the program and leaves the store alone', (t) => {
  const rig = new WriterRig(join(scratchDir(t), 'a'));
  rig.ops.putInode(file(2));
  const { log, logBytes } = rig.ops.take();
  t.throws(() => rig.writer.commit(1, log, logBytes - 8, rig.pool, false), { name: 'InvariantError' });
  t.equal(rig.writer.counters().txg, 0);
  rig.writer.commit(1, log, logBytes, rig.pool, false);
  t.equal(rig.writer.counters().txg, 1);
  rig.writer.close();
  t.end();
});

void t.test('checkpoint, WAL size, free space, and one file left at the end', (t) => {
  const root = scratchDir(t);
  const rig = new WriterRig(join(root, 'a'), { chunkBytes: 131072 });
  const pages = [...Array(32).keys()];
  for (let i = 0; i < 50; i++) rig.ops.writePages(asIno(2), i, 1e9, pages, pages, 32);
  rig.ops.putInode(file(2, { size: 1e9, nlink: 0 }));
  rig.commit();
  t.ok(rig.writer.walBytes().unfolded > 50 * 131072);
  t.match(rig.writer.checkpoint('passive'), { busy: false });
  t.equal(rig.writer.walBytes().unfolded, 0, 'nothing is left to fold in');
  t.ok(rig.writer.walFileBytes() > 0, 'though the file is kept for the next groups');
  rig.ops.truncate(asIno(2), 0);
  rig.commit(true);
  const small = rig.writer.walBytes().unfolded;
  t.ok(small > 0 && small < 1e6);
  rig.writer.releaseFreeSpace(1e6);
  rig.writer.checkpoint('truncate');
  t.equal(rig.writer.walFileBytes(), 0);
  const reader = openReader(rig.path);
  rig.writer.close();
  rig.writer.close();
  t.equal(reader.nextChunk(asIno(2), 0), -1, 'a reader outlives the writer');
  reader.close();
  t.same(readdirSync(root), ['a']);
  t.end();
});

void t.test('a shared chunk is copied before it changes, and given back one reference at a time', (t) => {
  const path = join(scratchDir(t), 'a');
  const rig = new WriterRig(path, { inlineMax: 0 });
  rig.fill(0, 1);
  rig.fill(1, 2);
  for (const ino of [2, 3, 4]) rig.ops.putInode(file(ino, { size: 8192, allocPages: 2, nlink: 0 }));
  for (const ino of [2, 3, 4]) rig.ops.addOrphan(asIno(ino));
  rig.ops.writePages(asIno(2), 0, 8192, [0, 1], [0, 0], 2);
  rig.ops.setCounters({ nextIno: 5, inodeCount: 4, allocPages: 6 });
  rig.commit();
  const db = new Database(path);
  db.exec(`INSERT INTO chunk_map SELECT 3, 0, chunk, pages FROM chunk_map WHERE ino = 2;
    INSERT INTO chunk_map SELECT 4, 0, chunk, pages FROM chunk_map WHERE ino = 2;
    INSERT INTO chunk_share SELECT chunk, 3 FROM chunk_map WHERE ino = 2`);
  db.close();
  t.same(checkStore(path).findings, []);
  rig.ops.writePages(asIno(3), 0, 8192, [1], [1], 1);
  rig.commit(false, 2);
  const reader = openReader(path);
  const second = (ino: number): (number | undefined)[] => [
    reader.readChunk(asIno(ino), 0)?.[0],
    reader.readChunk(asIno(ino), 0)?.[4096],
  ];
  t.same(
    [second(2), second(3), second(4)],
    [
      [1, 1],
      [1, 2],
      [1, 1],
    ],
  );
  t.same(checkStore(path).findings, []);
  rig.ops.truncate(asIno(4), 5000);
  rig.ops.putInode(file(4, { size: 5000, allocPages: 2, nlink: 0 }));
  rig.commit(false, 2);
  t.equal(reader.readChunk(asIno(4), 0)?.length, 5000);
  t.equal(reader.readChunk(asIno(2), 0)?.length, 8192);
  t.same(checkStore(path).findings, []);
  rig.ops.deleteInode(asIno(2));
  rig.ops.setCounters({ nextIno: 5, inodeCount: 3, allocPages: 4 });
  rig.commit(false, 2);
  t.same(checkStore(path).findings, []);
  reader.close();
  rig.writer.close();
  t.end();
});

void t.test('directories round trip', (t) => {
  const rig = new WriterRig(join(scratchDir(t), 'a'));
  rig.ops.putInode(dir(2, 1, { nextCookie: 2 ** 33 }));
  rig.commit(true);
  const reader = openReader(rig.path);
  t.match(reader.loadInode(asIno(2)), { mode: 0o040755, parent: 1, nextCookie: 2 ** 33 });
  reader.close();
  rig.writer.close();
  t.end();
});
