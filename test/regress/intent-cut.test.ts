/**
 * Pages that the intent log has heard of, and that are cut off before the store has: what a crash brings must not be
 * charged for them. And what else undoes what the log has heard of in the same group.
 */
import t from 'tap';
import { CoreClient } from '../harness/core-client.js';
import { VNODEFS_CAPABILITIES } from '../harness/mount.js';
import { O } from '../harness/posix-client.js';
import { createTestCore } from '../harness/test-core.js';

const PAGE = 4096;
/** FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE */
const PUNCH = 3;
const PAGES = Buffer.alloc(20 * PAGE, 'a');

const cases: Record<string, (fs: CoreClient, fd: number) => void> = {
  'a truncate': (fs, fd) => fs.ftruncate(fd, PAGE + 100),
  'a truncate to nothing': (fs, fd) => fs.ftruncate(fd, 0),
  'a truncate, then data again': (fs, fd) => {
    fs.ftruncate(fd, 0);
    fs.write(fd, Buffer.alloc(100, 'b'), 3 * PAGE);
  },
  'a hole': (fs, fd) => fs.fallocate(fd, PUNCH, 0, 64 << 10),
  'the file removed': (fs) => fs.unlink('/f'),
  'the file replaced': (fs, fd) => {
    fs.unlink('/f');
    fs.close(fd);
    fs.close(fs.open('/f', O.RDWR | O.CREAT));
  },
  'the file renamed over another': (fs) => {
    fs.close(fs.open('/g', O.RDWR | O.CREAT));
    fs.rename('/f', '/g');
  },
  'more data': (fs, fd) => void fs.write(fd, Buffer.alloc(PAGE, 'c'), 9 * PAGE),
};

for (const [what, act] of Object.entries(cases)) {
  await t.test(what, (ct) => {
    const core = createTestCore({ intents: 512 << 10 });
    const fs = new CoreClient(core, { ...VNODEFS_CAPABILITIES, permissions: false, openSpecial: false });
    const { txgs } = core.core;
    const fd = fs.open('/f', O.RDWR | O.CREAT);
    fs.write(fd, PAGES, 0);
    fs.fsync(fd);
    ct.ok(txgs.latest === txgs.openId && txgs.committed === 0, 'the log has it, the group is open still');
    act(fs, fd);
    core.checkCrash();
    fs.closeAll();
    core.close();
    ct.end();
  });
}
