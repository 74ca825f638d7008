/** Who uses a mount, as a refused unmount says it, against psmisc's `fuser -vm`: the same processes, and the same kinds of use. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ExitCode } from '../../src/cli/exit-codes.js';
import type { Holder, Use } from '../../src/daemon/holders.js';
import type { UnmountReport } from '../../src/daemon/unmount-report.js';
import { has, run, tryRun, until } from '../harness/commands.js';
import { cli, cliOk, mountedDevice, mountStore, onPlainDirectory } from '../harness/mount.js';
import { MountUser } from '../harness/mount-user.js';

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
  const users = KINDS.map((kind) => {
    const user = new MountUser(kind, mnt, 1 << 16);
    ct.teardown(() => user.end(kind === 'tight-loop' ? 0 : READY_MS));
    return { kind, user };
  });
  await until('all users', () => users.every(({ user }) => user.ready), READY_MS);
  users.find(({ kind }) => kind === 'tight-loop')?.user.child.kill('SIGSTOP');
  const { status, stdout } = cli(['umount', mnt, '--json']);
  ct.equal(status, ExitCode.BUSY);
  const { holders } = JSON.parse(stdout) as UnmountReport;
  const theirs = fuser(mnt);
  for (const { kind, user } of users) {
    const { pid } = user.child;
    const pids = [pid ?? 0, ...childrenOf(pid)];
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
