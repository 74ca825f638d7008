/** link(2), unlink(2), files that are open without a name, symlink(2), readlink(2), ELOOP. */
import { O, S } from '../../harness/posix-client.js';
import {
  exists,
  fails,
  type Family,
  names,
  pattern,
  put,
  readAll,
  same,
  text,
  tick,
  withFd,
} from '../suite.js';

export const linkCases: Family = {
  name: 'links',
  cases: [
    {
      name: 'a hard link is the same file: inode, nlink, data, mode; ctime moves, mtime not',
      needs: 'linkedNames',
      run(c) {
        put(c, c.p('a'), 'one');
        const before = c.fs.stat(c.p('a'));
        tick();
        c.fs.link(c.p('a'), c.p('b'));
        const s = c.fs.stat(c.p('b'));
        c.t.equal(s.ino, before.ino);
        c.t.equal(s.nlink, 2);
        c.t.ok(s.ctimeNs > before.ctimeNs, 'ctime');
        c.t.equal(s.mtimeNs, before.mtimeNs);
        put(c, c.p('b'), 'two!');
        c.t.equal(text(c, c.p('a')), 'two!');
        c.fs.chmod(c.p('a'), 0o600);
        c.t.equal(c.fs.stat(c.p('b')).mode & 0o777, 0o600);
        tick();
        const mid = c.fs.stat(c.p('b')).ctimeNs;
        c.fs.unlink(c.p('a'));
        c.t.equal(c.fs.stat(c.p('b')).nlink, 1);
        c.t.ok(c.fs.stat(c.p('b')).ctimeNs > mid, 'ctime of the unlink');
        c.t.equal(text(c, c.p('b')), 'two!');
      },
    },
    {
      name: 'link errors: EEXIST, ENOENT, EPERM for a directory, ENOTDIR, itself',
      run(c) {
        put(c, c.p('f'), 'x');
        c.fs.mkdir(c.p('d'));
        c.fs.symlink('gone', c.p('s'));
        fails(c, 'EEXIST', () => c.fs.link(c.p('f'), c.p('d')));
        fails(c, 'EEXIST', () => c.fs.link(c.p('f'), c.p('s')));
        fails(c, 'EEXIST', () => c.fs.link(c.p('f'), c.p('f')));
        fails(c, 'ENOENT', () => c.fs.link(c.p('no'), c.p('x')));
        fails(c, 'ENOENT', () => c.fs.link(c.p('f'), c.p('no/x')));
        fails(c, 'EPERM', () => c.fs.link(c.p('d'), c.p('x')));
        fails(c, 'ENOTDIR', () => c.fs.link(c.p('f'), c.p('f/x')));
        c.t.equal(c.fs.stat(c.p('f')).nlink, 1);
      },
    },
    {
      name: 'a symlink can be linked itself',
      run(c) {
        c.fs.symlink('target', c.p('s'));
        c.fs.link(c.p('s'), c.p('s2'));
        c.t.equal(c.fs.readlink(c.p('s2')).toString(), 'target');
        c.t.equal(c.fs.lstat(c.p('s2')).nlink, 2);
      },
    },
    {
      name: '300 links to one file across directories',
      needs: 'linkedNames',
      run(c) {
        put(c, c.p('f'), 'x');
        c.fs.mkdir(c.p('d'));
        for (let i = 0; i < 300; i++) c.fs.link(c.p('f'), c.p(`d/l${i}`));
        c.t.equal(c.fs.stat(c.p('d/l299')).nlink, 301);
        for (let i = 0; i < 300; i += 2) c.fs.unlink(c.p(`d/l${i}`));
        c.t.equal(c.fs.stat(c.p('f')).nlink, 151);
      },
    },
    {
      name: 'unlink errors: ENOENT, EISDIR, ENOTDIR',
      run(c) {
        put(c, c.p('f'));
        c.fs.mkdir(c.p('d'));
        fails(c, 'ENOENT', () => c.fs.unlink(c.p('no')));
        fails(c, 'EISDIR', () => c.fs.unlink(c.p('d')));
        fails(c, 'EISDIR', () => c.fs.unlink(c.p('d/')));
        fails(c, 'ENOTDIR', () => c.fs.unlink(c.p('f/')));
        fails(c, 'ENOTDIR', () => c.fs.unlink(c.p('f/x')));
        c.t.same(names(c, c.dir), ['d', 'f']);
      },
    },
    {
      name: 'an unlinked open file goes on: read, write, grow, fstat, chmod, times, until the last close',
      run(c) {
        const model = pattern(100_000);
        put(c, c.p('f'), model);
        const fd = c.fs.open(c.p('f'), O.RDWR);
        const second = c.fs.open(c.p('f'), O.RDONLY);
        c.fs.unlink(c.p('f'));
        fails(c, 'ENOENT', () => c.fs.stat(c.p('f')));
        c.t.equal(c.fs.fstat(fd).nlink, 0);
        same(c, c.fs.read(fd, 200_000, 0), model, 'old data');
        c.fs.write(fd, Buffer.from('new'), 250_000);
        c.fs.fsync(fd);
        c.fs.fchmod(fd, 0o600);
        c.fs.futimens(fd, 5_000_000n, 6_000_000n);
        const s = c.fs.fstat(fd);
        c.t.same([s.size, s.mode & 0o777, s.mtimeNs], [250_003, 0o600, 6_000_000n]);
        c.fs.close(fd);
        c.t.equal(c.fs.read(second, 10, 250_000).toString(), 'new', 'through the other descriptor');
        put(c, c.p('f'), 'a new file of that name');
        c.t.equal(c.fs.fstat(second).size, 250_003);
        c.fs.close(second);
        c.t.equal(text(c, c.p('f')), 'a new file of that name');
      },
    },
    {
      name: 'an unlinked open file whose name came from a rename over it',
      run(c) {
        put(c, c.p('old'), 'old');
        put(c, c.p('new'), 'new');
        withFd(c, c.p('old'), O.RDWR, (fd) => {
          c.fs.rename(c.p('new'), c.p('old'));
          c.t.equal(c.fs.fstat(fd).nlink, 0);
          c.t.equal(c.fs.read(fd, 9, 0).toString(), 'old');
          c.fs.write(fd, Buffer.from('OLD'), 0);
          c.t.equal(c.fs.read(fd, 9, 0).toString(), 'OLD');
        });
        c.t.equal(text(c, c.p('old')), 'new');
      },
    },
    {
      name: 'symlinks of 1 to 4095 bytes, of any bytes; size is the length',
      needs: 'byteNames',
      run(c) {
        for (const length of [1, 59, 60, 61, 255, 1023, 1024, 4000, 4095]) {
          const target = pattern(length, length).map((b) => (b === 0x2f ? 0x61 : b));
          c.fs.symlink(Buffer.from(target), c.p(`s${length}`));
          same(c, c.fs.readlink(c.p(`s${length}`)), Buffer.from(target), `${length} bytes`);
          const s = c.fs.lstat(c.p(`s${length}`));
          c.t.equal(s.size, length);
          c.t.equal(s.mode, S.IFLNK | 0o777);
        }
      },
    },
    {
      name: 'symlink errors: EEXIST, ENOENT, ENAMETOOLONG at 4096; readlink of others EINVAL',
      run(c) {
        put(c, c.p('f'));
        c.fs.mkdir(c.p('d'));
        fails(c, 'EEXIST', () => c.fs.symlink('x', c.p('f')));
        fails(c, 'EEXIST', () => c.fs.symlink('x', c.p('d')));
        fails(c, 'ENOENT', () => c.fs.symlink('', c.p('s')));
        fails(c, 'ENOENT', () => c.fs.symlink('x', c.p('no/s')));
        fails(c, 'ENAMETOOLONG', () => c.fs.symlink('x'.repeat(4096), c.p('s')));
        fails(c, 'EINVAL', () => c.fs.readlink(c.p('f')));
        fails(c, 'EINVAL', () => c.fs.readlink(c.p('d')));
        fails(c, 'ENOENT', () => c.fs.readlink(c.p('no')));
      },
    },
    {
      name: 'symlinks are followed: relative, absolute, chains, through ..; stat against lstat',
      run(c) {
        c.fs.mkdir(c.p('d'));
        c.fs.mkdir(c.p('d/e'));
        put(c, c.p('d/f'), 'found');
        c.fs.symlink('d', c.p('s1'));
        c.fs.symlink('s1', c.p('s2'));
        c.fs.symlink(`${c.dir}/d/f`, c.p('abs'));
        c.fs.symlink('../f', c.p('d/e/up'));
        for (const path of ['s2/f', 'abs', 'd/e/up', 's1/e/../f', 's2/e/up'])
          c.t.equal(text(c, c.p(path)), 'found', path);
        c.t.equal(c.fs.stat(c.p('s2')).mode & S.IFMT, S.IFDIR);
        c.t.equal(c.fs.lstat(c.p('s2')).mode & S.IFMT, S.IFLNK);
        c.t.equal(c.fs.lstat(c.p('s2/')).mode & S.IFMT, S.IFDIR, 'a slash follows');
        c.fs.unlink(c.p('s1'));
        c.t.notOk(exists(c, c.p('s2/f')));
      },
    },
    {
      name: 'ELOOP: itself, two of each other, 41 in a chain; 40 are allowed',
      run(c) {
        c.fs.symlink('self', c.p('self'));
        c.fs.symlink('b', c.p('a'));
        c.fs.symlink('a', c.p('b'));
        fails(c, 'ELOOP', () => c.fs.stat(c.p('self')));
        fails(c, 'ELOOP', () => c.fs.stat(c.p('a')));
        fails(c, 'ELOOP', () => c.fs.open(c.p('a/x'), O.RDONLY));
        fails(c, 'ELOOP', () => c.fs.open(c.p('self'), O.WRONLY | O.CREAT));
        put(c, c.p('l0'), 'end');
        for (let i = 1; i <= 41; i++) c.fs.symlink(`l${i - 1}`, c.p(`l${i}`));
        same(c, readAll(c, c.p('l40')), Buffer.from('end'), '40 links');
        fails(c, 'ELOOP', () => c.fs.stat(c.p('l41')));
      },
    },
    {
      name: 'lchown and utimens with nofollow act on the symlink',
      run(c) {
        put(c, c.p('f'), 'x');
        c.fs.symlink('f', c.p('s'));
        c.fs.lchown(c.p('s'), 77, 88);
        c.fs.utimens(c.p('s'), 1_000_000n, 2_000_000n, true);
        const [s, f] = [c.fs.lstat(c.p('s')), c.fs.stat(c.p('f'))];
        c.t.same([s.uid, s.gid, s.mtimeNs], [77, 88, 2_000_000n]);
        c.t.same([f.uid, f.gid], [0, 0]);
        c.t.not(f.mtimeNs, 2_000_000n);
      },
    },
  ],
};
