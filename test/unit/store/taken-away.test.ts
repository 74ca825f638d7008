/** A store whose files are taken away, and a log written anew after a failure. */
import { copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Errno } from '../../../src/base/errno.js';
import { checkStore } from '../../../src/store/fsck.js';
import { renewWalFile } from '../../../src/store/wal-renewal.js';
import { file, scratchDir, WriterRig } from './scratch.js';

const group = (rig: WriterRig): void => {
  const ino = rig.txg + 2;
  rig.ops.putInode(file(ino, { nlink: 0 }));
  rig.ops.addOrphan(file(ino).ino);
  rig.ops.setCounters({ nextIno: ino + 1, inodeCount: ino, allocPages: 0 });
  rig.commit(true);
};
/** Tries a group; the rig's number goes back if it failed, as the syncer keeps a failed group. */
const refused = (rig: WriterRig): string => {
  try {
    group(rig);
  } catch (error) {
    rig.txg--;
    const { errno, cause } = error as { errno: number; cause: Error };
    return `${errno} ${cause.message}`;
  }
  return 'accepted';
};

void t.test('a store that is renamed away, replaced or cut takes no writes until it is back', (t) => {
  const rig = new WriterRig(join(scratchDir(t), 'a'));
  group(rig);
  const away = `${rig.path}.away`;
  renameSync(rig.path, away);
  t.match(refused(rig), `${Errno.EIO} ${rig.path} has been removed or renamed`);
  copyFileSync(away, rig.path);
  t.match(refused(rig), `${Errno.EIO} ${rig.path} has been replaced`);
  renameSync(away, rig.path);
  t.equal(refused(rig), 'accepted', 'put back: it goes on');

  rig.writer.checkpoint('truncate');
  group(rig);
  const whole = readFileSync(rig.path);
  truncateSync(rig.path, 8192);
  t.match(refused(rig), new RegExp(`has been cut from ${whole.length} to 8192 bytes`));
  writeFileSync(rig.path, whole, { flag: 'r+' });
  t.equal(refused(rig), 'accepted');

  renameSync(`${rig.path}-wal`, away);
  t.match(refused(rig), `${Errno.EIO} ${rig.path}-wal has been removed or renamed`);
  renameSync(away, `${rig.path}-wal`);
  t.equal(refused(rig), 'accepted');
  rig.writer.close();
  t.strictSame(checkStore(rig.path).findings, []);
  t.end();
});

void t.test(
  'a log is written anew as it is; a frame that cannot be read back as it was written is an error',
  (t) => {
    const rig = new WriterRig(join(scratchDir(t), 'b'));
    for (let i = 0; i < 5; i++) group(rig);
    const wal = `${rig.path}-wal`;
    const before = readFileSync(wal);
    const frameBytes = 8192 + 24;
    const frames = (before.length - 32) / frameBytes;
    t.ok(Number.isInteger(frames) && frames > 5);
    renewWalFile(wal, frames);
    t.ok(readFileSync(wal).equals(before));

    for (const [at, frame] of [
      [10, 0],
      [32 + 2 * frameBytes + 100, 3],
      [32 + 2 * frameBytes + 9, 3],
      [32 + frameBytes + 17, 2],
    ]) {
      const bad = Buffer.from(before);
      bad[at] ^= 1;
      writeFileSync(`${wal}.bad`, bad);
      t.throws(() => renewWalFile(`${wal}.bad`, frames), {
        errno: Errno.EIO,
        cause: { message: new RegExp(`^frame ${frame} `) },
      });
    }
    writeFileSync(`${wal}.bad`, before.subarray(0, before.length - 1));
    t.throws(() => renewWalFile(`${wal}.bad`, frames), {
      cause: { message: new RegExp(`^frame ${frames} `) },
    });
    rmSync(`${wal}.bad`);
    t.throws(() => renewWalFile(`${wal}.bad`, frames), { cause: { code: 'ENOENT' } });
    rig.writer.close();
    t.end();
  },
);
