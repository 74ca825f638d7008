import t from 'tap';
import { isOurs, mountAt, ownerOf, parseMountinfo, readMounts } from '../../../src/base/mountinfo.js';

const TEXT = [
  '23 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw',
  '28 1 254:1 / / rw,relatime shared:1 master:2 - ext4 /dev/vda1 rw',
  '99 28 0:50 / /mnt/with\\040space\\134\\011x rw,relatime - fuse.vnodefs /srv/s\\040.db rw,user_id=1000,group_id=5',
  '100 28 0:51 / /mnt/a ro - fuse.vnodefs /s.db ro,user_id=0',
  '101 100 0:52 / /mnt/a rw - tmpfs none rw',
  'nonsense',
  '',
].join('\n');

void t.test('fields, optional fields and escapes', (t) => {
  const mounts = parseMountinfo(TEXT);
  t.equal(mounts.length, 5);
  t.strictSame(mounts[2], {
    mountId: 99,
    device: '0:50',
    mountpoint: '/mnt/with space\\\tx',
    options: ['rw', 'relatime'],
    fsType: 'fuse.vnodefs',
    source: '/srv/s .db',
    superOptions: ['rw', 'user_id=1000', 'group_id=5'],
  });
  t.strictSame(mounts[1].fsType, 'ext4');
  t.strictSame(mounts.map(isOurs), [false, false, true, true, false]);
  t.strictSame(mounts.map(ownerOf), [0, 0, 1000, 0, 0]);
  t.equal(mountAt(mounts, '/mnt/a')?.fsType, 'tmpfs', 'the topmost');
  t.equal(mountAt(mounts, '/mnt'), undefined);
  t.end();
});

void t.test('the real thing', (t) => {
  t.ok(mountAt(readMounts(), '/'));
  t.strictSame(readMounts('/nonexistent'), []);
  t.end();
});
