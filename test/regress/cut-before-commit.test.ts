/**
 * Data high in a chunk was written and cut off again before any commit: the file went on being charged for the hole
 * below it, which the store never heard of. fsck found more pages charged than stored, after scripts/fsx.
 */
import t from 'tap';
import { openCoreTarget } from '../harness/core-target.js';
import { createTestCore } from '../harness/test-core.js';
import { CoreClient } from '../harness/core-client.js';
import { VNODEFS_CAPABILITIES } from '../harness/mount.js';
import { O } from '../harness/posix-client.js';

const PAGE_BYTES = 4096;

await t.test('a hole left by a truncation is not charged', async (ct) => {
  const target = await openCoreTarget();
  const fs = target.client;
  const fd = fs.open('/file', O.RDWR | O.CREAT);
  fs.write(fd, Buffer.alloc(100, 7), 15 * PAGE_BYTES);
  fs.ftruncate(fd, 13 * PAGE_BYTES + 5);
  ct.equal(fs.fstat(fd).blocks, 0);
  ct.strictSame(fs.read(fd, PAGE_BYTES, 13 * PAGE_BYTES), Buffer.alloc(5));
  fs.close(fd);
  // Runs fsck, and throws what it finds.
  target.close();
});

void t.test('what the store has, or is about to have, stays charged', (ct) => {
  const core = createTestCore();
  const fs = new CoreClient(core, VNODEFS_CAPABILITIES);
  const fd = fs.open('/file', O.RDWR | O.CREAT);
  fs.write(fd, Buffer.alloc(100, 7), 15 * PAGE_BYTES);
  core.sync();
  fs.ftruncate(fd, 13 * PAGE_BYTES);
  ct.equal(fs.fstat(fd).blocks, 13 * 8, 'a committed chunk is cut');
  fs.write(fd, Buffer.alloc(100, 7), 9 * PAGE_BYTES);
  fs.write(fd, Buffer.alloc(100, 7), 31 * PAGE_BYTES);
  fs.ftruncate(fd, 10 * PAGE_BYTES - 1);
  ct.equal(fs.fstat(fd).blocks, 10 * 8, 'a dirty page stays');
  fs.close(fd);
  core.close();
  ct.end();
});
