/** chmod(2), chown(2), access(2), set-id bits, mknod(2), statfs(2). */
import { O, S } from '../../harness/posix-client.js';
import { fails, type Family, put, text, withFd } from '../suite.js';

const device = (major: number, minor: number): number =>
  ((major & 0xfff) << 8) | (minor & 0xff) | ((minor & 0xfff00) << 12);

export const modeCases: Family = {
  name: 'modes',
  cases: [
    {
      name: 'chmod sets all twelve bits and keeps the type; through a symlink; fchmod',
      run(c) {
        put(c, c.p('f'));
        c.fs.mkdir(c.p('d'));
        c.fs.symlink('f', c.p('s'));
        for (const mode of [0, 0o7777, 0o4755, 0o2644, 0o1777, 0o644]) {
          c.fs.chmod(c.p('s'), mode);
          c.t.equal(c.fs.stat(c.p('f')).mode, S.IFREG | mode);
          c.fs.chmod(c.p('d'), mode);
          c.t.equal(c.fs.stat(c.p('d')).mode, S.IFDIR | mode);
        }
        c.t.equal(c.fs.lstat(c.p('s')).mode, S.IFLNK | 0o777);
        withFd(c, c.p('f'), O.RDONLY, (fd) => c.fs.fchmod(fd, 0o640));
        c.t.equal(c.fs.stat(c.p('f')).mode & 0o7777, 0o640);
        fails(c, 'ENOENT', () => c.fs.chmod(c.p('no'), 0));
        fails(c, 'ENOTDIR', () => c.fs.chmod(c.p('f/x'), 0));
      },
    },
    {
      name: 'chown: either id, both, neither, ids up to 2^32 - 2',
      run(c) {
        put(c, c.p('f'));
        c.fs.chown(c.p('f'), 11, 22);
        c.fs.chown(c.p('f'), -1, 33);
        c.t.same([c.fs.stat(c.p('f')).uid, c.fs.stat(c.p('f')).gid], [11, 33]);
        c.fs.chown(c.p('f'), 44, -1);
        c.fs.chown(c.p('f'), -1, -1);
        c.t.same([c.fs.stat(c.p('f')).uid, c.fs.stat(c.p('f')).gid], [44, 33]);
        c.fs.chown(c.p('f'), 0xfffffffe, 0xfffffffe);
        c.t.same([c.fs.stat(c.p('f')).uid, c.fs.stat(c.p('f')).gid], [0xfffffffe, 0xfffffffe]);
      },
    },
    {
      name: 'chown of a file clears set-user-id, and set-group-id if executable by the group; not of a directory',
      run(c) {
        put(c, c.p('f'));
        c.fs.chmod(c.p('f'), 0o6755);
        c.fs.chown(c.p('f'), 5, 5);
        c.t.equal(c.fs.stat(c.p('f')).mode & 0o7777, 0o755);
        c.fs.chmod(c.p('f'), 0o6745);
        c.fs.chown(c.p('f'), 6, -1);
        c.t.equal(c.fs.stat(c.p('f')).mode & 0o4000, 0, 'set-user-id');
        c.fs.mkdir(c.p('d'));
        c.fs.chmod(c.p('d'), 0o6755);
        c.fs.chown(c.p('d'), 5, 5);
        c.t.equal(c.fs.stat(c.p('d')).mode & 0o7777, 0o6755);
      },
    },
    {
      name: 'a write, truncate or O_TRUNC by an ordinary user clears set-id bits; root keeps them',
      run(c) {
        const f = c.p('f');
        const reset = (): void => {
          c.fs.chmod(f, 0o6777);
        };
        put(c, f, 'abc');
        reset();
        withFd(c, f, O.WRONLY, (fd) => c.fs.write(fd, Buffer.from('x')));
        c.t.equal(c.fs.stat(f).mode & 0o7777, 0o6777, 'root keeps them');
        c.fs.asUser(1001, 1001, () => {
          withFd(c, f, O.WRONLY, (fd) => c.fs.write(fd, Buffer.from('y')));
        });
        c.t.equal(c.fs.stat(f).mode & 0o7777, 0o777, 'write');
        reset();
        c.fs.asUser(1001, 1001, () => c.fs.truncate(f, 1));
        c.t.equal(c.fs.stat(f).mode & 0o7777, 0o777, 'truncate');
        reset();
        c.fs.asUser(1001, 1001, () => withFd(c, f, O.RDWR, (fd) => c.fs.ftruncate(fd, 5)));
        c.t.equal(c.fs.stat(f).mode & 0o7777, 0o777, 'ftruncate');
        reset();
        c.fs.asUser(1001, 1001, () => withFd(c, f, O.RDWR, (fd) => c.fs.read(fd, 1)));
        c.t.equal(c.fs.stat(f).mode & 0o7777, 0o6777, 'reading keeps them');
      },
    },
    {
      name: 'O_TRUNC by an ordinary user clears set-id bits',
      not: { core: 'FUSE_OPEN_KILL_SUIDGID has no place in Vfs.open: the mount covers it' },
      run(c) {
        put(c, c.p('f'), 'abc');
        c.fs.chmod(c.p('f'), 0o6777);
        c.fs.asUser(1001, 1001, () => c.fs.close(c.fs.open(c.p('f'), O.WRONLY | O.TRUNC)));
        c.t.equal(c.fs.stat(c.p('f')).mode & 0o7777, 0o777);
      },
    },
    {
      name: 'permissions: EACCES and EPERM for an ordinary user',
      needs: 'permissions',
      run(c) {
        put(c, c.p('f'), 'secret');
        c.fs.chmod(c.p('f'), 0o640);
        c.fs.chown(c.p('f'), 0, 1001);
        c.fs.mkdir(c.p('locked'));
        put(c, c.p('locked/in'), 'x');
        c.fs.chmod(c.p('locked'), 0o700);
        c.fs.asUser(1001, 1001, () => {
          c.t.equal(text(c, c.p('f')), 'secret', 'the group reads');
          fails(c, 'EACCES', () => c.fs.open(c.p('f'), O.WRONLY));
          fails(c, 'EPERM', () => c.fs.chmod(c.p('f'), 0o777));
          fails(c, 'EPERM', () => c.fs.chown(c.p('f'), 1001, -1));
          fails(c, 'EPERM', () => c.fs.utimens(c.p('f'), 1n, 1n));
          fails(c, 'EACCES', () => c.fs.utimens(c.p('f'), 'now', 'now'));
          fails(c, 'EACCES', () => put(c, c.p('new')));
          fails(c, 'EACCES', () => c.fs.mkdir(c.p('new')));
          fails(c, 'EACCES', () => c.fs.unlink(c.p('f')));
          fails(c, 'EACCES', () => c.fs.stat(c.p('locked/in')));
          fails(c, 'EACCES', () => c.fs.readdir(c.p('locked')));
        });
        c.fs.asUser(1002, 1002, () => fails(c, 'EACCES', () => c.fs.open(c.p('f'), O.RDONLY)));
      },
    },
    {
      name: 'chmod by the owner outside the group drops set-group-id',
      needs: 'permissions',
      run(c) {
        put(c, c.p('f'));
        c.fs.chown(c.p('f'), 1001, 2222);
        c.fs.asUser(1001, 1001, () => c.fs.chmod(c.p('f'), 0o2755));
        c.t.equal(c.fs.stat(c.p('f')).mode & 0o7777, 0o755);
      },
    },
    {
      name: 'access: what exists, what does not',
      run(c) {
        put(c, c.p('f'));
        c.fs.access(c.p('f'), 0);
        c.fs.access(c.p('f'), 6);
        fails(c, 'ENOENT', () => c.fs.access(c.p('no'), 0));
        fails(c, 'ENOTDIR', () => c.fs.access(c.p('f/x'), 0));
      },
    },
    {
      name: 'mknod: FIFO, socket, devices with their numbers, a regular file',
      run(c) {
        c.fs.umask(0);
        const made = [
          ['fifo', S.IFIFO | 0o622, 0],
          ['sock', S.IFSOCK | 0o600, 0],
          ['chr', S.IFCHR | 0o666, device(1, 3)],
          ['blk', S.IFBLK | 0o660, device(259, 70_000)],
          ['reg', S.IFREG | 0o640, 0],
        ] as const;
        for (const [name, mode, rdev] of made) {
          c.fs.mknod(c.p(name), mode, rdev);
          const s = c.fs.lstat(c.p(name));
          c.t.same([s.mode, s.rdev, s.nlink, s.size], [mode, rdev, 1, 0], name);
          fails(c, 'EEXIST', () => c.fs.mknod(c.p(name), mode, rdev), `EEXIST for ${name}`);
        }
        put(c, c.p('reg'), 'works');
        c.fs.umask(0o077);
        c.fs.mknod(c.p('masked'), S.IFIFO | 0o666);
        c.t.equal(c.fs.lstat(c.p('masked')).mode & 0o777, 0o600);
        c.fs.rename(c.p('fifo'), c.p('sock'));
        c.t.equal(c.fs.lstat(c.p('sock')).mode & S.IFMT, S.IFIFO);
      },
    },
    {
      name: 'mknod of devices by an ordinary user EPERM; a FIFO is allowed',
      needs: ['permissions', 'callers'],
      run(c) {
        c.fs.chmod(c.dir, 0o777);
        c.fs.asUser(1001, 1001, () => {
          fails(c, 'EPERM', () => c.fs.mknod(c.p('dev'), S.IFCHR | 0o600, device(1, 3)));
          c.fs.mknod(c.p('fifo'), S.IFIFO | 0o600);
        });
        c.t.equal(c.fs.lstat(c.p('fifo')).uid, 1001);
      },
    },
    {
      name: 'a FIFO passes bytes',
      needs: 'openSpecial',
      run(c) {
        c.fs.mknod(c.p('p'), S.IFIFO | 0o600);
        const reader = c.fs.open(c.p('p'), O.RDONLY | O.NONBLOCK);
        const writer = c.fs.open(c.p('p'), O.WRONLY | O.NONBLOCK);
        c.fs.write(writer, Buffer.from('through'));
        c.t.equal(c.fs.read(reader, 100).toString(), 'through');
        c.fs.close(writer);
        c.fs.close(reader);
      },
    },
    {
      name: 'statfs is sane, and used space grows with data',
      run(c) {
        const before = c.fs.statfs(c.dir);
        c.t.ok(before.blockBytes >= 512 && before.blocks > 0, 'size');
        c.t.ok(before.blocksFree <= before.blocks && before.blocksAvailable <= before.blocksFree, 'free');
        c.t.ok(before.filesFree <= before.files, 'inodes');
        withFd(c, c.p('f'), O.RDWR | O.CREAT, (fd) => {
          for (let i = 0; i < 8; i++) c.fs.write(fd, Buffer.alloc(1 << 20, i + 1));
          c.fs.fsync(fd);
        });
        c.t.equal(c.fs.statfs(c.p('f')).blockBytes, before.blockBytes);
      },
    },
  ],
};
