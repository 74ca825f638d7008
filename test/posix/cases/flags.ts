/** Inode flags: chattr(1), ioctl_iflags(2). What the kernel's IS_IMMUTABLE and IS_APPEND forbid, all EPERM. */
import { FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, O, RENAME_EXCHANGE } from '../../harness/posix-client.js';
import { type CaseContext, exists, fails, type Family, names, put, text, tick, withFd } from '../suite.js';

const IMMUTABLE = 0x10;
const APPEND = 0x20;
const NODUMP = 0x40;
const NOATIME = 0x80;
const OURS = IMMUTABLE | APPEND | NODUMP | NOATIME;
const COMPRESSED = 0x4;

/** Sets these flags, and leaves those alone that the filesystem sets by itself (ext4: extents). */
const flag = (c: CaseContext, path: string, flags: number): void =>
  c.fs.setFlags(path, (c.fs.getFlags(path) & ~OURS) | flags);
const flagsOf = (c: CaseContext, path: string): number => c.fs.getFlags(path) & OURS;

/** With the flags set; they are gone afterwards, so that the directory can be removed. */
const flagged = (c: CaseContext, path: string, flags: number, work: () => void): void => {
  flag(c, path, flags);
  try {
    work();
  } finally {
    flag(c, path, 0);
  }
};

/** What neither an immutable nor an append-only file lets anybody do. */
const refusesChanges = (c: CaseContext, f: string): void => {
  fails(c, 'EPERM', () => c.fs.open(f, O.WRONLY), 'open for writing');
  fails(c, 'EPERM', () => c.fs.open(f, O.RDWR), 'open for both');
  fails(c, 'EPERM', () => c.fs.open(f, O.WRONLY | O.APPEND | O.TRUNC), 'O_TRUNC');
  fails(c, 'EPERM', () => c.fs.open(f, O.RDONLY | O.TRUNC), 'O_TRUNC for reading');
  fails(c, 'EPERM', () => c.fs.truncate(f, 0), 'truncate');
  fails(c, 'EPERM', () => c.fs.chmod(f, 0o600), 'chmod');
  fails(c, 'EPERM', () => c.fs.chown(f, 1, 1), 'chown');
  fails(c, 'EPERM', () => c.fs.utimens(f, 5n, 5n), 'utimens');
  fails(c, 'EPERM', () => c.fs.setxattr(f, 'user.x', Buffer.from('1')), 'setxattr');
  fails(c, 'EPERM', () => c.fs.link(f, c.p('another')), 'link');
  fails(c, 'EPERM', () => c.fs.rename(f, c.p('another')), 'rename');
  fails(c, 'EPERM', () => c.fs.rename(c.p('free'), f), 'rename over it');
  fails(c, 'EPERM', () => c.fs.rename(c.p('free'), f, RENAME_EXCHANGE), 'exchange');
  fails(c, 'EPERM', () => c.fs.unlink(f), 'unlink');
};

export const flagCases: Family = {
  name: 'inode flags',
  needs: 'ioctls',
  cases: [
    {
      name: 'set, read back, clear, on files and directories; ctime moves, mtime not',
      run(c) {
        put(c, c.p('f'));
        c.fs.mkdir(c.p('d'));
        for (const path of [c.p('f'), c.p('d')]) {
          c.t.equal(flagsOf(c, path), 0);
          const before = c.fs.stat(path);
          tick();
          for (const flags of [NODUMP, NOATIME, NODUMP | NOATIME, APPEND, IMMUTABLE, OURS]) {
            flagged(c, path, flags, () => c.t.equal(flagsOf(c, path), flags));
          }
          c.t.equal(flagsOf(c, path), 0);
          const after = c.fs.stat(path);
          c.t.equal(after.mtimeNs, before.mtimeNs);
          // The kernel sends a FUSE filesystem the flags, and goes on with the ctime it has cached.
          if (c.fs.target !== 'mount') c.t.ok(after.ctimeNs > before.ctimeNs, 'ctime');
        }
      },
    },
    {
      name: 'flags of no meaning EOPNOTSUPP',
      not: { plain: 'ext4 keeps the flag for compression, and does nothing about it' },
      run(c) {
        put(c, c.p('f'));
        fails(c, 'EOPNOTSUPP', () => c.fs.setFlags(c.p('f'), COMPRESSED));
        c.t.equal(c.fs.getFlags(c.p('f')), 0);
      },
    },
    {
      name: 'only root sets immutable and append-only; the owner the others',
      needs: 'permissions',
      run(c) {
        put(c, c.p('f'));
        c.fs.chmod(c.dir, 0o755);
        c.fs.chown(c.p('f'), 1001, 1001);
        c.fs.asUser(1001, 1001, () => {
          fails(c, 'EPERM', () => flag(c, c.p('f'), IMMUTABLE));
          fails(c, 'EPERM', () => flag(c, c.p('f'), APPEND));
          flag(c, c.p('f'), NODUMP);
        });
        c.t.equal(flagsOf(c, c.p('f')), NODUMP);
        c.fs.asUser(1002, 1002, () => fails(c, 'EPERM', () => flag(c, c.p('f'), 0)));
      },
    },
    {
      name: 'an immutable file: it can be read, nothing else',
      run(c) {
        const f = c.p('f');
        put(c, f, 'fixed');
        put(c, c.p('free'));
        flagged(c, f, IMMUTABLE, () => {
          refusesChanges(c, f);
          fails(c, 'EPERM', () => c.fs.open(f, O.WRONLY | O.APPEND));
          fails(c, 'EPERM', () => c.fs.utimens(f, 'now', 'now'));
          c.t.equal(text(c, f), 'fixed');
        });
        put(c, f, 'free again');
        c.fs.unlink(f);
      },
    },
    {
      name: 'an append-only file: it can be added to',
      run(c) {
        const f = c.p('f');
        put(c, f, 'one');
        put(c, c.p('free'));
        flagged(c, f, APPEND, () => {
          refusesChanges(c, f);
          c.fs.utimens(f, 'now', 'now');
          withFd(c, f, O.RDWR | O.APPEND, (fd) => {
            c.fs.write(fd, Buffer.from(' two'));
            c.fs.write(fd, Buffer.from(' three'));
            fails(c, 'EPERM', () => c.fs.ftruncate(fd, 1), 'ftruncate');
            const punch = FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE;
            fails(c, 'EPERM', () => c.fs.fallocate(fd, punch, 0, 1), 'punch');
          });
          c.t.equal(text(c, f), 'one two three');
        });
      },
    },
    {
      name: 'an immutable directory: no name comes, goes or moves; its files can be written',
      run(c) {
        const d = c.p('d');
        c.fs.mkdir(d);
        put(c, `${d}/f`, 'a');
        put(c, c.p('free'));
        c.fs.mkdir(`${d}/sub`);
        flagged(c, d, IMMUTABLE, () => {
          fails(c, 'EPERM', () => put(c, `${d}/new`), 'create');
          fails(c, 'EPERM', () => c.fs.mkdir(`${d}/new`), 'mkdir');
          fails(c, 'EPERM', () => c.fs.symlink('x', `${d}/new`), 'symlink');
          fails(c, 'EPERM', () => c.fs.mknod(`${d}/new`, 0o010600), 'mknod');
          fails(c, 'EPERM', () => c.fs.link(c.p('free'), `${d}/new`), 'link');
          fails(c, 'EPERM', () => c.fs.rename(c.p('free'), `${d}/new`), 'rename into it');
          fails(c, 'EPERM', () => c.fs.rename(`${d}/f`, c.p('out')), 'rename out of it');
          fails(c, 'EPERM', () => c.fs.unlink(`${d}/f`), 'unlink');
          fails(c, 'EPERM', () => c.fs.rmdir(`${d}/sub`), 'rmdir');
          fails(c, 'EPERM', () => c.fs.open(d, O.TMPFILE | O.RDWR, 0o600), 'O_TMPFILE');
          fails(c, 'EPERM', () => c.fs.chmod(d, 0o700), 'chmod');
          fails(c, 'EPERM', () => c.fs.rmdir(d), 'rmdir of itself');
          put(c, `${d}/f`, 'written');
        });
        c.t.same(names(c, d), ['f', 'sub']);
        c.t.equal(text(c, `${d}/f`), 'written');
      },
    },
    {
      name: 'an append-only directory: names come, none goes',
      run(c) {
        const d = c.p('d');
        c.fs.mkdir(d);
        put(c, `${d}/f`);
        flagged(c, d, APPEND, () => {
          put(c, `${d}/new`);
          c.fs.mkdir(`${d}/sub`);
          fails(c, 'EPERM', () => c.fs.unlink(`${d}/f`));
          fails(c, 'EPERM', () => c.fs.rmdir(`${d}/sub`));
          fails(c, 'EPERM', () => c.fs.rename(`${d}/f`, `${d}/g`));
          c.t.notOk(exists(c, `${d}/g`));
        });
        c.t.same(names(c, d), ['f', 'new', 'sub']);
      },
    },
    {
      name: 'nodump and noatime are inherited; with noatime a read moves nothing',
      run(c) {
        const d = c.p('d');
        c.fs.mkdir(d);
        flag(c, d, NODUMP | NOATIME);
        put(c, `${d}/f`, 'abc');
        c.fs.mkdir(`${d}/e`);
        c.t.equal(flagsOf(c, `${d}/e`), NODUMP | NOATIME);
        c.t.equal(flagsOf(c, `${d}/f`), NODUMP | NOATIME);
        c.fs.utimens(`${d}/f`, 1000n, 2000n);
        withFd(c, `${d}/f`, O.RDONLY, (fd) => {
          c.fs.evict(fd);
          c.fs.read(fd, 3);
        });
        c.t.equal(c.fs.stat(`${d}/f`).atimeNs, 1000n);
      },
    },
  ],
};
