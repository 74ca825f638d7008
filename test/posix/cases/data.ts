/** read(2), write(2), holes and end of file, at odd offsets and sizes, across page and chunk boundaries. */
import { Prng } from '../../../src/base/prng.js';
import { O, SEEK_CUR, SEEK_END, SEEK_SET } from '../../harness/posix-client.js';
import { fails, type Family, pattern, put, readAll, same, withFd } from '../suite.js';

const KIB = 1024;
/** Page, inline and possible chunk sizes. */
export const BOUNDARIES = [512, 4 * KIB, 8 * KIB, 32 * KIB, 64 * KIB, 128 * KIB];

export const dataCases: Family = {
  name: 'data',
  cases: [
    {
      name: 'offset moves with read and write, not with pread and pwrite; SEEK_*',
      run(c) {
        withFd(c, c.p('f'), O.RDWR | O.CREAT, (fd) => {
          c.fs.write(fd, Buffer.from('hello world'));
          c.t.equal(c.fs.lseek(fd, 0n, SEEK_CUR), 11n);
          c.t.equal(c.fs.read(fd, 5).length, 0, 'at end of file');
          c.fs.write(fd, Buffer.from('J'), 0);
          c.t.equal(c.fs.lseek(fd, 0n, SEEK_CUR), 11n);
          c.t.equal(c.fs.lseek(fd, -5n, SEEK_END), 6n);
          c.t.equal(c.fs.read(fd, 100).toString(), 'world');
          c.fs.lseek(fd, 0n, SEEK_SET);
          c.t.equal(c.fs.read(fd, 5).toString(), 'Jello');
          fails(c, 'EINVAL', () => c.fs.lseek(fd, -1n, SEEK_SET));
        });
      },
    },
    {
      name: 'single bytes on both sides of each boundary',
      run(c) {
        for (const edge of BOUNDARIES) {
          const path = c.p(`f${edge}`);
          const model = Buffer.alloc(edge + 2);
          withFd(c, path, O.RDWR | O.CREAT, (fd) => {
            for (const i of [edge, edge - 1, edge + 1, edge - 2]) {
              model[i] = (i % 200) + 1;
              c.fs.write(fd, model.subarray(i, i + 1), i);
            }
            same(c, c.fs.read(fd, edge + 100, 0), model, `read back at ${edge}`);
          });
          same(c, readAll(c, path), model, `after reopening at ${edge}`);
        }
      },
    },
    {
      name: 'writes across each boundary, whole and partial overwrites',
      run(c) {
        for (const edge of BOUNDARIES) {
          const model = pattern(edge * 2 + 77, 3);
          const path = c.p(`f${edge}`);
          put(c, path, model);
          withFd(c, path, O.RDWR, (fd) => {
            const span = pattern(301, 9);
            span.copy(model, edge - 150);
            c.fs.write(fd, span, edge - 150);
            c.fs.fsync(fd);
            const again = pattern(100, 5);
            again.copy(model, edge - 50);
            c.fs.write(fd, again, edge - 50);
            same(c, c.fs.read(fd, model.length + 1, 0), model, `read back at ${edge}`);
          });
        }
      },
    },
    {
      name: 'reads at every odd place of a 300 KiB file',
      run(c) {
        const model = pattern(300 * KIB + 13, 4);
        put(c, c.p('f'), model);
        const prng = new Prng(42);
        withFd(c, c.p('f'), O.RDONLY, (fd) => {
          let wrong = 0;
          for (let i = 0; i < 300; i++) {
            const start = prng.int(model.length + 100);
            const length = prng.int(1 << prng.int(18));
            if (!c.fs.read(fd, length, start).equals(model.subarray(start, start + length))) wrong++;
          }
          c.t.equal(wrong, 0);
        });
      },
    },
    {
      name: 'random writes and reads against a buffer (seed 7)',
      run(c) {
        const prng = new Prng(7);
        let model: Buffer = Buffer.alloc(0);
        withFd(c, c.p('f'), O.RDWR | O.CREAT, (fd) => {
          for (let i = 0; i < 400; i++) {
            const start = prng.int(600_000);
            const data = pattern(1 + prng.int(1 << prng.int(17)), i);
            if (start + data.length > model.length) {
              model = Buffer.concat([model, Buffer.alloc(start + data.length - model.length)]);
            }
            data.copy(model, start);
            c.fs.write(fd, data, start);
            if (i % 50 === 49) c.fs.fdatasync(fd);
          }
          c.t.equal(c.fs.fstat(fd).size, model.length);
        });
        same(c, readAll(c, c.p('f')), model, 'whole file');
      },
    },
    {
      name: 'a hole reads as zeros and takes no blocks',
      run(c) {
        withFd(c, c.p('f'), O.RDWR | O.CREAT, (fd) => {
          c.fs.write(fd, Buffer.from('end'), 1_000_000);
          c.fs.fsync(fd);
          const s = c.fs.fstat(fd);
          c.t.equal(s.size, 1_000_003);
          c.t.ok(s.blocks > 0 && s.blocks * 512 <= 256 * KIB, `blocks ${s.blocks}`);
          same(c, c.fs.read(fd, 1_000_000, 0), Buffer.alloc(1_000_000), 'zeros');
          c.t.equal(c.fs.read(fd, 10, 1_000_000).toString(), 'end');
          c.fs.write(fd, Buffer.from('mid'), 500_001);
          c.t.equal(c.fs.read(fd, 5, 500_000).toString('latin1'), '\0mid\0');
        });
      },
    },
    {
      name: 'reading past the end gives nothing; an empty write changes nothing',
      run(c) {
        put(c, c.p('f'), 'abc');
        const before = c.fs.stat(c.p('f'));
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          c.t.equal(c.fs.read(fd, 10, 3).length, 0);
          c.t.equal(c.fs.read(fd, 10, 1_000_000).length, 0);
          c.t.equal(c.fs.write(fd, Buffer.alloc(0), 100), 0);
        });
        c.t.equal(c.fs.stat(c.p('f')).size, 3);
        c.t.equal(c.fs.stat(c.p('f')).mtimeNs, before.mtimeNs);
      },
    },
    {
      name: 'a 5 MiB write in one call, read back in one call',
      run(c) {
        const model = pattern(5 * 1024 * KIB + 1, 6);
        put(c, c.p('f'), model);
        withFd(c, c.p('f'), O.RDONLY, (fd) => same(c, c.fs.read(fd, model.length + 9, 0), model, 'same'));
        c.t.ok(c.fs.stat(c.p('f')).size === model.length);
      },
    },
    {
      name: 'blocks count the data once it is on disk',
      run(c) {
        withFd(c, c.p('f'), O.RDWR | O.CREAT, (fd) => {
          c.fs.write(fd, pattern(256 * KIB));
          c.fs.fsync(fd);
          c.t.equal(c.fs.fstat(fd).blocks, 512);
        });
      },
    },
    {
      name: 'small files of every size around the inline limits keep their bytes as they grow',
      run(c) {
        const model: number[] = [];
        withFd(c, c.p('f'), O.RDWR | O.CREAT, (fd) => {
          for (const size of [
            1, 2, 100, 255, 511, 513, 1023, 1025, 2048, 4095, 4096, 4097, 5000, 9000, 20000,
          ]) {
            const more = pattern(size - model.length, size);
            c.fs.write(fd, more, model.length);
            model.push(...more);
            c.fs.fsync(fd);
            same(c, c.fs.read(fd, size + 10, 0), Buffer.from(model), `size ${size}`);
          }
        });
      },
    },
  ],
};
