/** The plumbing of macOS: what its programs print becomes what the daemon asks for. The programs themselves are not run. */
import t from 'tap';
import { entriesOf, holderOf, mountGone, readMacProbe } from '../../../src/daemon/macos-host.js';
import { isOurs, mountAt, ownerOf } from '../../../src/base/mountinfo.js';

const ME = { uid: 501, username: 'ann' };
const OURS = 'vnodefs:/s.db on /Volumes/x (macfuse, nodev, nosuid, mounted by ann)';
const TABLE = [
  '/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)',
  OURS,
  'vnodefs:/t.db on /Volumes/y (macfuse, nodev, nosuid, mounted by bob)',
  'sshfs on /Volumes/s (macfuse, nodev, nosuid, mounted by ann)',
].join('\n');

void t.test('the mount table', (t) => {
  const mounts = entriesOf(`${TABLE}\n`, ME);
  t.equal(mounts.length, 4);
  t.strictSame(
    mounts.filter(isOurs).map(({ mountpoint, source }) => [mountpoint, source]),
    [
      ['/Volumes/x', '/s.db'],
      ['/Volumes/y', '/t.db'],
    ],
  );
  const owner = (mountpoint: string): number | undefined => {
    const mount = mountAt(mounts, mountpoint);
    return mount && ownerOf(mount);
  };
  t.strictSame(['/Volumes/x', '/Volumes/y', '/'].map(owner), [501, -1, 0]);
  t.end();
});

void t.test('a probe: alive, dead, hung, unreachable', (t) => {
  t.equal(readMacProbe(0, false, '').state, 'alive');
  t.equal(readMacProbe(undefined, true, '').state, 'hung');
  t.equal(readMacProbe(1, false, 'stat: /Volumes/x: stat: Device not configured').state, 'dead');
  t.strictSame(readMacProbe(1, false, 'stat: /Volumes/x: stat: Permission denied'), {
    state: 'unreachable',
    reason: 'Permission denied',
  });
  t.end();
});

void t.test('how a holder uses the mount', (t) => {
  const use = (how: string, access: string) => ({ how, access, path: '/Volumes/x/f' });
  const uses = [
    use('cwd', ' '),
    use('rtd', ' '),
    use('txt', ' '),
    use('3', 'r'),
    use('4', 'w'),
    use('5', 'u'),
  ];
  const holder = holderOf({ pid: 7, command: 'vi', uid: 501, user: 'ann', uses });
  t.strictSame(
    holder.uses.map((one) => one.use),
    ['cwd', 'root', 'executing', 'reading', 'writing', 'writing'],
  );
  t.end();
});

void t.test('the end of a mount: gone after it was there; a list that fails says nothing', async (t) => {
  const answers = ['', OURS, undefined, OURS, '/dev/disk1 on / (apfs)'];
  let asked = 0;
  await mountGone(
    '/Volumes/x',
    () => {
      const answer = answers[asked++];
      return answer === undefined ? Promise.reject(new Error('no answer')) : Promise.resolve(answer);
    },
    1,
  );
  t.equal(asked, answers.length);
});
