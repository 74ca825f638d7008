/**
 * systemd's side: the unit template and the fstab line of native-notes/unmount.md, judged by systemd's own programs,
 * and the template's command run as systemd would (sd_notify(3), SIGTERM).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { has, run, start, until } from '../harness/commands.js';
import { childEnvironment } from '../harness/environment.js';
import { forceUnmount, mountedDevice, onPlainDirectory, REPOSITORY } from '../harness/mount.js';

const TEMPLATE = readFileSync(join(REPOSITORY, 'scripts/systemd/vnodefs@.service'), 'utf8');
const PLACE = '/opt/vnodefs/';
const GENERATOR = '/usr/lib/systemd/system-generators/systemd-fstab-generator';

const scratch = (ct: Test): string => {
  const base = mkdtempSync(join(tmpdir(), 'vnodefs-systemd-'));
  ct.teardown(() => rmSync(base, { recursive: true }));
  return base;
};

const lacks = (...programs: string[]): string | false => {
  const missing = programs.filter((program) => !has(program));
  return missing.length === 0 ? false : `needs ${missing.join(' and ')}`;
};

await t.test('the unit template', { skip: lacks('systemd-analyze') }, (ct) => {
  const unit = join(scratch(ct), 'vnodefs@mnt-home.service');
  writeFileSync(unit, TEMPLATE.replaceAll(PLACE, REPOSITORY));
  run('systemd-analyze', ['verify', unit]);
  ct.end();
});

await t.test('the line of fstab', { skip: lacks(GENERATOR) }, (ct) => {
  const document = readFileSync(join(REPOSITORY, 'native-notes/unmount.md'), 'utf8');
  const line = /^\/opt\/\S+#\S+ +\/mnt\/home +fuse .*$/m.exec(document)?.[0] ?? '';
  ct.match(readFileSync(join(REPOSITORY, 'README.md'), 'utf8'), line, 'the README has the same');
  const base = scratch(ct);
  writeFileSync(join(base, 'fstab'), `${line}\n`);
  run(GENERATOR, [base, base, base], { env: { SYSTEMD_FSTAB: join(base, 'fstab') } });
  const unit = readFileSync(join(base, 'mnt-home.mount'), 'utf8');
  for (const wanted of ['RequiresMountsFor=/srv', `What=${PLACE}bin/vnodefs.js#/srv/home.db`, 'Type=fuse'])
    ct.match(unit, `\n${wanted}\n`);
  readFileSync(join(base, 'local-fs.target.wants/mnt-home.automount'), 'utf8');
  ct.end();
});

/** Stands in for systemd: prints the first datagram that arrives on the socket named by its argument. */
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(60)
print(s.recv(4096).decode())
`;

/** The template's command, its specifiers and variables put in. */
const commandOf = (instance: string, mnt: string, storeDirectory: string): string[] => {
  const line = /^ExecStart=(.*)$/m.exec(TEMPLATE)?.[1] ?? '';
  const options = /^Environment=OPTIONS=(.*)$/m.exec(TEMPLATE)?.[1] ?? '';
  return line
    .replace(PLACE, REPOSITORY)
    .replace('/var/lib/vnodefs', storeDirectory)
    .replace('%i', instance)
    .replace('%f', mnt)
    .replace('${OPTIONS}', options)
    .split(' ');
};

const skip = onPlainDirectory ? 'about mounting' : lacks('python3', 'systemd-notify');

await t.test('the service: ready when it is mounted, ended by SIGTERM', { skip }, async (ct) => {
  const base = scratch(ct);
  const [mnt, socket] = [join(base, 'm'), join(base, 'notify')];
  mkdirSync(mnt);
  ct.teardown(() => forceUnmount(mnt));
  const receiver = start('python3', ['-c', RECEIVER, socket], { timeoutMs: 90_000 });
  await until('the socket', () => existsSync(socket));
  const [program, ...args] = commandOf('home', mnt, base);
  const daemon = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: childEnvironment({ NOTIFY_SOCKET: socket }),
  });
  ct.teardown(() => daemon.kill('SIGKILL'));
  ct.match((await receiver.done).stdout, /^READY=1$/m);
  ct.ok(mountedDevice(mnt), 'mounted by then');
  run('sh', ['-c', 'echo kept >"$0"', join(mnt, 'f')]);
  const ended = once(daemon, 'exit');
  daemon.kill('SIGTERM');
  ct.strictSame(await ended, [0, null]);
  ct.equal(mountedDevice(mnt), undefined);
});
