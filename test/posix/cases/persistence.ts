/** fsync(2), fdatasync(2), syncfs(2) and many small files: state survives what they push to disk. */
import { O } from '../../harness/posix-client.js';
import { type Family, names, pattern, put, readAll, same, text, withFd } from '../suite.js';

export const persistenceCases: Family = {
  name: 'sync',
  cases: [
    {
      name: 'fsync of a file, of a directory, of a read-only descriptor; fdatasync; syncfs',
      run(c) {
        put(c, c.p('f'), 'abc');
        withFd(c, c.p('f'), O.RDONLY, (fd) => {
          c.fs.fsync(fd);
          c.fs.fdatasync(fd);
          c.fs.syncfs(fd);
        });
        withFd(c, c.dir, O.RDONLY | O.DIRECTORY, (fd) => {
          c.fs.fsync(fd);
          c.fs.fdatasync(fd);
        });
        c.t.equal(text(c, c.p('f')), 'abc');
      },
    },
    {
      name: 'write, sync, overwrite, sync: the newest bytes, each time',
      run(c) {
        withFd(c, c.p('f'), O.RDWR | O.CREAT, (fd) => {
          for (let i = 0; i < 30; i++) {
            const data = pattern(10_000 + i * 997, i);
            c.fs.write(fd, data, i * 501);
            if (i % 3 === 0) c.fs.fsync(fd);
            same(c, c.fs.read(fd, data.length, i * 501), data, `turn ${i}`);
          }
        });
      },
    },
    {
      name: 'create, rename over, fsync: as editors save',
      run(c) {
        for (let i = 0; i < 20; i++) {
          withFd(c, c.p('f.tmp'), O.WRONLY | O.CREAT | O.EXCL, (fd) => {
            c.fs.write(fd, Buffer.from(`version ${i}`));
            c.fs.fsync(fd);
          });
          c.fs.rename(c.p('f.tmp'), c.p('f'));
          c.t.equal(text(c, c.p('f')), `version ${i}`);
        }
        c.t.same(names(c, c.dir), ['f']);
      },
    },
    {
      name: '1,500 small files in 15 directories, synced halfway, all read back',
      run(c) {
        const data = (d: number, i: number): Buffer => pattern((i * 37) % 5000, d * 100 + i);
        for (let d = 0; d < 15; d++) {
          c.fs.mkdir(c.p(`d${d}`));
          for (let i = 0; i < 100; i++) put(c, c.p(`d${d}/f${i}`), data(d, i));
          if (d === 7) withFd(c, c.dir, O.RDONLY | O.DIRECTORY, (fd) => c.fs.syncfs(fd));
        }
        let wrong = 0;
        for (let d = 0; d < 15; d++) {
          for (let i = 0; i < 100; i++) if (!readAll(c, c.p(`d${d}/f${i}`)).equals(data(d, i))) wrong++;
        }
        c.t.equal(wrong, 0);
      },
    },
  ],
};
