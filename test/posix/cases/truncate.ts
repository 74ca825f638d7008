/** truncate(2), ftruncate(2): old bytes never come back, sizes and limits. */
import { O } from '../../harness/posix-client.js';
import { fails, type Family, pattern, put, readAll, same, withFd } from '../suite.js';
import { BOUNDARIES } from './data.js';

export const truncateCases: Family = {
  name: 'truncate',
  cases: [
    {
      name: 'shrink, then grow: zeros, not the old bytes, around each boundary',
      run(c) {
        for (const edge of BOUNDARIES) {
          for (const cut of [edge - 1, edge, edge + 1, edge - 300]) {
            for (const synced of [false, true]) {
              const path = c.p(`f${edge}-${cut}-${synced}`);
              const model = pattern(edge * 2 + 5);
              put(c, path, model);
              withFd(c, path, O.RDWR, (fd) => {
                if (synced) c.fs.fsync(fd);
                c.fs.ftruncate(fd, cut);
                if (synced) c.fs.fsync(fd);
                c.fs.ftruncate(fd, model.length);
                model.fill(0, cut);
                same(c, c.fs.read(fd, model.length + 1, 0), model, `cut at ${cut}, synced ${synced}`);
              });
            }
          }
        }
      },
    },
    {
      name: 'shrink, then write further on: zeros between',
      run(c) {
        const model = pattern(200_000);
        put(c, c.p('f'), model);
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          c.fs.fsync(fd);
          c.fs.ftruncate(fd, 5_001);
          c.fs.write(fd, Buffer.from('tail'), 150_000);
          const wanted = Buffer.alloc(150_004);
          model.copy(wanted, 0, 0, 5_001);
          wanted.write('tail', 150_000);
          same(c, c.fs.read(fd, 200_000, 0), wanted, 'through the descriptor');
        });
        c.t.equal(readAll(c, c.p('f')).length, 150_004);
      },
    },
    {
      name: 'grow an empty file, to and from 0',
      run(c) {
        put(c, c.p('f'));
        c.fs.truncate(c.p('f'), 70_000);
        same(c, readAll(c, c.p('f')), Buffer.alloc(70_000), 'zeros');
        c.t.equal(c.fs.stat(c.p('f')).blocks, 0);
        c.fs.truncate(c.p('f'), 0);
        c.t.equal(readAll(c, c.p('f')).length, 0);
      },
    },
    {
      name: 'cutting frees blocks',
      run(c) {
        put(c, c.p('f'), pattern(512 * 1024));
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          c.fs.fsync(fd);
          c.fs.ftruncate(fd, 4096);
          c.fs.fsync(fd);
          c.t.equal(c.fs.fstat(fd).blocks, 8);
          c.fs.ftruncate(fd, 0);
          c.fs.fsync(fd);
          c.t.equal(c.fs.fstat(fd).blocks, 0);
        });
      },
    },
    {
      name: 'EISDIR, ENOENT, ENOTDIR, EINVAL; follows symlinks; ELOOP',
      run(c) {
        put(c, c.p('f'), 'abc');
        c.fs.mkdir(c.p('d'));
        c.fs.symlink('f', c.p('s'));
        c.fs.symlink('l', c.p('l'));
        fails(c, 'EISDIR', () => c.fs.truncate(c.p('d'), 0));
        fails(c, 'ENOENT', () => c.fs.truncate(c.p('no'), 0));
        fails(c, 'ENOTDIR', () => c.fs.truncate(c.p('f/x'), 0));
        fails(c, 'EINVAL', () => c.fs.truncate(c.p('f'), -1));
        fails(c, 'ELOOP', () => c.fs.truncate(c.p('l'), 0));
        c.fs.truncate(c.p('s'), 1);
        c.t.equal(c.fs.stat(c.p('f')).size, 1);
      },
    },
    {
      name: 'EFBIG beyond the largest file',
      run(c) {
        put(c, c.p('f'), 'abc');
        const max = c.fs.capabilities.maxFileBytes;
        fails(c, 'EFBIG', () => c.fs.truncate(c.p('f'), max + 4096));
        c.t.equal(c.fs.stat(c.p('f')).size, 3);
        c.fs.truncate(c.p('f'), 100 * 2 ** 30);
        c.t.equal(c.fs.stat(c.p('f')).size, 100 * 2 ** 30);
      },
    },
    {
      name: 'ftruncate works on an unlinked file and on one without write permission',
      run(c) {
        put(c, c.p('f'), 'abcdef');
        const fd = c.fs.open(c.p('f'), O.RDWR);
        c.fs.chmod(c.p('f'), 0);
        c.fs.unlink(c.p('f'));
        c.fs.ftruncate(fd, 3);
        c.t.equal(c.fs.read(fd, 10, 0).toString(), 'abc');
        c.fs.close(fd);
      },
    },
  ],
};
