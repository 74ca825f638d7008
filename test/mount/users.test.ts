/**
 * An ordinary user mounts, works and unmounts through fusermount3; as root with allow_other, files belong to
 * their makers.
 */
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { run, tryRun } from '../harness/commands.js';
import {
  cliOk,
  COHERENT_NAMES,
  mountEntries,
  mountStore,
  onPlainDirectory,
  TEST_CAPABILITIES,
} from '../harness/mount.js';

const USER = 'vnodefs-tester';

/** The ids of a system user for tests, made if missing. */
const testUser = (): { uid: number; gid: number } => {
  if (tryRun('id', [USER]).status !== 0)
    run('useradd', ['--system', '--no-create-home', '--user-group', USER]);
  return { uid: Number(run('id', ['-u', USER])), gid: Number(run('id', ['-g', USER])) };
};

await t.test('an ordinary user', { skip: onPlainDirectory ? 'about mounting' : false }, (ct) => {
  const user = testUser();
  // As distributions ship it; some container hosts don't.
  chmodSync('/dev/fuse', 0o666);
  const mounted = mountStore(ct, { ...user, args: COHERENT_NAMES });
  // Not by `cwd`, which would be entered as root: FUSE keeps even root out.
  const sh = (script: string): string => run('sh', ['-c', `cd '${mounted.mnt}' && ${script}`], user);
  sh('mkdir d && echo hello > d/f && chmod 600 d/f && ln d/f d/g && ln -s f d/s && mv d/g d/h');
  ct.equal(sh('stat -c "%U %a %h" d/f').trim(), `${USER} 600 2`);
  ct.not(tryRun('chown', ['root', join(mounted.mnt, 'd/f')], user).status, 0, 'cannot give files away');
  ct.ok(
    mountEntries(mounted.as).some((one) => one.mountpoint === mounted.mnt),
    'status lists it for the user',
  );
  ct.not(tryRun('ls', [mounted.mnt], { uid: 65534, gid: 65534 }).status, 0, 'nobody else may look');
  mounted.carryElsewhere();
  ct.equal(run('cat', [join(mounted.mnt, 'd/h')], user), 'hello\n');
  mounted.fsck();
  ct.end();
});

await t.test(
  'a user unmounts with fusermount3 -u',
  { skip: onPlainDirectory ? 'about mounting' : false },
  (ct) => {
    const user = testUser();
    const mounted = mountStore(ct, user);
    run('sh', ['-c', `echo kept > '${mounted.mnt}/f'`], user);
    run('fusermount3', ['-u', mounted.mnt], user);
    // The daemon finishes by itself; the next mount of the store must succeed and find everything.
    run('timeout', ['30', 'sh', '-c', `while kill -0 ${mounted.pid} 2>/dev/null; do sleep 0.05; done`]);
    cliOk(['mount', mounted.store, mounted.mnt], mounted.as);
    ct.equal(run('cat', [join(mounted.mnt, 'f')], user), 'kept\n');
    mounted.pid = mountEntries(mounted.as).find((one) => one.mountpoint === mounted.mnt)?.pid ?? 0;
    ct.end();
  },
);

await t.test('root with allow_other', (ct) => {
  const user = testUser();
  const mounted = mountStore(ct, { args: ['-o', 'allow_other'] });
  chmodSync(mounted.mnt, 0o755);
  mkdirSync(join(mounted.mnt, 'open'));
  chmodSync(join(mounted.mnt, 'open'), 0o1777);
  writeFileSync(join(mounted.mnt, 'secret'), 'root only', { mode: 0o600 });
  run('sh', ['-c', 'echo mine > open/f && mkdir open/d && mkfifo open/p && ln -s f open/s'], {
    ...user,
    cwd: mounted.mnt,
  });
  ct.not(tryRun('cat', [join(mounted.mnt, 'secret')], user).status, 0, 'permissions hold');
  ct.not(tryRun('touch', [join(mounted.mnt, 'x')], user).status, 0, 'the root is not theirs');
  // Where nobody says who asks, a new file is its directory's owner's.
  const owner = TEST_CAPABILITIES.callers ? [user.uid, user.gid] : [0, 0];
  const check = (what: string): void => {
    for (const name of ['f', 'd']) {
      const s = statSync(join(mounted.mnt, 'open', name));
      ct.same([s.uid, s.gid], owner, `${what}: owner of ${name}`);
    }
  };
  check('at once');
  mounted.carryElsewhere();
  check('in the carried store');
  ct.equal(readFileSync(join(mounted.mnt, 'secret'), 'utf8'), 'root only');
  mounted.fsck();
  ct.end();
});
