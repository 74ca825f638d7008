/** Ordinary programs on the mount: git, tar, rsync, a C compiler, and (VNODEFS_FULL=1) npm ci of this project. */
import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { has, run } from '../harness/commands.js';
import { plantOddities, sourceTree } from '../harness/fixture-tree.js';
import { fullSize, lacks, mountStore, REPOSITORY, TEST_CAPABILITIES } from '../harness/mount.js';
import { openPlainTarget } from '../harness/plain-target.js';
import { compareTrees } from '../harness/tree-compare.js';

const FILES = fullSize ? 4_000 : 1_100;
const MINUTES = 60_000;
// The unit tests of this project, on the mount and one core beside the daemon, take most of it.
if (fullSize) t.setTimeout(45 * MINUTES);

const plain = openPlainTarget();
t.teardown(() => plain.close());
const source = join(plain.client.root, 'source');
mkdirSync(source);
sourceTree(source, FILES);
const odd = join(plain.client.root, 'odd');
plain.client.mkdir(odd);
plantOddities(plain.client, odd);
// tar skips sockets.
plain.client.unlink(join(odd, 'socket'));

const git = (cwd: string, ...args: string[]): string =>
  run(
    'git',
    ['-c', 'user.name=tester', '-c', 'user.email=tester@localhost', '-c', 'commit.gpgsign=false', ...args],
    {
      cwd,
      timeoutMs: 5 * MINUTES,
      env: { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' },
    },
  );

await t.test('git: clone, fsck, status, commit, branches, gc', (ct) => {
  git(source, 'init', '-q', '-b', 'main');
  git(source, 'add', '-A');
  git(source, 'commit', '-qm', 'first');
  const mounted = mountStore(ct, { args: ['-o', 'rehearsal'] });
  git(mounted.mnt, 'clone', '-q', '--no-local', source, 'clone');
  git(join(mounted.mnt, 'clone'), 'fsck', '--full', '--strict');
  ct.equal(git(join(mounted.mnt, 'clone'), 'status', '--porcelain'), '', 'clean at once');
  mounted.carryElsewhere();
  const clone = join(mounted.mnt, 'clone');
  ct.equal(git(clone, 'status', '--porcelain'), '', 'clean in the carried store');
  git(clone, 'fsck', '--full', '--strict');
  git(clone, 'checkout', '-qb', 'work');
  writeFileSync(join(clone, 'module-0', 'file-1.txt'), 'changed');
  git(clone, 'mv', 'run.sh', 'start.sh');
  git(clone, 'commit', '-qam', 'second');
  git(clone, 'gc', '-q', '--prune=now');
  git(clone, 'checkout', '-q', 'main');
  ct.equal(git(clone, 'status', '--porcelain'), '');
  git(clone, 'fsck', '--full', '--strict');
  ct.equal(git(clone, 'rev-list', '--all', '--count').trim(), '2');
  mounted.fsck();
  ct.end();
});

// tar sets the time of modification alone.
await t.test('tar out of a tree and into the mount, and back', { skip: lacks('singleTimes') }, (ct) => {
  const archive = join(plain.client.root, 'odd.tar');
  const options = ['--xattrs', '--xattrs-include=*', '--format=posix', '--sparse', '--numeric-owner'];
  run('tar', [...options, '-C', plain.client.root, '-cf', archive, 'odd', 'source']);
  const mounted = mountStore(ct);
  run('tar', [...options, '-C', mounted.mnt, '-xpf', archive], { timeoutMs: 5 * MINUTES });
  mounted.carryElsewhere();
  ct.same(compareTrees(odd, join(mounted.mnt, 'odd')).differences, []);
  ct.same(compareTrees(source, join(mounted.mnt, 'source')).differences, []);
  const back = join(plain.client.root, 'back');
  mkdirSync(back);
  run('tar', [...options, '-C', mounted.mnt, '-cf', join(mounted.mnt, 'again.tar'), 'odd']);
  run('tar', [...options, '-C', back, '-xpf', join(mounted.mnt, 'again.tar')]);
  ct.same(compareTrees(odd, join(back, 'odd')).differences, []);
  mounted.fsck();
  ct.end();
});

await t.test(
  'rsync -aHAX: the second pass transfers nothing',
  { skip: has('rsync') ? false : 'no rsync' },
  (ct) => {
    const mounted = mountStore(ct);
    const rsync = (target: string): string =>
      run(
        'rsync',
        [
          '-aHAX',
          '--devices',
          '--specials',
          '--itemize-changes',
          ...(TEST_CAPABILITIES.exactTimes ? [] : ['--modify-window=1']),
          '--stats',
          `${plain.client.root}/odd`,
          source,
          target,
        ],
        {
          timeoutMs: 5 * MINUTES,
        },
      );
    const second = (what: string): void => {
      const output = rsync(`${mounted.mnt}/`);
      const changes = output.split('\n').filter((line) => /^[<>ch.*][fdLDS]/.test(line));
      ct.same(changes, [], `${what}: nothing itemized`);
      ct.match(output, /files transferred: 0\b/, `${what}: no file`);
      ct.match(output, /Total transferred file size: 0 bytes/, `${what}: no byte`);
    };
    rsync(`${mounted.mnt}/`);
    second('at once');
    mounted.carryElsewhere();
    second('into the carried store');
    ct.same(compareTrees(odd, join(mounted.mnt, 'odd')).differences, []);
    mounted.fsck();
    ct.end();
  },
);

await t.test(
  'a C program is built and run on the mount',
  { skip: has('cc') ? false : 'no C compiler' },
  (ct) => {
    const mounted = mountStore(ct);
    const program = `#include <stdio.h>
int twice(int);
int main(int argc, char **argv) { printf("%d %s\\n", twice(argc), argv[1]); return 7; }
`;
    writeFileSync(join(mounted.mnt, 'main.c'), program);
    writeFileSync(join(mounted.mnt, 'twice.c'), 'int twice(int n) { return 2 * n; }\n');
    run(
      'sh',
      [
        '-c',
        'cc -c main.c && cc -c twice.c && ar rcs libtwice.a twice.o && cc -g -o prog main.o -L. -ltwice',
      ],
      {
        cwd: mounted.mnt,
      },
    );
    const twoTimes = './prog arg > out; echo $? >> out; cp prog prog2; ./prog2 other >> out; cat out';
    ct.equal(run('sh', ['-c', twoTimes], { cwd: mounted.mnt }), '4 arg\n7\n4 other\n');
    mounted.carryElsewhere();
    ct.equal(run('sh', ['-c', './prog carried; true'], { cwd: mounted.mnt }), '4 carried\n');
    ct.equal(readFileSync(join(mounted.mnt, 'out'), 'utf8'), '4 arg\n7\n4 other\n');
    ct.ok(statSync(join(mounted.mnt, 'prog')).mode & 0o111);
    mounted.fsck();
    ct.end();
  },
);

await t.test(
  'npm ci of this project on the mount',
  { skip: fullSize ? false : 'only with VNODEFS_FULL=1' },
  (ct) => {
    const mounted = mountStore(ct);
    const project = join(mounted.mnt, 'project');
    mkdirSync(project);
    for (const name of [
      'package.json',
      'package-lock.json',
      '.npmrc',
      'tsconfig.json',
      'src',
      'bin',
      'test',
      'scripts',
      'native-notes',
      'README.md',
    ]) {
      cpSync(join(REPOSITORY, name), join(project, name), { recursive: true });
    }
    run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: project, timeoutMs: 15 * MINUTES });
    run('npx', ['tsc'], { cwd: project, timeoutMs: 10 * MINUTES });
    mounted.carryElsewhere();
    const carried = join(mounted.mnt, 'project');
    run('npx', ['tap', 'build/test/unit'], { cwd: carried, timeoutMs: 15 * MINUTES });
    ct.pass('its unit tests run from there');
    mounted.fsck();
    ct.end();
  },
);
