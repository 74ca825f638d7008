/** rename(2) and renameat2(2): every pair of types, directories and their link counts, flags. */
import { O, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, S } from '../../harness/posix-client.js';
import { exists, fails, type Family, names, put, text, tick, withFd } from '../suite.js';

export const renameCases: Family = {
  name: 'rename',
  cases: [
    {
      name: 'moves a file: same inode and data, ctime moves, both directories change',
      run(c) {
        c.fs.mkdir(c.p('x'));
        c.fs.mkdir(c.p('y'));
        put(c, c.p('x/f'), 'data');
        const before = c.fs.stat(c.p('x/f'));
        const [bx, by] = [c.fs.stat(c.p('x')), c.fs.stat(c.p('y'))];
        tick();
        c.fs.rename(c.p('x/f'), c.p('y/g'));
        const s = c.fs.stat(c.p('y/g'));
        c.t.same([s.ino, s.nlink, s.mtimeNs], [before.ino, 1, before.mtimeNs]);
        c.t.ok(s.ctimeNs > before.ctimeNs);
        c.t.notOk(exists(c, c.p('x/f')));
        c.t.ok(c.fs.stat(c.p('x')).mtimeNs > bx.mtimeNs, 'mtime of the old parent');
        c.t.ok(c.fs.stat(c.p('y')).mtimeNs > by.mtimeNs, 'mtime of the new parent');
        c.t.equal(text(c, c.p('y/g')), 'data');
      },
    },
    {
      name: 'file over file replaces; the old one loses its link',
      needs: 'linkedNames',
      run(c) {
        put(c, c.p('a'), 'A');
        put(c, c.p('b'), 'B');
        c.fs.link(c.p('b'), c.p('b2'));
        const a = c.fs.stat(c.p('a')).ino;
        c.fs.rename(c.p('a'), c.p('b'));
        c.t.equal(c.fs.stat(c.p('b')).ino, a);
        c.t.equal(c.fs.stat(c.p('b2')).nlink, 1);
        c.t.equal(text(c, c.p('b2')), 'B');
        c.t.same(names(c, c.dir), ['b', 'b2']);
      },
    },
    {
      name: 'two names of one file: nothing happens, both stay',
      run(c) {
        put(c, c.p('a'), 'A');
        c.fs.link(c.p('a'), c.p('b'));
        c.fs.rename(c.p('a'), c.p('b'));
        c.fs.rename(c.p('a'), c.p('a'));
        c.t.same(names(c, c.dir), ['a', 'b']);
        c.t.equal(c.fs.stat(c.p('a')).nlink, 2);
      },
    },
    {
      name: 'directory over empty directory; over a full one ENOTEMPTY',
      run(c) {
        for (const d of ['a', 'b', 'full']) c.fs.mkdir(c.p(d));
        put(c, c.p('a/in'), 'x');
        put(c, c.p('full/y'), 'y');
        fails(c, 'ENOTEMPTY', () => c.fs.rename(c.p('a'), c.p('full')));
        c.fs.rename(c.p('a'), c.p('b'));
        c.t.same(names(c, c.dir), ['b', 'full']);
        c.t.equal(text(c, c.p('b/in')), 'x');
        if (c.fs.capabilities.directoryLinks) c.t.equal(c.fs.stat(c.dir).nlink, 4);
      },
    },
    {
      name: 'directory over file ENOTDIR, file over directory EISDIR',
      run(c) {
        c.fs.mkdir(c.p('d'));
        put(c, c.p('f'));
        c.fs.symlink('d', c.p('s'));
        fails(c, 'ENOTDIR', () => c.fs.rename(c.p('d'), c.p('f')));
        fails(c, 'EISDIR', () => c.fs.rename(c.p('f'), c.p('d')));
        fails(c, 'ENOTDIR', () => c.fs.rename(c.p('d'), c.p('s')));
        fails(c, 'EISDIR', () => c.fs.rename(c.p('s'), c.p('d')));
        c.fs.rename(c.p('f'), c.p('s'));
        c.t.equal(c.fs.lstat(c.p('s')).mode & S.IFMT, S.IFREG, 'replaces the symlink itself');
      },
    },
    {
      name: 'into itself EINVAL; over its own ancestor ENOTEMPTY',
      run(c) {
        c.fs.mkdir(c.p('a'));
        c.fs.mkdir(c.p('a/b'));
        c.fs.mkdir(c.p('a/b/c'));
        fails(c, 'EINVAL', () => c.fs.rename(c.p('a'), c.p('a/x')));
        fails(c, 'EINVAL', () => c.fs.rename(c.p('a'), c.p('a/b/c/x')));
        fails(c, 'EINVAL', () => c.fs.rename(c.p('a'), c.p('a/b')));
        fails(c, 'ENOTEMPTY', () => c.fs.rename(c.p('a/b/c'), c.p('a')));
        c.t.ok(exists(c, c.p('a/b/c')));
      },
    },
    {
      name: 'a directory moved between parents: link counts, .. leads to the new one',
      run(c) {
        for (const d of ['x', 'y', 'x/d', 'x/d/sub']) c.fs.mkdir(c.p(d));
        const y = c.fs.stat(c.p('y')).ino;
        c.fs.rename(c.p('x/d'), c.p('y/e'));
        c.t.equal(c.fs.stat(c.p('y/e/..')).ino, y);
        c.t.ok(exists(c, c.p('y/e/sub')));
        withFd(c, c.p('y/e'), O.RDONLY | O.DIRECTORY, (fd) => {
          const up = c.fs.getdents(fd, 4096).find((e) => e.name.toString() === '..');
          c.t.equal(up?.ino, y, 'd_ino of ..');
        });
        if (c.fs.capabilities.directoryLinks) {
          c.t.equal(c.fs.stat(c.p('x')).nlink, 2);
          c.t.equal(c.fs.stat(c.p('y')).nlink, 3);
          c.t.equal(c.fs.stat(c.p('y/e')).nlink, 3);
        }
      },
    },
    {
      name: '. and .. are refused: EBUSY; ENOENT, ENOTDIR',
      run(c) {
        c.fs.mkdir(c.p('d'));
        put(c, c.p('f'));
        fails(c, 'EBUSY', () => c.fs.rename(c.p('d/.'), c.p('x')));
        fails(c, 'EBUSY', () => c.fs.rename(c.p('d/..'), c.p('x')));
        fails(c, 'EBUSY', () => c.fs.rename(c.p('d'), c.p('d/.')));
        fails(c, 'ENOENT', () => c.fs.rename(c.p('no'), c.p('x')));
        fails(c, 'ENOENT', () => c.fs.rename(c.p('f'), c.p('no/x')));
        fails(c, 'ENOTDIR', () => c.fs.rename(c.p('f/x'), c.p('y')));
        fails(c, 'ENOTDIR', () => c.fs.rename(c.p('f'), c.p('f/y')));
        fails(c, 'ENOTDIR', () => c.fs.rename(c.p('f'), c.p('new/')));
        c.fs.rename(c.p('d/'), c.p('e/'));
        c.t.same(names(c, c.dir), ['e', 'f']);
      },
    },
    {
      name: 'RENAME_NOREPLACE',
      needs: 'renameFlags',
      run(c) {
        put(c, c.p('a'), 'A');
        put(c, c.p('b'), 'B');
        fails(c, 'EEXIST', () => c.fs.rename(c.p('a'), c.p('b'), RENAME_NOREPLACE));
        fails(c, 'EEXIST', () => c.fs.rename(c.p('a'), c.p('a'), RENAME_NOREPLACE));
        c.t.equal(text(c, c.p('b')), 'B');
        c.fs.rename(c.p('a'), c.p('c'), RENAME_NOREPLACE);
        c.t.same(names(c, c.dir), ['b', 'c']);
      },
    },
    {
      name: 'RENAME_EXCHANGE: files, file with directory, directories of different parents',
      needs: 'renameFlags',
      run(c) {
        put(c, c.p('a'), 'A');
        put(c, c.p('b'), 'B');
        c.fs.mkdir(c.p('x'));
        c.fs.mkdir(c.p('x/d'));
        c.fs.mkdir(c.p('x/d/sub'));
        c.fs.rename(c.p('a'), c.p('b'), RENAME_EXCHANGE);
        c.t.same([text(c, c.p('a')), text(c, c.p('b'))], ['B', 'A']);
        c.fs.rename(c.p('a'), c.p('x/d'), RENAME_EXCHANGE);
        c.t.equal(text(c, c.p('x/d')), 'B');
        c.t.ok(exists(c, c.p('a/sub')));
        c.t.equal(c.fs.stat(c.p('a/..')).ino, c.fs.stat(c.dir).ino);
        if (c.fs.capabilities.directoryLinks) {
          c.t.equal(c.fs.stat(c.p('x')).nlink, 2);
          c.t.equal(c.fs.stat(c.dir).nlink, 4);
        }
        fails(c, 'ENOENT', () => c.fs.rename(c.p('a'), c.p('no'), RENAME_EXCHANGE));
        fails(c, 'EINVAL', () => c.fs.rename(c.p('a'), c.p('a/sub'), RENAME_EXCHANGE));
        fails(c, 'EINVAL', () => c.fs.rename(c.p('a/sub'), c.p('a'), RENAME_EXCHANGE));
        fails(c, 'EINVAL', () => c.fs.rename(c.p('a'), c.p('b'), RENAME_EXCHANGE | RENAME_NOREPLACE));
        fails(c, 'EINVAL', () => c.fs.rename(c.p('a'), c.p('b'), 128));
      },
    },
    {
      name: 'RENAME_WHITEOUT leaves a character device 0/0',
      needs: 'renameFlags',
      run(c) {
        put(c, c.p('a'), 'A');
        c.fs.rename(c.p('a'), c.p('b'), RENAME_WHITEOUT);
        const s = c.fs.lstat(c.p('a'));
        c.t.same([s.mode & S.IFMT, s.rdev], [S.IFCHR, 0]);
        c.t.equal(text(c, c.p('b')), 'A');
        put(c, c.p('n'), 'N');
        fails(c, 'EEXIST', () => c.fs.rename(c.p('n'), c.p('b'), RENAME_WHITEOUT | RENAME_NOREPLACE));
      },
    },
    {
      name: 'an open file follows its new name; a long chain of renames',
      run(c) {
        put(c, c.p('n0'), 'start');
        withFd(c, c.p('n0'), O.RDWR, (fd) => {
          for (let i = 0; i < 100; i++) c.fs.rename(c.p(`n${i}`), c.p(`n${i + 1}`));
          c.fs.write(fd, Buffer.from('+'), 5);
        });
        c.t.same(names(c, c.dir), ['n100']);
        c.t.equal(text(c, c.p('n100')), 'start+');
      },
    },
    {
      name: 'a directory goes to another parent only if its owner may write it: .. changes',
      needs: ['permissions', 'callers'],
      run(c) {
        for (const name of ['from', 'to', 'from/d']) c.fs.mkdir(c.p(name));
        for (const name of ['from', 'to']) c.fs.chmod(c.p(name), 0o777);
        c.fs.chown(c.p('from/d'), 1001, 1001);
        c.fs.chmod(c.p('from/d'), 0o555);
        c.fs.asUser(1001, 1001, () => {
          fails(c, 'EACCES', () => c.fs.rename(c.p('from/d'), c.p('to/d')));
          c.fs.rename(c.p('from/d'), c.p('from/e'));
          c.fs.chmod(c.p('from/e'), 0o755);
          c.fs.rename(c.p('from/e'), c.p('to/d'));
        });
        c.t.equal(c.fs.stat(c.p('to/d/..')).ino, c.fs.stat(c.p('to')).ino);
      },
    },
    {
      name: 'sticky directory: only the owner of the file or of the directory',
      needs: ['permissions', 'callers'],
      run(c) {
        c.fs.mkdir(c.p('t'));
        c.fs.chmod(c.p('t'), 0o1777);
        put(c, c.p('t/f'), 'x');
        c.fs.mkdir(c.p('t/d'));
        c.fs.asUser(1001, 1001, () => {
          put(c, c.p('t/mine'), 'y');
          fails(c, 'EPERM', () => c.fs.unlink(c.p('t/f')));
          fails(c, 'EPERM', () => c.fs.rename(c.p('t/f'), c.p('t/g')));
          fails(c, 'EPERM', () => c.fs.rename(c.p('t/mine'), c.p('t/f')));
          fails(c, 'EPERM', () => c.fs.rmdir(c.p('t/d')));
          fails(c, 'EPERM', () => c.fs.rename(c.p('t/mine'), c.p('t/f'), RENAME_EXCHANGE));
          c.fs.rename(c.p('t/mine'), c.p('t/mine2'));
          c.fs.unlink(c.p('t/mine2'));
        });
        c.fs.chown(c.p('t'), 1001, -1);
        c.fs.asUser(1001, 1001, () => {
          c.fs.rmdir(c.p('t/d'));
          c.fs.unlink(c.p('t/f'));
        });
      },
    },
  ],
};
