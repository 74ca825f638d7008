/**
 * Real work over older versions of the protocol, which the real kernel speaks when our INIT reply names them. (An older
 * kernel may differ in more than that.)
 */
import { chmodSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { run } from '../harness/commands.js';
import { cli, cliOk, lacks, mountStore, onPlainDirectory, REPOSITORY } from '../harness/mount.js';

const skip = onPlainDirectory ? 'about mounting' : lacks('protocols');

for (const version of ['7.31', '7.36']) {
  await t.test(`protocol ${version}`, { skip }, (ct) => {
    const mounted = mountStore(ct, { args: ['-o', `allow_other,protocol=${version}`] });
    const { mounts } = JSON.parse(cliOk(['status', '--json']).stdout) as {
      mounts: { mountpoint: string; protocol: string }[];
    };
    ct.equal(mounts.find(({ mountpoint }) => mountpoint === mounted.mnt)?.protocol, version);
    run('cp', ['-a', join(REPOSITORY, 'src'), join(mounted.mnt, 'src')]);
    run('sh', ['-c', 'git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -qm x'], {
      cwd: mounted.mnt,
    });
    const suid = join(mounted.mnt, 'suid');
    run('sh', ['-c', `echo data > '${suid}'`]);
    chmodSync(suid, 0o6777);
    run('sh', ['-c', `: > '${suid}'`], { uid: 65534, gid: 65534 });
    ct.equal(statSync(suid).mode & 0o7777, 0o777, 'a truncation by another user takes the set-id bits away');
    mounted.carryElsewhere();
    run('diff', ['-r', join(REPOSITORY, 'src'), join(mounted.mnt, 'src')]);
    ct.equal(run('git', ['status', '--porcelain'], { cwd: mounted.mnt }), '?? suid\n');
    run('git', ['fsck', '--strict'], { cwd: mounted.mnt });
    mounted.fsck();
    ct.end();
  });
}

await t.test('a version that is not spoken', { skip }, (ct) => {
  const result = cli(['mount', '/nonexistent/s.db', '/nonexistent', '-o', 'protocol=7.9']);
  ct.equal(result.status, 2);
  ct.match(result.stderr, /give 7\.31 to 7\.45/);
  ct.end();
});
