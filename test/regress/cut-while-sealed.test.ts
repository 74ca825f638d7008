/**
 * Pages of a new chunk were sealed, then cut off by a truncate into the same chunk, all of them. What was left of the
 * chunk (zeros, charged) was known to the buf alone until the sealed group was in the store, but the buf could be
 * evicted: the pages were charged anew by the next write, and fsck found more charged than stored. Found by fsx.
 */
import t from 'tap';
import { byteName, ROOT_INO } from '../../src/base/ids.js';
import { PAGE_BYTES } from '../../src/store/types.js';
import { createTestCore } from '../harness/test-core.js';

const caller = { uid: 0, gid: 0, pid: 1 };
const WRITE = { fromCache: false, killSuidgid: false };

void t.test('a chunk cut below all its sealed pages stays charged for what is left', (ct) => {
  const core = createTestCore({ pages: 64 });
  const { vfs } = core;
  const { bufs } = core.core.vnodes;
  const { txgs } = core.core;
  const { vp, open } = vfs.create(caller, ROOT_INO, byteName('f'), 0o644, 2, 0);
  const page = Buffer.alloc(PAGE_BYTES, 'x');
  vfs.write(caller, vp.ino, open.fh, 0, page, WRITE);
  core.sync();
  const chunk = core.core.fs.state.chunkBytes;
  vfs.write(caller, vp.ino, open.fh, chunk + 5 * PAGE_BYTES, page, WRITE);
  txgs.barrier(txgs.latest, () => undefined); // sealed, and not committed
  vfs.vrele(vfs.setattr(caller, vp.ino, undefined, { size: chunk + 3 * PAGE_BYTES }));
  ct.equal(vp.allocPages, 1 + 3, 'the rest of the chunk is charged');
  bufs.newRequest();
  bufs.reserve(bufs.pool.size); // evicts whatever can be
  core.check();
  vfs.write(caller, vp.ino, open.fh, chunk + PAGE_BYTES, page, WRITE);
  ct.equal(vp.allocPages, 1 + 3);
  core.check();
  vfs.release(open.fh);
  vfs.vrele(vp);
  core.close(); // fsck
  ct.end();
});
