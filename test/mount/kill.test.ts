/**
 * The daemon killed with SIGKILL at work: the next mount recognises the stale one and says what it cleaned, the SQLite
 * file is sound, and what was synced before is there.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { run, start, tryRun, until } from '../harness/commands.js';
import { sourceTree } from '../harness/fixture-tree.js';
import {
  cliOk,
  fullSize,
  mountedDevice,
  mountEntries,
  mountStore,
  onPlainDirectory,
} from '../harness/mount.js';
import { openPlainTarget } from '../harness/plain-target.js';

const ROUNDS = fullSize ? 5 : 2;
const gitEnv = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' };

await t.test(
  'SIGKILL during git clone',
  { skip: onPlainDirectory ? 'about the daemon' : false },
  async (ct) => {
    const plain = openPlainTarget();
    ct.teardown(() => plain.close());
    const source = join(plain.client.root, 'source');
    mkdirSync(source);
    sourceTree(source, 1_500);
    const git = (cwd: string, ...args: string[]): string =>
      run('git', ['-c', 'user.name=t', '-c', 'user.email=t@localhost', ...args], {
        cwd,
        env: gitEnv,
        timeoutMs: 120_000,
      });
    git(source, 'init', '-q', '-b', 'main');
    git(source, 'add', '-A');
    git(source, 'commit', '-qm', 'first');

    const mounted = mountStore(ct);
    const synced = join(mounted.mnt, 'synced');
    const fd = fs.openSync(synced, 'w');
    fs.writeSync(fd, 'durable');
    fs.fsyncSync(fd);
    fs.closeSync(fd);

    for (let round = 0; round < ROUNDS; round++) {
      const clone = join(mounted.mnt, `clone-${round}`);
      const running = start('git', ['clone', '-q', '--no-local', source, clone], {
        env: gitEnv,
        timeoutMs: 120_000,
      });
      await until('the clone to check files out', () => existsSync(join(clone, 'module-0')));
      await mounted.kill();
      ct.not((await running.done).status, 0, 'the clone fails');
      ct.ok(mountedDevice(mounted.mnt) !== undefined, 'the stale mount is still there');

      const again = cliOk(['mount', mounted.store, mounted.mnt], { timeoutMs: 60_000 });
      ct.match(again.stdout + again.stderr, /stale/i, 'the next mount says what it cleaned');
      mounted.pid = mountEntries().find((one) => one.mountpoint === mounted.mnt)?.pid ?? 0;
      ct.equal(readFileSync(synced, 'utf8'), 'durable', 'what was synced is there');
      // A prefix of what was done: every name leads to an inode, every file reads to its end.
      const unreadable = tryRun('sh', ['-c', 'find . -type f -print0 | xargs -0 -r cat > /dev/null'], {
        cwd: mounted.mnt,
      });
      ct.equal(unreadable.status, 0, unreadable.stderr);
      mounted.fsck();
      mounted.mount();
      if (existsSync(clone)) run('rm', ['-rf', clone]);
      writeFileSync(join(mounted.mnt, `after-${round}`), 'usable');
      git(mounted.mnt, 'clone', '-q', '--no-local', source, `whole-${round}`);
      ct.equal(git(join(mounted.mnt, `whole-${round}`), 'status', '--porcelain'), '');
    }
    mounted.carryElsewhere();
    ct.ok(readdirSync(mounted.mnt).includes('after-0'));
    mounted.fsck();
  },
);

await t.test(
  'a stale mount can be unmounted, too',
  { skip: onPlainDirectory ? 'about the daemon' : false },
  async (ct) => {
    const mounted = mountStore(ct);
    await mounted.kill();
    mounted.pid = 0;
    cliOk(['umount', mounted.mnt]);
    ct.equal(mountedDevice(mounted.mnt), undefined);
    mounted.fsck();
  },
);
