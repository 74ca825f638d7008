/**
 * Wrote test/format/store-v1.vnodefs, once: `node build/test/format/make-fixture.js FILE`. Refuses an existing
 * file.
 */
import Database from 'better-sqlite3';
import { asIno } from '../../src/base/ids.js';
import { createStore } from '../../src/store/mkfs.js';
import { TxgEncoder } from '../../src/store/txg-log.js';
import { PAGE_BYTES } from '../../src/store/types.js';
import { StoreWriter } from '../../src/store/writer.js';
import { dirents, FIXTURE_CHUNK_BYTES, FIXTURE_UUID, inodes, linkTarget, writes, xattrs } from './content.js';

const path = process.argv[2];
createStore(path, {
  label: 'frozen v1',
  uuid: FIXTURE_UUID,
  chunkBytes: FIXTURE_CHUNK_BYTES,
  pageBytes: 1024,
  inlineMax: 2048,
  sizeLimitBytes: 1 << 30,
  inodeLimit: 1000,
  nowSec: 1_600_000_000,
});
const ops = new TxgEncoder();
const pool = new Uint8Array(new SharedArrayBuffer(256 * PAGE_BYTES));
for (let frame = 0; frame < 256; frame++) pool.fill(frame, frame * PAGE_BYTES, (frame + 1) * PAGE_BYTES);
for (const record of inodes) ops.putInode(record);
for (const d of dirents) ops.putDirent(d.parent, d.name, d.ino, d.type, d.cookie);
for (const x of xattrs) ops.setXattr(asIno(3), x.name, x.value);
ops.setSymlink(asIno(5), linkTarget);
ops.addOrphan(asIno(8));
for (const [ino, index, pages, fill] of writes) {
  const size = inodes[ino - 1].size;
  ops.writePages(
    asIno(ino),
    index,
    size,
    pages,
    pages.map(() => fill),
    pages.length,
  );
}
ops.setCounters({ nextIno: 20, inodeCount: inodes.length, allocPages: 13 });
const { log, logBytes } = ops.take();
const writer = new StoreWriter(path);
writer.commit(1, log, logBytes, pool, true);
writer.close();
// Nothing shares chunks yet, but the format carries it: inode 11 is a copy of 10 by reference.
const db = new Database(path);
db.exec(`INSERT INTO chunk_map SELECT 11, 0, chunk, pages FROM chunk_map WHERE ino = 10;
  INSERT INTO chunk_share SELECT chunk, 2 FROM chunk_map WHERE ino = 10`);
db.close();
