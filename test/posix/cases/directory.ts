/** mkdir(2), rmdir(2), names and their limits, getdents64(2) with cookies while the directory changes. */
import { at, O, S } from '../../harness/posix-client.js';
import { type CaseContext, exists, fails, type Family, names, put, text, tick, withFd } from '../suite.js';

/** Every entry from the descriptor's position, a small buffer at a time. */
const drain = (c: CaseContext, fd: number, bytes: number, between?: () => void): string[] => {
  const seen: string[] = [];
  for (;;) {
    const entries = c.fs.getdents(fd, bytes);
    if (entries.length === 0) return seen;
    seen.push(...entries.map((e) => e.name.toString('latin1')));
    between?.();
  }
};
const count = (list: string[]): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const name of list) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
};

export const directoryCases: Family = {
  name: 'directory',
  cases: [
    {
      name: 'mkdir: mode & ~umask, 2 links, the parent gains one and loses it',
      run(c) {
        c.fs.umask(0o027);
        tick();
        const before = c.fs.stat(c.dir);
        tick();
        c.fs.mkdir(c.p('d'), 0o777);
        const s = c.fs.stat(c.p('d'));
        c.t.equal(s.mode, S.IFDIR | 0o750);
        c.t.ok(c.fs.stat(c.dir).mtimeNs > before.mtimeNs, 'mtime of the parent');
        if (c.fs.capabilities.directoryLinks) {
          c.t.equal(s.nlink, 2);
          c.t.equal(c.fs.stat(c.dir).nlink, before.nlink + 1);
          c.fs.mkdir(c.p('d/e'));
          c.t.equal(c.fs.stat(c.p('d')).nlink, 3);
          c.fs.rmdir(c.p('d/e'));
        }
        c.fs.rmdir(c.p('d'));
        c.t.equal(c.fs.stat(c.dir).nlink, before.nlink);
      },
    },
    {
      name: 'mkdir errors: EEXIST, ENOENT, ENOTDIR; a slash at the end is fine',
      run(c) {
        put(c, c.p('f'));
        c.fs.symlink('gone', c.p('s'));
        c.fs.mkdir(c.p('d/'));
        for (const name of ['d', 'f', 's', 'd/.', 'd/..']) {
          fails(c, 'EEXIST', () => c.fs.mkdir(c.p(name)), `EEXIST for ${name}`);
        }
        fails(c, 'ENOENT', () => c.fs.mkdir(c.p('no/d')));
        fails(c, 'ENOTDIR', () => c.fs.mkdir(c.p('f/d')));
      },
    },
    {
      name: 'rmdir errors: ENOTEMPTY, ENOTDIR, EINVAL for ., ENOENT',
      run(c) {
        c.fs.mkdir(c.p('d'));
        put(c, c.p('d/f'));
        c.fs.symlink('d', c.p('s'));
        fails(c, 'ENOTEMPTY', () => c.fs.rmdir(c.p('d')));
        fails(c, 'ENOTDIR', () => c.fs.rmdir(c.p('d/f')));
        fails(c, 'ENOTDIR', () => c.fs.rmdir(c.p('s')));
        fails(c, 'EINVAL', () => c.fs.rmdir(c.p('d/.')));
        fails(c, 'ENOTEMPTY', () => c.fs.rmdir(c.p('d/..')));
        fails(c, 'ENOENT', () => c.fs.rmdir(c.p('no')));
        c.fs.unlink(c.p('d/f'));
        c.fs.rmdir(c.p('d'));
        c.t.same(names(c, c.dir), ['s']);
      },
    },
    {
      name: 'a removed directory that is open: nlink 0, listing it is ENOENT, a new one of its name is another',
      needs: 'unlinkedParents',
      run(c) {
        c.fs.mkdir(c.p('d'));
        withFd(c, c.p('d'), O.RDONLY | O.DIRECTORY, (fd) => {
          c.fs.rmdir(c.p('d'));
          c.t.equal(c.fs.fstat(fd).nlink, 0);
          fails(c, 'ENOENT', () => c.fs.getdents(fd, 4096));
        });
        c.fs.mkdir(c.p('d'));
        c.t.same(names(c, c.p('d')), []);
      },
    },
    {
      name: 'names of 255 bytes, 256 is ENAMETOOLONG, in every call',
      run(c) {
        const [longest, tooLong] = ['n'.repeat(255), 'n'.repeat(256)];
        put(c, c.p(longest), 'long');
        c.t.equal(text(c, c.p(longest)), 'long');
        c.t.same(names(c, c.dir), [longest]);
        const bad = c.p(tooLong);
        fails(c, 'ENAMETOOLONG', () => put(c, bad));
        fails(c, 'ENAMETOOLONG', () => c.fs.stat(bad));
        fails(c, 'ENAMETOOLONG', () => c.fs.mkdir(bad));
        fails(c, 'ENAMETOOLONG', () => c.fs.symlink('x', bad));
        fails(c, 'ENAMETOOLONG', () => c.fs.link(c.p(longest), bad));
        fails(c, 'ENAMETOOLONG', () => c.fs.rename(c.p(longest), bad));
        fails(c, 'ENAMETOOLONG', () => c.fs.mknod(bad, S.IFIFO | 0o600));
        fails(c, 'ENAMETOOLONG', () => c.fs.unlink(bad));
        fails(c, 'ENAMETOOLONG', () => c.fs.rmdir(bad));
        fails(c, 'ENAMETOOLONG', () => c.fs.stat(c.p(`${tooLong}/x`)));
      },
    },
    {
      name: 'a path of 4096 bytes is ENAMETOOLONG; depth of 60 directories works',
      run(c) {
        fails(c, 'ENAMETOOLONG', () => c.fs.stat(`${c.dir}/${'./'.repeat(2048)}`));
        let path = c.dir;
        for (let i = 0; i < 60; i++) c.fs.mkdir((path = `${path}/level${i}`));
        put(c, `${path}/f`, 'deep');
        c.t.equal(text(c, `${path}/../level59/f`), 'deep');
        c.t.equal(c.fs.stat(`${path}${'/..'.repeat(60)}`).ino, c.fs.stat(c.dir).ino);
      },
    },
    {
      name: 'names are bytes: not UTF-8, control characters, every byte but / and NUL',
      needs: 'byteNames',
      run(c) {
        const odd = [Buffer.of(0xff, 0xfe, 0x80), Buffer.from('é'), Buffer.of(0xc3), Buffer.from('e\u0301')];
        for (let b = 1; b < 256; b++) if (b !== 0x2f && b !== 0x2e) odd.push(Buffer.of(b, 0x5f));
        odd.push(Buffer.from(' '), Buffer.from('a\nb'), Buffer.from('...'), Buffer.alloc(255, 0xf5));
        for (const name of odd) put(c, c.p(name), name);
        const listed = names(c, c.dir);
        c.t.same(listed, odd.map((name) => name.toString('latin1')).sort());
        const wrong = odd.filter((name) => text(c, c.p(name)) !== name.toString('latin1'));
        c.t.equal(wrong.length, 0);
        for (const name of odd) c.fs.unlink(c.p(name));
        c.t.same(names(c, c.dir), []);
      },
    },
    {
      name: 'names that differ in case or normalisation are different',
      run(c) {
        for (const name of ['Name', 'name', 'NAME', 'caf\u00e9', 'cafe\u0301']) put(c, c.p(name), name);
        c.t.equal(c.fs.readdir(c.dir).length, 5);
        c.t.equal(text(c, c.p('NAME')), 'NAME');
      },
    },
    {
      name: 'getdents: . and .. with their inodes, types and inodes of the rest',
      run(c) {
        c.fs.mkdir(c.p('d'));
        c.fs.mkdir(c.p('d/sub'));
        put(c, c.p('d/f'));
        c.fs.symlink('x', c.p('d/s'));
        c.fs.mknod(c.p('d/p'), S.IFIFO | 0o600);
        const entries = withFd(c, c.p('d'), O.RDONLY | O.DIRECTORY, (fd) => c.fs.getdents(fd, 32768));
        const by = new Map(entries.map((e) => [e.name.toString(), e]));
        c.t.same([...by.keys()].sort(), ['.', '..', 'f', 'p', 's', 'sub']);
        for (const [name, type] of [
          ['sub', S.IFDIR],
          ['f', S.IFREG],
          ['s', S.IFLNK],
          ['p', S.IFIFO],
        ] as const) {
          c.t.equal(by.get(name)?.type, type >> 12, `type of ${name}`);
          c.t.equal(by.get(name)?.ino, c.fs.lstat(c.p(`d/${name}`)).ino, `inode of ${name}`);
        }
        c.t.equal(by.get('.')?.ino, c.fs.stat(c.p('d')).ino);
        c.t.equal(by.get('..')?.ino, c.fs.stat(c.dir).ino);
      },
    },
    {
      name: 'getdents of a file ENOTDIR; with a buffer too small EINVAL',
      run(c) {
        put(c, c.p('f'));
        put(c, c.p('n'.repeat(200)));
        withFd(c, c.p('f'), O.RDONLY, (fd) => fails(c, 'ENOTDIR', () => c.fs.getdents(fd, 4096)));
      },
    },
    {
      name: '2,000 entries: all listed once, in small buffers too',
      run(c) {
        const all = Array.from({ length: 2000 }, (_, i) => `entry-${i}`);
        for (const name of all) put(c, c.p(name));
        all.push('.', '..');
        for (const bytes of [300, 4096, 1 << 20]) {
          const seen = withFd(c, c.dir, O.RDONLY | O.DIRECTORY, (fd) => drain(c, fd, bytes));
          c.t.same(seen.sort(), [...all].sort(), `${bytes} bytes a call`);
        }
      },
    },
    {
      name: 'listing while entries come and go: what was there throughout is listed exactly once',
      run(c) {
        for (let i = 0; i < 600; i++) put(c, c.p(`stay-${i}`));
        for (let i = 0; i < 300; i++) put(c, c.p(`go-${i}`));
        let turn = 0;
        const seen = withFd(c, c.dir, O.RDONLY | O.DIRECTORY, (fd) =>
          drain(c, fd, 1024, () => {
            for (let i = 0; i < 5 && turn < 300; i++, turn++) {
              c.fs.unlink(c.p(`go-${299 - turn}`));
              put(c, c.p(`come-${turn}`));
            }
          }),
        );
        const counts = count(seen);
        const wrong = Array.from({ length: 600 }, (_, i) => `stay-${i}`).filter((n) => counts.get(n) !== 1);
        c.t.same(wrong, [], 'every steady entry once');
        c.t.same(
          [...counts].filter(([, n]) => n > 1),
          [],
          'nothing twice',
        );
      },
    },
    {
      name: 'removing every entry while listing (rm -r) leaves nothing behind',
      run(c) {
        for (let i = 0; i < 800; i++) put(c, c.p(`f${i}`));
        withFd(c, c.dir, O.RDONLY | O.DIRECTORY, (fd) => {
          for (;;) {
            const entries = c.fs.getdents(fd, 700);
            if (entries.length === 0) break;
            for (const { name } of entries) if (name[0] !== 0x2e) c.fs.unlink(at(c.dir, name));
          }
        });
        c.t.same(names(c, c.dir), []);
      },
    },
    {
      name: 'cookies are stable: seeking back gives the same rest, also after changes',
      run(c) {
        for (let i = 0; i < 200; i++) put(c, c.p(`f${i}`));
        withFd(c, c.dir, O.RDONLY | O.DIRECTORY, (fd) => {
          const first = c.fs.getdents(fd, 2000);
          const mark = first[first.length - 1].cookie;
          const rest = drain(c, fd, 2000);
          for (const name of first
            .slice(0, 20)
            .map((e) => e.name.toString())
            .filter((n) => n.startsWith('f'))) {
            c.fs.unlink(c.p(name));
          }
          c.fs.lseek(fd, mark, 0);
          c.t.same(drain(c, fd, 2000), rest, 'the same rest');
          c.fs.lseek(fd, first[4].cookie, 0);
          const fromFive = drain(c, fd, 2000);
          c.t.same(fromFive.slice(-rest.length), rest, 'from an earlier mark');
          c.fs.lseek(fd, 0n, 0);
          c.t.equal(drain(c, fd, 2000).length, c.fs.readdir(c.dir).length + 2, 'rewound');
        });
      },
    },
    {
      name: 'a new entry comes after cookies that were taken before it',
      needs: 'orderedCookies',
      run(c) {
        for (let i = 0; i < 20; i++) put(c, c.p(`f${i}`));
        withFd(c, c.dir, O.RDONLY | O.DIRECTORY, (fd) => {
          const entries = c.fs.getdents(fd, 32768);
          put(c, c.p('late'));
          c.fs.lseek(fd, entries[entries.length - 1].cookie, 0);
          c.t.same(drain(c, fd, 4096), ['late']);
        });
      },
    },
    {
      name: 'set-group-id directory: children take its group, directories the bit',
      needs: 'callers',
      run(c) {
        c.fs.mkdir(c.p('d'));
        c.fs.chown(c.p('d'), 0, 4321);
        c.fs.chmod(c.p('d'), 0o2777);
        c.fs.asUser(1001, 1002, () => {
          put(c, c.p('d/f'));
          c.fs.mkdir(c.p('d/e'));
          c.fs.symlink('x', c.p('d/s'));
        });
        c.t.same([c.fs.stat(c.p('d/f')).gid, c.fs.stat(c.p('d/f')).uid], [4321, 1001]);
        c.t.equal(c.fs.stat(c.p('d/f')).mode & 0o7777, 0o644);
        c.t.equal(c.fs.stat(c.p('d/e')).gid, 4321);
        c.t.equal(c.fs.stat(c.p('d/e')).mode & 0o7777, 0o2755);
        c.t.equal(c.fs.lstat(c.p('d/s')).gid, 4321);
      },
    },
    {
      name: 'a name can be a file, then a directory, then a symlink',
      run(c) {
        for (let i = 0; i < 20; i++) {
          put(c, c.p('n'), `turn ${i}`);
          c.t.equal(text(c, c.p('n')), `turn ${i}`);
          c.fs.unlink(c.p('n'));
          c.fs.mkdir(c.p('n'));
          c.t.ok(exists(c, c.p('n/..')));
          c.fs.rmdir(c.p('n'));
          c.fs.symlink('.', c.p('n'));
          c.t.ok(exists(c, c.p('n/n/n')));
          c.fs.unlink(c.p('n'));
          c.t.notOk(exists(c, c.p('n')));
        }
      },
    },
  ],
};
