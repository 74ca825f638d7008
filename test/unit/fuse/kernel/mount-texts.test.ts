/** Notifications' bytes, and what fusermount3 says. */
import t from 'tap';
import { asIno, byteName } from '../../../../src/base/ids.js';
import { deviceError, fusermountError, mountCallError } from '../../../../src/fuse/kernel/mount-error.js';
import {
  encodeDelete,
  encodeInvalEntry,
  encodeInvalInode,
  encodePrune,
} from '../../../../src/fuse/kernel/notify.js';
import * as s from '../../../../src/fuse/kernel/structs.js';

await t.test('notifications', (t) => {
  const inval = encodeInvalInode(asIno(7), -1, 0);
  t.match(s.outHeader.decode(inval), { len: 40, error: 2, unique: 0 });
  t.same(s.notifyInvalInodeOut.decode(inval, 16), { ino: 7, off: -1, len: 0 });
  const entry = encodeInvalEntry(asIno(1), byteName('äb'), true);
  t.match(s.outHeader.decode(entry), { len: 16 + 16 + 4, error: 3 });
  t.same(s.notifyInvalEntryOut.decode(entry, 16), { parent: 1, namelen: 3, flags: 1 });
  t.same([...entry.slice(32)], [0xc3, 0xa4, 0x62, 0]);
  const gone = encodeDelete(asIno(1), asIno(2 ** 40), byteName('x'));
  t.match(s.notifyDeleteOut.decode(gone, 16), { parent: 1, child: 2 ** 40, namelen: 1 });
  const prune = encodePrune([asIno(5), asIno(2 ** 33 + 1)]);
  t.match(s.outHeader.decode(prune), { len: 16 + 16 + 16, error: 9 });
  t.match(s.notifyPruneOut.decode(prune, 16), { count: 2 });
  t.equal(s.forgetIn.decode(prune, 40).nlookup, 2 ** 33 + 1);
  t.end();
});

await t.test('errors', (t) => {
  const cases: [string, string][] = [
    [
      "fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf",
      'allow-other',
    ],
    ['fusermount3: failed to open /dev/fuse: Permission denied', 'no-permission'],
    ["fuse: device not found, try 'modprobe fuse' first", 'no-device'],
    ['fusermount3: user has no write access to mountpoint /x', 'no-permission'],
    ['fusermount3: mount failed: Operation not permitted', 'no-permission'],
    ['fusermount3: entry for /x not found in /etc/mtab', 'not-mounted'],
    ['fusermount3: failed to unmount /x: Device or resource busy', 'busy'],
    ['fusermount3: something new', 'failed'],
  ];
  for (const [said, code] of cases) t.equal(fusermountError(`${said}\n`, '/x').code, code, said);
  t.equal(deviceError(2).code, 'no-device');
  t.equal(deviceError(13).code, 'no-permission');
  t.equal(mountCallError(1, '/x').code, 'no-permission');
  t.match(mountCallError(22, '/x'), { code: 'failed', message: /EINVAL/ });
  t.end();
});
