/** Who uses a mount, as a refused unmount says it, against psmisc's `fuser -vm`: the same processes, and the same kinds of use. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { ExitCode } from '../../src/cli/exit-codes.js';
import type { Holder, Use } from '../../src/daemon/holders.js';
import type { UnmountReport } from '../../src/daemon/unmount-report.js';
import { has, run, tryRun, until } from '../harness/commands.js';
import { cli, cliOk, mountedDevice, mountStore, onPlainDirectory } from '../harness/mount.js';
import { childEnvironment } from '../harness/environment.js';

const USER = fileURLToPath(new URL('../support/mount-user.js', import.meta.url));
const KINDS = [
  'open-reader',
  'open-writer',
  'dirty-mmap',
  'cwd',
  'root',
  'executable',
  'unlinked',
  'lock-waiter',
  'tight-loop',
  'socket',
] as const;
/** fuser(1), "ACCESS"; `F` is a file open for writing. A socket is an open file to it. */
const LETTERS: Record<Use, string> = {
  writing: 'F',
  reading: 'f',
  cwd: 'c',
  root: 'r',
  executing: 'e',
  mapped: 'm',
  socket: 'F',
};
const READY_MS = 120_000;

t.setTimeout(600_000);
const skip = onPlainDirectory
  ? 'about mounts'
  : process.getuid?.() !== 0
    ? 'root sees all processes'
    : has('fuser')
      ? false
      : 'no fuser';

const startUser = (ct: Test, kind: string, mnt: string): { child: ChildProcess; ready: () => boolean } => {
  const child = spawn(process.execPath, [USER, kind, mnt, String(1 << 16)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: childEnvironment(),
  });
  let ready = false;
  createInterface({ input: child.stdout }).on('line', (line) => {
    ready ||= line.includes('"ready":true');
  });
  ct.teardown(async () => {
    child.stdin.end(); // it ends its own children
    child.kill('SIGCONT');
    const hasEnded = (): boolean => child.signalCode !== null || child.exitCode !== null;
    if (kind !== 'tight-loop') await until('its end', hasEnded, READY_MS).catch(() => undefined);
    child.kill('SIGKILL');
    await until('its end', hasEnded);
  });
  return { child, ready: () => ready };
};

/** Letters by pid. Lines are like `root  12 f.c.. node`, the first of all with the path in front; `kernel mount` is no process. */
const fuser = (mnt: string): Map<number, string> => {
  // The pids go to standard output, the rest of each line to standard error.
  const { stdout } = tryRun('sh', ['-c', 'fuser -vm "$0" 2>&1', mnt], { timeoutMs: 60_000 });
  const found = new Map<number, string>();
  for (const line of stdout.split('\n')) {
    const match = /\s(\d+) ([.fFcrem]{5})\s/.exec(line);
    if (match !== null) found.set(Number(match[1]), [...match[2].replaceAll('.', '')].sort().join(''));
  }
  return found;
};

const lettersOf = ({ uses }: Holder): string =>
  [...new Set(uses.map(({ use }) => LETTERS[use]))].sort().join('');

await t.test('the list of holders agrees with fuser -vm', { skip, timeout: 600_000 }, async (ct) => {
  const { mnt } = mountStore(ct);
  run('sh', ['-c', 'head -c 64K /dev/zero >"$0/seed"; head -c 4K /dev/zero >"$0/log"', mnt]);
  const users = KINDS.map((kind) => ({ kind, ...startUser(ct, kind, mnt) }));
  await until('all users', () => users.every(({ ready }) => ready()), READY_MS);
  users.find(({ kind }) => kind === 'tight-loop')?.child.kill('SIGSTOP');
  const { status, stdout } = cli(['umount', mnt, '--json']);
  ct.equal(status, ExitCode.BUSY);
  const { holders } = JSON.parse(stdout) as UnmountReport;
  const theirs = fuser(mnt);
  for (const { kind, child } of users) {
    const pids = [child.pid ?? 0, ...childrenOf(child.pid)];
    ct.ok(
      pids.some((pid) => holders.some((holder) => holder.pid === pid)),
      `${kind} is in the list`,
    );
  }
  ct.strictSame(
    Object.fromEntries(holders.map((holder) => [`${holder.pid} ${holder.command}`, lettersOf(holder)])),
    Object.fromEntries(
      [...theirs].map(([pid, letters]) => [`${pid} ${run('cat', [`/proc/${pid}/comm`]).trim()}`, letters]),
    ),
  );
});

/** Those that hold the mount for it: a lock, a running program. */
function childrenOf(pid: number | undefined): number[] {
  return run('sh', ['-c', `cat /proc/${pid}/task/${pid}/children`])
    .split(' ')
    .filter((text) => text !== '')
    .map(Number);
}

await t.test('a mount below holds it for no process', { skip }, (ct) => {
  const mounted = mountStore(ct);
  const { mnt } = mounted;
  const below = join(mnt, 'below');
  run('mkdir', [below]);
  run('mount', ['-t', 'tmpfs', 'none', below]);
  ct.teardown(() => {
    if (mountedDevice(below) !== undefined) run('umount', [below]);
  });
  const busy = cli(['umount', mnt]);
  ct.equal(busy.status, ExitCode.BUSY);
  ct.match(busy.stderr, `vnodefs: ${mnt} is busy: unmount ${below} first`);
  writeFileSync(join(mnt, 'f'), 'goes on');
  run('umount', [below]);
  cliOk(['umount', mnt]);
  mounted.pid = 0;
  ct.end();
});
