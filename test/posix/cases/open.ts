/** open(2): creation, exclusive creation, truncation, append, and what each flag refuses. */
import { O, S } from '../../harness/posix-client.js';
import { exists, fails, type Family, put, text, withFd } from '../suite.js';

export const openCases: Family = {
  name: 'open',
  cases: [
    {
      name: 'creates with mode & ~umask, empty, one link, owned by the caller',
      run(c) {
        c.fs.umask(0o027);
        c.fs.close(c.fs.open(c.p('f'), O.WRONLY | O.CREAT, 0o666));
        const s = c.fs.lstat(c.p('f'));
        c.t.equal(s.mode, S.IFREG | 0o640);
        c.t.same([s.size, s.nlink, s.uid, s.gid, s.blocks], [0, 1, 0, 0, 0]);
      },
    },
    {
      name: 'keeps set-user-id, set-group-id and sticky bits asked for',
      run(c) {
        c.fs.umask(0);
        c.fs.close(c.fs.open(c.p('f'), O.WRONLY | O.CREAT, 0o7755));
        c.t.equal(c.fs.lstat(c.p('f')).mode, S.IFREG | 0o7755);
      },
    },
    {
      name: 'a new file may be written through a read-only mode',
      run(c) {
        const fd = c.fs.open(c.p('f'), O.RDWR | O.CREAT, 0o400);
        c.t.equal(c.fs.write(fd, Buffer.from('abc')), 3);
        c.fs.close(fd);
        c.t.equal(text(c, c.p('f')), 'abc');
      },
    },
    {
      name: 'owner is the calling user',
      needs: 'callers',
      run(c) {
        c.fs.chmod(c.dir, 0o777);
        c.fs.asUser(1234, 2345, () => put(c, c.p('f'), 'x'));
        const s = c.fs.stat(c.p('f'));
        c.t.same([s.uid, s.gid], [1234, 2345]);
      },
    },
    {
      name: 'O_EXCL refuses what exists: file, directory, symlink, dangling symlink',
      run(c) {
        put(c, c.p('f'), 'keep');
        c.fs.mkdir(c.p('d'));
        c.fs.symlink('f', c.p('s'));
        c.fs.symlink('nowhere', c.p('dangling'));
        for (const name of ['f', 'd', 's', 'dangling']) {
          fails(
            c,
            'EEXIST',
            () => c.fs.open(c.p(name), O.RDWR | O.CREAT | O.EXCL | O.TRUNC),
            `EEXIST for ${name}`,
          );
        }
        c.t.equal(text(c, c.p('f')), 'keep');
        c.t.notOk(exists(c, c.p('nowhere')));
      },
    },
    {
      name: 'O_CREAT through a dangling symlink makes its target',
      run(c) {
        c.fs.symlink('made', c.p('s'));
        put(c, c.p('s'), 'through');
        c.t.equal(text(c, c.p('made')), 'through');
        c.t.equal(c.fs.lstat(c.p('s')).mode & S.IFMT, S.IFLNK);
      },
    },
    {
      name: 'O_CREAT leaves an existing file as it is',
      run(c) {
        put(c, c.p('f'), 'abc');
        c.fs.chmod(c.p('f'), 0o600);
        c.fs.close(c.fs.open(c.p('f'), O.RDWR | O.CREAT, 0o777));
        c.t.equal(text(c, c.p('f')), 'abc');
        c.t.equal(c.fs.stat(c.p('f')).mode & 0o7777, 0o600);
      },
    },
    {
      name: 'O_TRUNC empties, also with O_RDONLY as Linux does, and for other open descriptors',
      run(c) {
        put(c, c.p('f'), 'abcdef');
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          c.fs.close(c.fs.open(c.p('f'), O.WRONLY | O.TRUNC));
          c.t.equal(c.fs.fstat(fd).size, 0);
          c.t.equal(c.fs.read(fd, 10, 0).length, 0);
          c.fs.write(fd, Buffer.from('xy'), 2);
        });
        c.t.equal(text(c, c.p('f')), '\0\0xy');
        c.fs.close(c.fs.open(c.p('f'), O.RDONLY | O.TRUNC));
        c.t.equal(c.fs.stat(c.p('f')).size, 0);
        c.t.equal(c.fs.stat(c.p('f')).blocks, 0);
      },
    },
    {
      name: 'O_APPEND writes at the end, whatever the offset',
      run(c) {
        put(c, c.p('f'), 'abc');
        withFd(c, c.p('f'), O.RDWR | O.APPEND, (fd) => {
          c.fs.write(fd, Buffer.from('d'));
          withFd(c, c.p('f'), O.WRONLY | O.APPEND, (other) => c.fs.write(other, Buffer.from('E')));
          c.fs.lseek(fd, 0n, 0);
          c.fs.write(fd, Buffer.from('f'));
          // pwrite(2), BUGS: on Linux it appends too.
          c.fs.write(fd, Buffer.from('g'), 0);
          c.t.equal(c.fs.read(fd, 10, 0).toString(), 'abcdEfg');
        });
      },
    },
    {
      name: 'O_DIRECTORY: ENOTDIR for anything else',
      run(c) {
        put(c, c.p('f'));
        c.fs.symlink('f', c.p('s'));
        c.fs.mkdir(c.p('d'));
        c.fs.symlink('d', c.p('sd'));
        fails(c, 'ENOTDIR', () => c.fs.open(c.p('f'), O.RDONLY | O.DIRECTORY));
        fails(c, 'ENOTDIR', () => c.fs.open(c.p('s'), O.RDONLY | O.DIRECTORY));
        c.fs.close(c.fs.open(c.p('d'), O.RDONLY | O.DIRECTORY));
        c.fs.close(c.fs.open(c.p('sd'), O.RDONLY | O.DIRECTORY));
      },
    },
    {
      name: 'O_NOFOLLOW: ELOOP for a symlink at the end, not on the way',
      run(c) {
        c.fs.mkdir(c.p('d'));
        put(c, c.p('d/f'), 'in');
        c.fs.symlink('d', c.p('sd'));
        c.fs.symlink('d/f', c.p('sf'));
        fails(c, 'ELOOP', () => c.fs.open(c.p('sf'), O.RDONLY | O.NOFOLLOW));
        fails(c, 'ELOOP', () => c.fs.open(c.p('sf'), O.WRONLY | O.CREAT | O.NOFOLLOW));
        fails(c, 'ENOTDIR', () => c.fs.open(c.p('sd'), O.RDONLY | O.NOFOLLOW | O.DIRECTORY));
        withFd(c, c.p('sd/f'), O.RDONLY | O.NOFOLLOW, (fd) => c.t.equal(c.fs.read(fd, 9).toString(), 'in'));
      },
    },
    {
      name: 'a directory: EISDIR for writing, creating, truncating; reading it is EISDIR',
      run(c) {
        c.fs.mkdir(c.p('d'));
        fails(c, 'EISDIR', () => c.fs.open(c.p('d'), O.WRONLY));
        fails(c, 'EISDIR', () => c.fs.open(c.p('d'), O.RDWR));
        fails(c, 'EISDIR', () => c.fs.open(c.p('d'), O.RDONLY | O.CREAT));
        fails(c, 'EISDIR', () => c.fs.open(c.p('d'), O.RDONLY | O.TRUNC));
        fails(c, 'EISDIR', () => c.fs.open(c.p('new/'), O.WRONLY | O.CREAT));
        fails(c, 'EISDIR', () => withFd(c, c.p('d'), O.RDONLY, (fd) => c.fs.read(fd, 1)));
      },
    },
    {
      name: 'ENOENT and ENOTDIR on the way, empty paths',
      run(c) {
        put(c, c.p('f'));
        fails(c, 'ENOENT', () => c.fs.open(c.p('no'), O.RDONLY));
        fails(c, 'ENOENT', () => c.fs.open(c.p('no/f'), O.RDONLY | O.CREAT));
        fails(c, 'ENOTDIR', () => c.fs.open(c.p('f/x'), O.RDONLY));
        fails(c, 'ENOTDIR', () => c.fs.open(c.p('f/x'), O.WRONLY | O.CREAT));
        fails(c, 'ENOTDIR', () => c.fs.open(c.p('f/'), O.RDONLY));
        fails(c, 'ENOENT', () => c.fs.open('', O.RDONLY));
      },
    },
    {
      name: 'a descriptor reads or writes only as it was opened',
      run(c) {
        put(c, c.p('f'), 'abc');
        withFd(c, c.p('f'), O.RDONLY, (fd) => {
          fails(c, 'EBADF', () => c.fs.write(fd, Buffer.from('x')));
          fails(c, 'EINVAL', () => c.fs.ftruncate(fd, 0));
        });
        withFd(c, c.p('f'), O.WRONLY, (fd) => fails(c, 'EBADF', () => c.fs.read(fd, 1)));
        c.t.equal(text(c, c.p('f')), 'abc');
      },
    },
    {
      name: 'O_SYNC and O_DSYNC write as others do',
      run(c) {
        for (const flag of [O.SYNC, O.DSYNC]) {
          withFd(c, c.p('f'), O.RDWR | O.CREAT | flag, (fd) => {
            c.t.equal(c.fs.write(fd, Buffer.from('sync')), 4);
            c.t.equal(c.fs.read(fd, 9, 0).toString(), 'sync');
          });
        }
      },
    },
    {
      name: 'O_TMPFILE: no name, nlink 0, can be given a name once',
      needs: 'tmpfile',
      run(c) {
        const fd = c.fs.open(c.dir, O.RDWR | O.TMPFILE, 0o640);
        c.t.equal(c.fs.fstat(fd).nlink, 0);
        c.t.equal(c.fs.fstat(fd).mode, S.IFREG | 0o640);
        c.t.same(c.fs.readdir(c.dir), []);
        c.fs.write(fd, Buffer.from('secret'));
        c.fs.linkFd(fd, c.p('named'));
        c.t.equal(c.fs.fstat(fd).nlink, 1);
        c.fs.close(fd);
        c.t.equal(text(c, c.p('named')), 'secret');
        fails(c, 'EINVAL', () => c.fs.open(c.dir, O.RDONLY | O.TMPFILE));
        const only = c.fs.open(c.dir, O.RDWR | O.TMPFILE | O.EXCL, 0o600);
        fails(c, 'ENOENT', () => c.fs.linkFd(only, c.p('never')));
        c.fs.close(only);
        c.t.same(c.fs.readdir(c.dir).map(String), ['named']);
      },
    },
    {
      name: 'many descriptors of one file share its data',
      run(c) {
        put(c, c.p('f'), '0123456789');
        const fds = Array.from({ length: 50 }, () => c.fs.open(c.p('f'), O.RDWR));
        fds.forEach((fd, i) => c.fs.write(fd, Buffer.of(65 + (i % 26)), i));
        for (const fd of fds) c.t.equal(c.fs.fstat(fd).size, 50);
        fds.forEach((fd, i) => c.t.equal(c.fs.read(fd, 1, (i + 1) % 50)[0], 65 + (((i + 1) % 50) % 26)));
        for (const fd of fds) c.fs.close(fd);
      },
    },
  ],
};
