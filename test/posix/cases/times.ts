/** Which call moves which time; explicit times to the nanosecond, also with written data still in a cache. */
import { type FileStat, NS, O } from '../../harness/posix-client.js';
import { type CaseContext, fails, type Family, pattern, put, readAll, text, tick, withFd } from '../suite.js';

type Which = 'atime' | 'mtime' | 'ctime';
const moved = (a: FileStat, b: FileStat): Which[] =>
  (['atime', 'mtime', 'ctime'] as const).filter((time) => a[`${time}Ns`] !== b[`${time}Ns`]);

/** Checks that `work` moves exactly these times of `path`. */
const moves = (c: CaseContext, path: string, expected: Which[], work: () => void, what: string): void => {
  const before = c.fs.lstat(path);
  tick();
  work();
  const after = c.fs.lstat(path);
  c.t.same(moved(before, after), expected, what);
  c.t.ok(after.ctimeNs >= before.ctimeNs, `${what}: ctime never goes back`);
};

/** As {@link moves}, taking no account of atime. */
const movesMC = (c: CaseContext, path: string, expected: Which[], work: () => void, what: string): void => {
  const before = c.fs.lstat(path);
  tick();
  work();
  c.t.same(
    moved(before, c.fs.lstat(path)).filter((time) => time !== 'atime'),
    expected,
    what,
  );
};

export const timeCases: Family = {
  name: 'times',
  cases: [
    {
      name: 'a new file: all three the same, now',
      run(c) {
        const from = BigInt(Date.now()) * 1_000_000n - 2n * NS;
        put(c, c.p('f'));
        const s = c.fs.stat(c.p('f'));
        c.t.equal(s.mtimeNs, s.ctimeNs);
        c.t.equal(s.atimeNs, s.mtimeNs);
        if (c.fs.target !== 'core') c.t.ok(s.mtimeNs > from && s.mtimeNs < from + 20n * NS, 'about now');
      },
    },
    {
      name: 'calls that change a file',
      needs: 'linkedNames',
      run(c) {
        const f = c.p('f');
        put(c, f, 'abc');
        const both: Which[] = ['mtime', 'ctime'];
        moves(c, f, both, () => withFd(c, f, O.WRONLY, (fd) => c.fs.write(fd, Buffer.from('x'))), 'write');
        moves(c, f, both, () => c.fs.truncate(f, 1), 'truncate down');
        moves(c, f, both, () => c.fs.truncate(f, 10_000), 'truncate up');
        moves(c, f, both, () => c.fs.close(c.fs.open(f, O.WRONLY | O.TRUNC)), 'O_TRUNC');
        moves(c, f, both, () => c.fs.close(c.fs.open(f, O.WRONLY | O.TRUNC)), 'O_TRUNC of an empty file');
        moves(c, f, ['ctime'], () => c.fs.chmod(f, 0o600), 'chmod');
        moves(c, f, ['ctime'], () => c.fs.chown(f, 1, 2), 'chown');
        moves(c, f, ['ctime'], () => c.fs.link(f, c.p('g')), 'link');
        moves(c, f, ['ctime'], () => c.fs.unlink(c.p('g')), 'unlink of another name');
        moves(c, f, ['ctime'], () => c.fs.setxattr(f, 'user.x', Buffer.from('1')), 'setxattr');
        moves(c, f, ['ctime'], () => c.fs.removexattr(f, 'user.x'), 'removexattr');
        moves(c, f, ['atime', 'mtime', 'ctime'], () => c.fs.utimens(f, 'now', 'now'), 'utimens now');
      },
    },
    {
      name: 'calls that change nothing',
      run(c) {
        const f = c.p('f');
        put(c, f, 'abc');
        c.fs.setxattr(f, 'user.x', Buffer.from('1'));
        const nothing: Which[] = [];
        movesMC(c, f, nothing, () => c.fs.stat(f), 'stat');
        movesMC(c, f, nothing, () => text(c, f), 'read');
        movesMC(c, f, nothing, () => c.fs.close(c.fs.open(f, O.RDWR)), 'open');
        movesMC(c, f, nothing, () => c.fs.access(f, 4), 'access');
        movesMC(c, f, nothing, () => c.fs.getxattr(f, 'user.x'), 'getxattr');
        movesMC(c, f, nothing, () => c.fs.listxattr(f), 'listxattr');
        movesMC(c, f, nothing, () => withFd(c, f, O.RDWR, (fd) => c.fs.fsync(fd)), 'fsync');
        movesMC(c, f, nothing, () => fails(c, 'EEXIST', () => c.fs.mkdir(f)), 'a failed call');
        movesMC(
          c,
          c.dir,
          nothing,
          () => fails(c, 'EEXIST', () => c.fs.mkdir(f)),
          'a failed call: the directory',
        );
        movesMC(c, c.dir, nothing, () => put(c, f, 'new data'), 'data of a file: its directory');
      },
    },
    {
      name: 'calls that change a directory',
      run(c) {
        const d = c.p('d');
        c.fs.mkdir(d);
        const both: Which[] = ['mtime', 'ctime'];
        movesMC(c, d, both, () => put(c, `${d}/f`), 'create');
        movesMC(c, d, both, () => c.fs.mkdir(`${d}/e`), 'mkdir');
        movesMC(c, d, both, () => c.fs.symlink('x', `${d}/s`), 'symlink');
        movesMC(c, d, both, () => c.fs.mknod(`${d}/p`, 0o010600), 'mknod');
        movesMC(c, d, both, () => c.fs.link(`${d}/f`, `${d}/g`), 'link');
        movesMC(c, d, both, () => c.fs.rename(`${d}/f`, `${d}/h`), 'rename within');
        movesMC(c, d, both, () => c.fs.unlink(`${d}/h`), 'unlink');
        movesMC(c, d, both, () => c.fs.rmdir(`${d}/e`), 'rmdir');
        movesMC(c, d, ['ctime'], () => c.fs.chmod(d, 0o700), 'chmod');
        movesMC(c, d, [], () => c.fs.readdir(d), 'readdir');
      },
    },
    {
      // Through FUSE only the filesystem counts accesses, and it sees no read that the kernel's cache serves.
      name: 'relatime: an uncached read moves an atime not later than mtime, then not again',
      run(c) {
        const f = c.p('f');
        const read = (): void =>
          withFd(c, f, O.RDONLY, (fd) => {
            c.fs.evict(fd);
            c.fs.read(fd, 10);
          });
        put(c, f, 'abc');
        const day = 86_400n * NS;
        const now = c.fs.stat(f).mtimeNs;
        c.fs.utimens(f, now - 2n * NS, now - NS);
        const before = c.fs.stat(f).atimeNs;
        tick();
        read();
        const first = c.fs.stat(f).atimeNs;
        c.t.ok(first > before, 'older than mtime: moved');
        tick();
        read();
        c.t.equal(c.fs.stat(f).atimeNs, first, 'newer: stays');
        c.fs.utimens(f, now - 2n * day, now - 3n * day);
        read();
        c.t.ok(c.fs.stat(f).atimeNs >= first, 'older than a day: moved');
      },
    },
    {
      name: 'relatime: listing a directory and reading a symlink move theirs',
      needs: ['exactTimes', 'singleTimes'],
      run(c) {
        c.fs.mkdir(c.p('d'));
        put(c, c.p('d/f'));
        c.fs.symlink('d', c.p('s'));
        const reads: [string, () => unknown][] = [
          ['d', () => c.fs.readdir(c.p('d'))],
          ['s', () => c.fs.readlink(c.p('s'))],
        ];
        for (const [name, read] of reads) {
          c.fs.utimens(c.p(name), 5n * NS, 'omit', true);
          const before = c.fs.lstat(c.p(name));
          read();
          const after = c.fs.lstat(c.p(name));
          c.t.same(moved(before, after), ['atime'], name);
          c.t.ok(after.atimeNs >= before.ctimeNs, 'to about now');
        }
      },
    },
    {
      name: 'O_NOATIME: a read moves nothing; for who is not the owner EPERM',
      run(c) {
        const f = c.p('f');
        put(c, f, 'abc');
        c.fs.utimens(f, 5n * NS, 6n * NS);
        withFd(c, f, O.RDONLY | O.NOATIME, (fd) => {
          c.fs.evict(fd);
          c.t.equal(c.fs.read(fd, 10).toString(), 'abc');
        });
        c.t.equal(c.fs.stat(f).atimeNs, 5n * NS);
        withFd(c, f, O.RDONLY, (fd) => {
          c.fs.evict(fd);
          c.fs.read(fd, 10);
        });
        c.t.ok(c.fs.stat(f).atimeNs > 5n * NS, 'without it, moved');
        if (!c.fs.capabilities.permissions) return;
        c.fs.asUser(1001, 1001, () => fails(c, 'EPERM', () => c.fs.open(f, O.RDONLY | O.NOATIME)));
      },
    },
    {
      name: 'explicit times are exact: nanoseconds, before 1970, after 2038',
      needs: ['exactTimes', 'timesBeforeEpoch'],
      run(c) {
        const f = c.p('f');
        put(c, f, 'x');
        const values = [
          0n,
          1n,
          999_999_999n,
          -1n,
          -NS,
          -1_500_000_001n,
          2n ** 31n * NS + 7n,
          2n ** 33n * NS + 123n,
        ];
        for (const value of values) {
          c.fs.utimens(f, value, value + 3n);
          const s = c.fs.stat(f);
          c.t.same([s.atimeNs, s.mtimeNs], [value, value + 3n], `${value}`);
        }
      },
    },
    {
      name: 'UTIME_OMIT and UTIME_NOW, on files, descriptors and directories',
      needs: ['singleTimes', 'exactTimes'],
      run(c) {
        put(c, c.p('f'), 'x');
        c.fs.mkdir(c.p('d'));
        for (const name of ['f', 'd']) {
          const path = c.p(name);
          c.fs.utimens(path, 100n, 200n);
          c.fs.utimens(path, 'omit', 300n);
          c.t.equal(c.fs.stat(path).atimeNs, 100n);
          c.t.equal(c.fs.stat(path).mtimeNs, 300n);
          c.fs.utimens(path, 400n, 'omit');
          c.t.same([c.fs.stat(path).atimeNs, c.fs.stat(path).mtimeNs], [400n, 300n]);
          c.fs.utimens(path, 'now', 'omit');
          c.t.ok(c.fs.stat(path).atimeNs > NS);
          const ctime = c.fs.stat(path).ctimeNs;
          tick();
          c.fs.utimens(path, 'omit', 'omit');
          c.t.equal(c.fs.stat(path).ctimeNs, ctime, 'omitting both changes nothing');
        }
        withFd(c, c.p('f'), O.RDONLY, (fd) => {
          c.fs.futimens(fd, 7n, 8n);
          c.t.equal(c.fs.fstat(fd).mtimeNs, 8n);
        });
      },
    },
    {
      name: 'an explicit mtime survives written data that is still in a cache, then close, fsync and reads',
      run(c) {
        for (const size of [3, 4096, 300_000]) {
          const f = c.p(`f${size}`);
          withFd(c, f, O.RDWR | O.CREAT, (fd) => {
            c.fs.write(fd, pattern(size));
            c.fs.futimens(fd, 111_000_000n, 1_222_000_000n);
            c.t.equal(c.fs.fstat(fd).mtimeNs, 1_222_000_000n, 'at once');
          });
          c.t.equal(c.fs.stat(f).mtimeNs, 1_222_000_000n, 'after close');
          withFd(c, f, O.RDONLY, (fd) => c.fs.fsync(fd));
          withFd(c, f, O.RDONLY, (fd) => c.fs.syncfs(fd));
          readAll(c, f);
          c.t.equal(c.fs.stat(f).mtimeNs, 1_222_000_000n, 'after fsync and reads');
        }
      },
    },
    {
      name: 'an explicit mtime set by path while another descriptor wrote; a later write moves it again',
      run(c) {
        const f = c.p('f');
        withFd(c, f, O.RDWR | O.CREAT, (fd) => {
          c.fs.write(fd, pattern(10_000));
          c.fs.utimens(f, 5_000_000n, 6_000_000n);
          c.fs.chmod(f, 0o600);
          c.t.equal(c.fs.stat(f).mtimeNs, 6_000_000n);
          c.fs.write(fd, Buffer.from('later'));
          c.t.ok(c.fs.stat(f).mtimeNs > NS, 'moved by the later write');
          c.fs.utimens(f, 5_000_000n, 7_000_000n);
        });
        c.t.equal(c.fs.stat(f).mtimeNs, 7_000_000n);
      },
    },
    {
      name: 'ctime of a written file is not before its mtime, and both survive a sync',
      run(c) {
        const f = c.p('f');
        put(c, f, pattern(50_000));
        const before = c.fs.stat(f);
        withFd(c, f, O.RDWR, (fd) => c.fs.syncfs(fd));
        const after = c.fs.stat(f);
        c.t.same([after.mtimeNs, after.ctimeNs], [before.mtimeNs, before.ctimeNs]);
        c.t.ok(after.ctimeNs >= after.mtimeNs);
      },
    },
  ],
};
