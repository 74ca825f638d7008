/**
 * The other ways in which a mount is started: mount(8) through an fstab line and mount.fuse3, and systemd's readiness
 * protocol (sd_notify(3)), each with the real programs.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run, tryRun } from '../harness/commands.js';
import {
  cli,
  mountedDevice,
  mountEntries,
  onPlainDirectory,
  processAlive,
  REPOSITORY,
} from '../harness/mount.js';

const skip = onPlainDirectory ? 'about mounting' : false;

/** A directory with an empty `mnt`, gone at the end. */
const place = (ct: Test): { base: string; mnt: string; store: string } => {
  const base = mkdtempSync(join(tmpdir(), 'vnodefs-mount8-'));
  const mnt = join(base, 'mnt');
  mkdirSync(mnt);
  ct.teardown(() => {
    if (mountedDevice(mnt) !== undefined) cli(['umount', mnt], { timeoutMs: 60_000 });
    if (mountedDevice(mnt) !== undefined) throw new Error(`${mnt} is still mounted`);
    rmSync(base, { recursive: true });
  });
  return {
    base,
    mnt,
    store: join(base, 's.db'),
  };
};

await t.test('a line of fstab', { skip }, (ct) => {
  const { base, mnt, store } = place(ct);
  // mount(8) has a PATH of its own, so the program is named in full: mount.fuse3(8), "TYPE#SOURCE".
  const program = join(REPOSITORY, 'bin/vnodefs.js');
  const fstab = join(base, 'fstab');
  writeFileSync(
    fstab,
    `${program}#${store} ${mnt} fuse noauto,noatime,pages=16MiB,vnodes=500,nosuid,x-test.thing 0 0\n`,
  );
  run('mount', ['-T', fstab, mnt], { timeoutMs: 60_000 });
  const entry = mountEntries().find((one) => one.mountpoint === mnt);
  ct.equal(entry?.store, store);
  ct.match(run('findmnt', ['-no', 'FSTYPE,OPTIONS', mnt]), /fuse\.vnodefs .*nosuid/);
  writeFileSync(join(mnt, 'f'), 'by fstab');
  ct.not(tryRun('mount', ['-T', fstab, mnt], { timeoutMs: 60_000 }).status, 0, 'a second time is refused');
  run('umount', [mnt], { timeoutMs: 60_000 });
  const pid = entry?.pid ?? 0;
  run('timeout', ['30', 'sh', '-c', `while kill -0 ${pid} 2>/dev/null; do sleep 0.05; done`]);
  ct.notOk(processAlive(pid), 'umount(8) ends the daemon');

  run('mount', ['-t', 'fuse', '-o', 'ro', `${program}#${store}`, mnt], { timeoutMs: 60_000 });
  ct.equal(run('cat', [join(mnt, 'f')]), 'by fstab');
  ct.match(tryRun('touch', [join(mnt, 'g')]).stderr, /Read-only/);
  ct.equal(cli(['umount', mnt], { timeoutMs: 60_000 }).status, 0);
  const wrong = tryRun('mount', ['-t', 'fuse', '-o', 'noatme', `${program}#${store}`, mnt], {
    timeoutMs: 60_000,
  });
  ct.not(wrong.status, 0);
  ct.match(wrong.stderr, /unknown mount option 'noatme'.*did you mean noatime/);
  ct.end();
});

/** Stands in for systemd: prints the first datagram that arrives on the socket named by its argument. */
const RECEIVER = `
import socket, sys, os
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(60)
print(s.recv(4096).decode())
`;

const lacking = ['python3', 'systemd-notify'].filter(
  (name) => tryRun('sh', ['-c', `command -v ${name}`]).status !== 0,
);
const skipNotify = skip || (lacking.length > 0 ? `needs ${lacking.join(' and ')}` : false);

await t.test('systemd is told when the mount is ready', { skip: skipNotify }, (ct) => {
  const { base, mnt, store } = place(ct);
  const socket = join(base, 'notify');
  const script = join(base, 'receiver.py');
  writeFileSync(script, RECEIVER);
  const out = run(
    'sh',
    [
      '-c',
      `python3 '${script}' '${socket}' & while ! [ -S '${socket}' ]; do sleep 0.05; done
       NOTIFY_SOCKET='${socket}' '${process.execPath}' '${join(REPOSITORY, 'bin/vnodefs.js')}' mount '${store}' '${mnt}' >/dev/null; wait`,
    ],
    { timeoutMs: 90_000 },
  );
  ct.match(out, /READY=1/);
  ct.end();
});
