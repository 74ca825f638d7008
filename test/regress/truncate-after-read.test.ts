/**
 * A read had used every page of the pool; a truncate that came next wanted one, found all of them in use by that read,
 * which was over, and waited for a write-back that nobody had to do: for ever. Found by the tree model in next to no
 * memory, after 62,039 operations.
 */
import t from 'tap';
import { byteName, ROOT_INO } from '../../src/base/ids.js';
import { PAGE_BYTES } from '../../src/store/types.js';
import { createTestCore } from '../harness/test-core.js';

const caller = { uid: 0, gid: 0, pid: 1 };
const PAGES = 16;
const O_WRONLY_TRUNC = 0o1001;
const WRITE = { fromCache: false, killSuidgid: false };

void t.test('a truncate after a read of as many pages as there are', (ct) => {
  const core = createTestCore({ pages: PAGES, mkfs: { chunkBytes: 4 * PAGE_BYTES } });
  const { vfs } = core;
  const { bufs } = core.core.vnodes;
  const { vp, open } = vfs.create(caller, ROOT_INO, byteName('f'), 0o644, 2, 0);
  const { ino } = vp;
  for (let page = 0; page < PAGES; page++) {
    vfs.write(caller, ino, open.fh, page * PAGE_BYTES, Buffer.alloc(PAGE_BYTES, 'x'), WRITE);
    core.sync();
  }
  const readAll = (): void => {
    let length = 0;
    vfs.read(ino, open.fh, 0, PAGES * PAGE_BYTES, {
      pool: (_, count) => void (length += count),
      bytes: (piece) => void (length += piece.length),
      zeros: (count) => void (length += count),
    });
    core.sync(); // the access time
    ct.equal(bufs.pool.freeCount, 0, 'every page is in use');
    ct.equal(bufs.dirtyPages, 0, 'and none is dirty');
  };
  readAll();
  vfs.vrele(vfs.setattr(caller, ino, undefined, { size: PAGES * PAGE_BYTES - 1 }));
  core.sync();
  vfs.vrele(vfs.setattr(caller, ino, undefined, { size: PAGES * PAGE_BYTES }));
  readAll();
  const again = vfs.open(caller, ino, O_WRONLY_TRUNC);
  ct.equal(vp.size, 0);
  vfs.release(again.fh);
  vfs.release(open.fh);
  vfs.vrele(vp);
  core.close();
  ct.end();
});
