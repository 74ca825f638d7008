import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  boundSockets,
  describeHolders,
  findHolders,
  isBelow,
  mapsDevice,
  mountsBelow,
} from '../../../src/daemon/holders.js';
import { readDetached, readProbe, reasonOf, runCommand } from '../../../src/daemon/host.js';
import { Failure } from '../../../src/daemon/failure.js';
import { failedReport, parseReport } from '../../../src/daemon/ready.js';

const failed = (stderr: string): Parameters<typeof readProbe>[0] => ({
  status: 32,
  stderr,
  missing: false,
  timedOut: false,
});

void t.test('what programs say', (t) => {
  const ok = { status: 0, stderr: '', missing: false, timedOut: false };
  const late = { status: undefined, stderr: '', missing: false, timedOut: true };
  t.strictSame(readProbe(ok), { state: 'alive' });
  t.strictSame(readProbe(late), { state: 'hung' });
  const dead = "stat: cannot read file system information for '/m': Transport endpoint is not connected";
  t.strictSame(readProbe(failed(dead)), { state: 'dead' });
  t.strictSame(readProbe(failed("stat: cannot … '/m': Permission denied")), {
    state: 'unreachable',
    reason: 'Permission denied',
  });
  t.strictSame(readDetached(ok), { outcome: 'done' });
  t.strictSame(readDetached(late), { outcome: 'timed-out' });
  t.strictSame(readDetached(failed('umount: /m: target is busy.')), { outcome: 'busy' });
  t.strictSame(readDetached(failed('fusermount3: failed to unmount /m: Device or resource busy')), {
    outcome: 'busy',
  });
  t.strictSame(readDetached(failed('umount: /m: not mounted.')), { outcome: 'not-mounted' });
  t.strictSame(readDetached(failed('fusermount3: entry for /m not found in /etc/mtab')), {
    outcome: 'not-mounted',
  });
  t.strictSame(readDetached(failed('umount: /m: must be superuser to unmount.')), {
    outcome: 'failed',
    reason: 'must be superuser to unmount',
  });
  t.equal(reasonOf(''), 'no reason given');
  t.end();
});

void t.test('programs run with a time limit', async (t) => {
  t.match(await runCommand('sh', ['-c', 'echo no >&2; exit 3'], 5000), {
    status: 3,
    stderr: 'no',
    missing: false,
  });
  t.match(await runCommand('/nonexistent/program', [], 5000), { missing: true });
  t.match(await runCommand('sleep', ['30'], 50), { timedOut: true, status: undefined });
});

void t.test('who holds a mount, from /proc', (t) => {
  const proc = t.testdir();
  const mount = {
    mountId: 77,
    device: '0:300',
    mountpoint: '/mnt/a',
    options: [],
    fsType: 'fuse.vnodefs',
    source: '/s',
    superOptions: [],
  };
  const add = (pid: number, links: Record<string, string>, files: Record<string, string>): void => {
    for (const dir of ['fd', 'fdinfo']) mkdirSync(join(proc, String(pid), dir), { recursive: true });
    for (const [name, target] of Object.entries(links)) symlinkSync(target, join(proc, String(pid), name));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(proc, String(pid), name), text);
  };
  add(
    10,
    { cwd: '/mnt/a/x', root: '/', exe: '/bin/bash', 'fd/3': '/mnt/a/f' },
    {
      comm: 'bash\n',
      status: 'Name:\tbash\nUid:\t1000\t1000\n',
      'fdinfo/3': 'pos:\t0\nflags:\t0100002\nmnt_id:\t77\nino:\t5\n',
    },
  );
  add(
    11,
    { cwd: '/mnt/ab', root: '/', exe: '/mnt/a/prog', 'fd/4': '/mnt/a/other' },
    {
      comm: 'prog\n',
      status: 'Uid:\t0\t0\n',
      'fdinfo/4': 'mnt_id:\t771\n',
      maps:
        '7f00-7f01 r-xp 0000 00:12c 99    /mnt/a/lib with space\n7f01-7f02 r-xp 0 08:01 5 /lib/x\n' +
        '7f03-7f04 r-xp 0000 00:12c 98    /mnt/a/prog\n',
    },
  );
  add(12, { cwd: '/mnt/ab', root: '/', exe: '/bin/x' }, { comm: 'x\n' });
  add(
    13,
    { cwd: '/', root: '/', exe: '/bin/y', 'fd/5': 'socket:[4711]', 'fd/6': '/mnt/a/gone (deleted)' },
    {
      comm: 'y\n',
      status: 'Uid:\t4294967\t0\n',
      'fdinfo/5': 'flags:\t02000002\nmnt_id:\t9\n',
      'fdinfo/6': 'flags:\t0100000\nmnt_id:\t77\n',
    },
  );
  mkdirSync(join(proc, 'net'));
  const sockets =
    'Num       RefCount Protocol Flags    Type St Inode Path\n' +
    '0000: 00000002 00000000 00010000 0001 01 4711 /mnt/a/s ock\n0000: 00000003 00000000 00000000 0001 03 4712\n' +
    '0000: 00000002 00000000 00010000 0001 01  99 /run/other\n';
  writeFileSync(join(proc, 'net/unix'), sockets);
  t.strictSame([...boundSockets(sockets, '/mnt/a')], [['4711', '/mnt/a/s ock']]);
  const holders = findHolders(mount, proc).map((holder) => ({ ...holder, user: '' }));
  t.strictSame(holders, [
    {
      pid: 10,
      command: 'bash',
      uid: 1000,
      user: '',
      uses: [
        { use: 'writing', path: '/mnt/a/f' },
        { use: 'cwd', path: '/mnt/a/x' },
      ],
    },
    {
      pid: 11,
      command: 'prog',
      uid: 0,
      user: '',
      uses: [
        { use: 'executing', path: '/mnt/a/prog' },
        { use: 'mapped', path: '/mnt/a/lib with space' },
      ],
    },
    {
      pid: 13,
      command: 'y',
      uid: 4294967,
      user: '',
      uses: [
        { use: 'reading', path: '/mnt/a/gone (deleted)' },
        { use: 'socket', path: '/mnt/a/s ock' },
      ],
    },
  ]);
  t.strictSame(findHolders(mount, proc, -1), [], 'no more is looked at when time is up');
  t.strictSame(
    findHolders(mount, proc).map(({ user }) => user),
    [findHolders(mount, proc)[0].user, 'root', '4294967'],
  );
  const named = [{ ...holders[0], user: 'ann' }, holders[1]];
  t.equal(describeHolders(named, 1), 'bash (pid 10 of ann, writing /mnt/a/f) and 1 more');
  const below = { ...mount, mountId: 78, mountpoint: '/mnt/a/sub' };
  t.strictSame(mountsBelow(mount, [mount, below, { ...below, mountpoint: '/mnt/ab' }]), ['/mnt/a/sub']);
  t.equal(mapsDevice('8:1'), '08:01');
  t.ok(isBelow('/mnt/a', '/mnt/a') && isBelow('/x', '/') && !isBelow('/mnt/ab', '/mnt/a'));
  t.end();
});

void t.test('the report of a starting daemon', (t) => {
  const report = failedReport(new Failure('store-in-use', 'it is in use'));
  t.strictSame(parseReport(JSON.stringify(report)), report);
  t.match(parseReport('{"kind":"ready","pid":5}'), { pid: 5 });
  for (const text of ['', '{', 'null', '{"kind":"failed","failure":"odd"}', '{"kind":"ready"}'])
    t.equal(parseReport(text), undefined, text);
  t.end();
});
