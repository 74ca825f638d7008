/**
 * mount(8) with an fstab line, which goes through mount.fuse3, with the real programs: mount, remount, umount.
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
  run('mount', ['-T', fstab, '-o', 'remount,ro', mnt], { timeoutMs: 60_000 });
  ct.match(run('findmnt', ['-no', 'OPTIONS', mnt]), /^ro,/);
  ct.match(tryRun('touch', [join(mnt, 'g')]).stderr, /Read-only/);
  run('mount', ['-T', fstab, '-o', 'remount,rw', mnt], { timeoutMs: 60_000 });
  run('touch', [join(mnt, 'g')]);
  const noexec = tryRun('mount', ['-T', fstab, '-o', 'remount,noexec', mnt], { timeoutMs: 60_000 });
  ct.match(noexec.stderr, /only ro and rw can be changed by a remount: .* with noexec/);
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
