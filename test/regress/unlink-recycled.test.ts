/**
 * A file's vnode was recycled while the kernel knew the file, which was then unlinked: it was removed at once, and what
 * the kernel still had to send (SETATTR of the changed times) got ESTALE, which the next syncfs(2) reported. Found by
 * the tree exerciser.
 */
import t from 'tap';
import { byteName, ROOT_INO } from '../../src/base/ids.js';
import { createTestCore } from '../harness/test-core.js';

const caller = { uid: 0, gid: 0, pid: 1 };

void t.test(
  'an unlinked file stays until the kernel forgets it, though its vnode was recycled before',
  (ct) => {
    const core = createTestCore({ vnodesMax: 8 });
    const { vfs } = core;
    const { mount } = core.core.fs;
    const { counters } = core.core.txgs;
    const file = vfs.mknod(caller, ROOT_INO, byteName('file'), 0o100644, 0, 0);
    const { ino } = file;
    vfs.rememberLookup(file);
    vfs.vrele(file);
    core.sync();
    for (let i = 0; mount.table.has(ino); i++) {
      if (i === 1000) throw new Error('the vnode is not recycled');
      vfs.vrele(vfs.mknod(caller, ROOT_INO, byteName(`other-${i}`), 0o100644, 0, 0));
      core.sync();
    }

    vfs.unlink(caller, ROOT_INO, byteName('file'));
    vfs.vrele(vfs.setattr(caller, ino, undefined, { mtime: { sec: 1, nsec: 0 } }));
    const inodes = counters.inodeCount;
    core.sync();
    core.check();

    vfs.forget(ino, 1);
    ct.equal(counters.inodeCount, inodes - 1, 'and now it has gone');
    ct.throws(() => vfs.getattr(caller, ino, undefined), /ESTALE/);
    core.close();
    ct.end();
  },
);
