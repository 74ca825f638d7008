/** The frozen store of format 1 opens with today's code, holds what it held, passes fsck, and can be written. */
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { asIno } from '../../src/base/ids.js';
import { checkStore } from '../../src/store/fsck.js';
import { openReader } from '../../src/store/reader.js';
import { TxgEncoder } from '../../src/store/txg-log.js';
import { PAGE_BYTES } from '../../src/store/types.js';
import { StoreWriter } from '../../src/store/writer.js';
import { dirents, FIXTURE_CHUNK_BYTES, FIXTURE_UUID, inodes, linkTarget, writes, xattrs } from './content.js';

const frozen = fileURLToPath(new URL('../../../test/format/store-v1.vnodefs', import.meta.url));

void t.test('the frozen store of format 1', (t) => {
  const path = join(t.testdir(), 'store');
  copyFileSync(frozen, path);
  t.ok(
    readFileSync(path).subarray(68, 72).equals(Buffer.from('VNFS')),
    'the application id file(1) looks for',
  );
  t.same(checkStore(path).findings, []);
  const reader = openReader(path);
  t.match(reader.superblock, { uuid: FIXTURE_UUID, label: 'frozen v1', chunkBytes: FIXTURE_CHUNK_BYTES });
  t.match(reader.superblock, { inlineMax: 2048, sizeLimitBytes: 1 << 30, inodeLimit: 1000 });
  t.match(reader.counters(), { nextIno: 20, inodeCount: 11, allocPages: 13, txg: 1 });
  for (const record of inodes) t.same(reader.loadInode(record.ino), record, `inode ${record.ino}`);
  for (const parent of [1, 2]) {
    const expected = dirents.filter((d) => Number(d.parent) === parent);
    t.same(
      reader.scanDirents(asIno(parent), 0, 100),
      expected.map(({ name, ino, type, cookie }) => ({ name, ino, type, cookie })),
    );
  }
  for (const { parent, name, ino } of dirents) t.equal(reader.lookupDirent(parent, name)?.ino, ino);
  t.same(Buffer.from(reader.readSymlink(asIno(5)) ?? []), linkTarget);
  t.same(
    reader.listXattrs(asIno(3)).map((x) => [x.name, [...x.value]]),
    xattrs.map((x) => [x.name, [...x.value]]),
  );
  t.same(reader.listOrphans(), [8]);
  for (const [ino, index, pages, fill] of writes) {
    const stored = Buffer.from(reader.readChunk(asIno(ino), index) ?? []);
    const size = inodes[ino - 1].size - index * FIXTURE_CHUNK_BYTES;
    const length = Math.min(pages.length * PAGE_BYTES, size);
    t.ok(
      stored.subarray(0, length).every((b) => b === fill),
      `data of inode ${ino}`,
    );
    t.equal(reader.chunkPages(asIno(ino), index), pages.length);
  }
  t.equal(reader.nextChunk(asIno(4), 1), 5);
  t.equal(reader.nextChunk(asIno(9), 0), -1);
  t.same(Buffer.from(reader.readChunk(asIno(11), 0) ?? []), Buffer.alloc(8192, 10), 'the shared copy');
  reader.close();
  t.end();
});

void t.test('writing to the frozen store keeps a shared copy apart', (t) => {
  const path = join(t.testdir(), 'store');
  copyFileSync(frozen, path);
  const writer = new StoreWriter(path);
  const ops = new TxgEncoder();
  ops.writePages(asIno(11), 0, 8192, [1], [0], 1);
  const { log, logBytes } = ops.take();
  writer.commit(2, log, logBytes, new Uint8Array(PAGE_BYTES).fill(99), true);
  writer.close();
  const reader = openReader(path);
  t.equal(reader.readChunk(asIno(10), 0)?.[5000], 10);
  t.equal(reader.readChunk(asIno(11), 0)?.[5000], 99);
  reader.close();
  t.same(checkStore(path).findings, []);
  t.end();
});
