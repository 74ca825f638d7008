/**
 * Rules that no other family has a place for: times and set-id bits of the rarer calls, birth times, EMLINK, ETXTBSY,
 * EXDEV, directories that somebody stands in, files without a name.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, renameSync, rmSync, rmdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chdir, cwd } from 'node:process';
import { FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE, O } from '../../harness/posix-client.js';
import { type CaseContext, exists, fails, type Family, pattern, put, text, tick, withFd } from '../suite.js';

const PUNCH = FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE;
const LINK_MAX = 65_000;

/** mtime and ctime move, or neither does. */
const touches = (c: CaseContext, path: string, expected: boolean, work: () => void, what: string): void => {
  const before = c.fs.stat(path);
  tick();
  work();
  const after = c.fs.stat(path);
  const moved = [after.mtimeNs > before.mtimeNs, after.ctimeNs > before.ctimeNs];
  c.t.same(moved, [expected, expected], `${what}: mtime, ctime`);
};

export const ruleCases: Family = {
  name: 'rules',
  cases: [
    {
      name: 'fallocate in each mode and copy_file_range move mtime and ctime; a copy of nothing does not',
      needs: 'fallocate',
      run(c) {
        const [f, g] = [c.p('f'), c.p('g')];
        put(c, f, pattern(200_000));
        put(c, g, 'source');
        withFd(c, f, O.RDWR, (fd) => {
          for (const mode of [0, FALLOC_KEEP_SIZE, PUNCH, FALLOC_ZERO_RANGE]) {
            touches(c, f, true, () => c.fs.fallocate(fd, mode, 4096, 300_000), `fallocate ${mode}`);
          }
          withFd(c, g, O.RDONLY, (source) => {
            touches(c, f, true, () => c.fs.copyFileRange(source, 0, fd, 0, 6), 'copy_file_range');
            touches(c, f, false, () => c.fs.copyFileRange(source, 6, fd, 0, 6), 'copied from past the end');
            touches(c, g, false, () => c.fs.copyFileRange(source, 0, fd, 0, 6), 'the source');
          });
        });
      },
    },
    {
      name: 'an empty write moves no time; an ftruncate to the same size does',
      run(c) {
        const f = c.p('f');
        put(c, f, 'abc');
        withFd(c, f, O.RDWR, (fd) => {
          touches(c, f, false, () => c.fs.write(fd, Buffer.alloc(0)), 'write of nothing');
          touches(c, f, true, () => c.fs.ftruncate(fd, 3), 'ftruncate to the same size');
        });
      },
    },
    {
      name: 'a truncate by path to the same size moves mtime and ctime',
      not: {
        mount:
          'under the write-back cache the kernel keeps these times itself, and moves them only if the size changes (fuse_do_setattr)',
      },
      run(c) {
        put(c, c.p('f'), 'abc');
        touches(c, c.p('f'), true, () => c.fs.truncate(c.p('f'), 3), 'truncate');
      },
    },
    {
      name: 'fallocate and copy_file_range by an ordinary user clear set-id bits; by root not',
      needs: 'fallocate',
      run(c) {
        const f = c.p('f');
        put(c, f, pattern(100));
        put(c, c.p('g'), pattern(100));
        const modeAfter = (work: (fd: number, source: number) => void, uid: number): number => {
          c.fs.chmod(f, 0o6777);
          c.fs.asUser(uid, uid, () => {
            withFd(c, c.p('g'), O.RDONLY, (source) => withFd(c, f, O.RDWR, (fd) => work(fd, source)));
          });
          return c.fs.stat(f).mode & 0o7777;
        };
        const calls: Record<string, (fd: number, source: number) => void> = {
          fallocate: (fd) => c.fs.fallocate(fd, 0, 0, 10_000),
          punch: (fd) => c.fs.fallocate(fd, PUNCH, 0, 10),
          copy_file_range: (fd, source) => c.fs.copyFileRange(source, 0, fd, 0, 50),
        };
        for (const [name, call] of Object.entries(calls)) {
          c.t.equal(modeAfter(call, 1001), 0o777, `${name} by a user`);
          c.t.equal(modeAfter(call, 0), 0o6777, `${name} by root`);
        }
      },
    },
    {
      name: 'the birth time is that of the creation, whatever happens later',
      needs: 'birthTimes',
      run(c) {
        const f = c.p('f');
        put(c, f);
        const { btimeNs, mtimeNs } = c.fs.stat(f);
        c.t.equal(btimeNs, mtimeNs);
        tick();
        put(c, f, 'changed');
        c.fs.chmod(f, 0o600);
        c.fs.utimens(f, 5n, 5n);
        c.fs.rename(f, c.p('g'));
        c.fs.link(c.p('g'), c.p('h'));
        c.t.equal(c.fs.stat(c.p('h')).btimeNs, btimeNs);
        tick();
        put(c, f);
        c.t.ok(c.fs.stat(f).btimeNs > btimeNs, 'a new file of that name has its own');
      },
    },
    {
      name: 'fallocate takes blocks, a truncate gives those past the end back',
      needs: 'fallocate',
      run(c) {
        const f = c.p('f');
        withFd(c, f, O.RDWR | O.CREAT, (fd) => {
          c.fs.fallocate(fd, 0, 0, 1 << 20);
          const { size, blocks } = c.fs.fstat(fd);
          c.t.same([size, blocks * 512 >= 1 << 20], [1 << 20, true]);
          c.fs.fallocate(fd, FALLOC_KEEP_SIZE, 1 << 20, 1 << 20);
          c.t.equal(c.fs.fstat(fd).size, 1 << 20);
          c.t.ok(c.fs.fstat(fd).blocks * 512 >= 2 << 20);
          c.fs.ftruncate(fd, 1 << 20);
          c.t.ok(c.fs.fstat(fd).blocks * 512 < 2 << 20, 'what was past the end is free again');
          c.t.ok(c.fs.read(fd, 1 << 20, 0).equals(Buffer.alloc(1 << 20)), 'zeros');
          c.fs.write(fd, pattern(100), 500_000);
          c.t.equal(c.fs.fstat(fd).size, 1 << 20);
          c.fs.ftruncate(fd, 0);
          c.t.equal(c.fs.fstat(fd).blocks, 0);
        });
      },
    },
    {
      name: `a file has ${LINK_MAX} links at most: EMLINK`,
      not: {
        mount: 'takes too long for CI: test/mount/large.test.ts does it with VNODEFS_FULL=1',
        plain: 'the limit is the filesystem’s own: ext4 has the same, tmpfs none',
      },
      run(c) {
        put(c, c.p('f'));
        for (let i = 1; i < LINK_MAX; i++) c.fs.link(c.p('f'), c.p(`l${i}`));
        c.t.equal(c.fs.stat(c.p('f')).nlink, LINK_MAX);
        fails(c, 'EMLINK', () => c.fs.link(c.p('f'), c.p('one-more')));
        c.fs.unlink(c.p('l1'));
        c.fs.link(c.p('f'), c.p('one-more'));
      },
    },
    {
      name: 'a directory has 64,998 subdirectories at most: EMLINK, for mkdir and rename',
      not: {
        mount: 'takes too long for CI, and the core decides it',
        plain: 'the limit is the filesystem’s own: ext4 stops counting at 65,000 links and has no limit',
      },
      run(c) {
        c.fs.mkdir(c.p('d'));
        c.fs.mkdir(c.p('other'));
        for (let i = 2; i < LINK_MAX; i++) c.fs.mkdir(c.p(`d/${i}`));
        fails(c, 'EMLINK', () => c.fs.mkdir(c.p('d/one-more')));
        fails(c, 'EMLINK', () => c.fs.rename(c.p('other'), c.p('d/one-more')));
        put(c, c.p('d/a-file'));
        c.fs.rename(c.p('other'), c.p('d/2'));
      },
    },
    {
      name: 'a running program can’t be written (ETXTBSY), and a file open for writing not run',
      needs: 'processes',
      run(c) {
        const program = c.p('program');
        copyFileSync('/bin/sleep', program);
        c.fs.chmod(program, 0o755);
        const script =
          '"$1" 30 & pid=$!; sleep 0.3; { : >> "$1"; } 2>&1; kill $pid; wait $pid; : >> "$1" && echo free; ' +
          'exec 9>>"$1"; "$1" 0 2>&1 || echo refused';
        const { stdout } = spawnSync('bash', ['-c', script, 'bash', program], {
          encoding: 'latin1',
          env: { LC_ALL: 'C', PATH: process.env['PATH'] ?? '' },
          timeout: 60_000,
        });
        const lines = stdout.split('\n');
        c.t.match(lines[0], /Text file busy/);
        c.t.equal(lines[1], 'free');
        c.t.match(lines[2], /Text file busy/);
      },
    },
    {
      name: 'rename and link to another filesystem EXDEV',
      needs: 'processes',
      run(c) {
        const shm = '/dev/shm';
        const elsewhere = mkdtempSync(join(statSync(shm).isDirectory() ? shm : tmpdir(), 'vnodefs-exdev-'));
        try {
          if (statSync(elsewhere).dev === statSync(c.dir).dev) {
            c.t.comment('there is no other filesystem here');
            return;
          }
          put(c, c.p('f'));
          fails(c, 'EXDEV', () => renameSync(c.p('f'), `${elsewhere}/f`));
          fails(c, 'EXDEV', () => c.fs.rename(c.p('f'), `${elsewhere}/f`));
          fails(c, 'EXDEV', () => c.fs.link(c.p('f'), `${elsewhere}/f`));
        } finally {
          rmSync(elsewhere, { recursive: true });
        }
      },
    },
    {
      name: 'a directory that somebody stands in can be removed; then nothing can be made in it',
      needs: ['processes', 'unlinkedParents'],
      run(c) {
        const d = c.p('d');
        c.fs.mkdir(d);
        const before = cwd();
        chdir(d);
        try {
          rmdirSync(d);
          c.t.notOk(exists(c, d));
          c.t.equal(statSync('.').nlink, 0);
          fails(c, 'ENOENT', () => c.fs.open('new', O.WRONLY | O.CREAT));
          fails(c, 'ENOENT', () => c.fs.mkdir('new'));
          fails(c, 'ENOENT', () => c.fs.symlink('x', 'new'));
          put(c, c.p('f'));
          fails(c, 'ENOENT', () => c.fs.link(c.p('f'), 'new'));
          fails(c, 'ENOENT', () => c.fs.rename(c.p('f'), 'new'));
          c.t.ok(readdirSync('..').includes('f'), '.. still leads out');
        } finally {
          chdir(before);
        }
      },
    },
    {
      name: 'an unlinked open file: fstat, ftruncate, no name through /proc again (ENOENT)',
      run(c) {
        put(c, c.p('f'), 'abc');
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          c.fs.unlink(c.p('f'));
          c.t.equal(c.fs.fstat(fd).nlink, 0);
          c.fs.ftruncate(fd, 100_000);
          c.t.equal(c.fs.fstat(fd).size, 100_000);
          fails(c, 'ENOENT', () => c.fs.linkFd(fd, c.p('g')));
          c.t.equal(c.fs.read(fd, 3, 0).toString(), 'abc');
        });
      },
    },
    {
      name: 'a set-group-id directory and a file that asks for the bit: dropped for who is not in the group',
      needs: ['permissions', 'callers'],
      run(c) {
        c.fs.mkdir(c.p('d'));
        c.fs.chown(c.p('d'), 0, 4321);
        c.fs.chmod(c.p('d'), 0o2777);
        c.fs.asUser(1001, 1001, () => {
          c.fs.close(c.fs.open(c.p('d/f'), O.WRONLY | O.CREAT, 0o2755));
          c.fs.close(c.fs.open(c.p('d/plain'), O.WRONLY | O.CREAT, 0o2644));
        });
        c.t.equal(c.fs.stat(c.p('d/f')).mode & 0o7777, 0o755, 'executable by the group');
        c.t.equal(c.fs.stat(c.p('d/f')).gid, 4321);
        // Without group execution the bit is no privilege (mode_strip_sgid, fs/inode.c).
        c.t.equal(c.fs.stat(c.p('d/plain')).mode & 0o7777, 0o2644);
      },
    },
    {
      name: 'a copy shares what it can, and each file goes its own way afterwards',
      needs: 'copyRange',
      run(c) {
        const size = 3 << 20;
        const model = pattern(size + 5000, 9);
        put(c, c.p('a'), model);
        withFd(c, c.p('a'), O.RDWR, (a) =>
          withFd(c, c.p('b'), O.RDWR | O.CREAT, (b) => {
            for (let done = 0; done < model.length;)
              done += c.fs.copyFileRange(a, done, b, done, model.length - done);
            c.t.equal(c.fs.fstat(b).size, model.length);
            c.fs.write(a, Buffer.from('A changed'), 70_000);
            c.fs.write(b, Buffer.from('B changed'), 1_000_000);
            c.fs.ftruncate(a, 2 << 20);
            const wanted = Buffer.from(model);
            wanted.write('B changed', 1_000_000);
            c.t.ok(c.fs.read(b, 1 << 20, 0).equals(wanted.subarray(0, 1 << 20)), 'the start');
            c.t.ok(c.fs.read(b, 9000, size - 4000).equals(wanted.subarray(size - 4000)), 'the end');
            c.t.equal(c.fs.read(a, 9, 70_000).toString(), 'A changed');
            c.fs.unlink(c.p('a'));
            c.fs.fsync(b);
            c.t.ok(c.fs.read(b, 1 << 20, 1 << 20).equals(wanted.subarray(1 << 20, 2 << 20)), 'a gone');
          }),
        );
        c.t.equal(text(c, c.p('b')).slice(1_000_000, 1_000_009), 'B changed');
      },
    },
  ],
};
