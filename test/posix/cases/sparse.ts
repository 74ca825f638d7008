/** Large sparse files, fallocate(2), SEEK_DATA and SEEK_HOLE, copy_file_range(2), EFBIG. */
import {
  errorCode,
  FALLOC_KEEP_SIZE,
  FALLOC_PUNCH_HOLE,
  FALLOC_ZERO_RANGE,
  O,
  SEEK_DATA,
  SEEK_HOLE,
} from '../../harness/posix-client.js';
import { fails, type Family, pattern, put, readAll, same, withFd } from '../suite.js';

const GIB = 2 ** 30;
const MIB = 2 ** 20;

export const sparseCases: Family = {
  name: 'sparse',
  cases: [
    {
      name: 'a 100 GiB file with three islands costs only them',
      run(c) {
        withFd(c, c.p('f'), O.RDWR | O.CREAT, (fd) => {
          for (const where of [0, 50 * GIB + 12_345, 100 * GIB - 4])
            c.fs.write(fd, Buffer.from('here'), where);
          c.fs.fsync(fd);
          const s = c.fs.fstat(fd);
          c.t.equal(s.size, 100 * GIB);
          c.t.ok(s.blocks * 512 <= MIB, `${s.blocks} blocks`);
          c.t.equal(c.fs.read(fd, 6, 50 * GIB + 12_344).toString('latin1'), '\0here\0');
          c.t.equal(c.fs.read(fd, 100, 100 * GIB - 4).toString(), 'here');
          same(c, c.fs.read(fd, 70_000, 70 * GIB + 1), Buffer.alloc(70_000), 'zeros');
          c.fs.ftruncate(fd, 10 * GIB);
          c.fs.ftruncate(fd, 100 * GIB);
          c.t.equal(c.fs.read(fd, 4, 50 * GIB + 12_345).toString('latin1'), '\0\0\0\0');
        });
      },
    },
    {
      name: 'write past the largest file: EFBIG, at the latest when synced',
      run(c) {
        const max = c.fs.capabilities.maxFileBytes;
        withFd(c, c.p('f'), O.RDWR | O.CREAT, (fd) => {
          fails(c, 'EFBIG', () => {
            c.fs.write(fd, Buffer.from('x'), max + 8192);
            c.fs.fsync(fd);
          });
          // Linux tells a failed write-back once more to the next syncfs(2) of the filesystem: take it here.
          try {
            c.fs.syncfs(fd);
          } catch (error) {
            c.t.equal(errorCode(error), 'EFBIG');
          }
        });
      },
    },
    {
      name: 'SEEK_DATA and SEEK_HOLE find islands; ENXIO past the end',
      needs: 'holes',
      run(c) {
        withFd(c, c.p('f'), O.RDWR | O.CREAT, (fd) => {
          c.fs.write(fd, pattern(MIB), 8 * MIB);
          c.fs.ftruncate(fd, 16 * MIB);
          c.fs.fsync(fd);
          c.t.equal(c.fs.lseek(fd, 0n, SEEK_DATA), BigInt(8 * MIB));
          c.t.equal(c.fs.lseek(fd, 0n, SEEK_HOLE), 0n);
          c.t.equal(c.fs.lseek(fd, BigInt(8 * MIB + 5), SEEK_DATA), BigInt(8 * MIB + 5));
          c.t.equal(c.fs.lseek(fd, BigInt(8 * MIB + 5), SEEK_HOLE), BigInt(9 * MIB));
          fails(c, 'ENXIO', () => c.fs.lseek(fd, BigInt(10 * MIB), SEEK_DATA));
          fails(c, 'ENXIO', () => c.fs.lseek(fd, BigInt(16 * MIB), SEEK_HOLE));
          fails(c, 'ENXIO', () => c.fs.lseek(fd, BigInt(17 * MIB), SEEK_DATA));
        });
      },
    },
    {
      name: 'SEEK_DATA sees data that is not on disk yet',
      needs: 'holes',
      run(c) {
        withFd(c, c.p('f'), O.RDWR | O.CREAT, (fd) => {
          c.fs.ftruncate(fd, 4 * MIB);
          c.fs.write(fd, pattern(4096), MIB);
          const found = Number(c.fs.lseek(fd, 0n, SEEK_DATA));
          c.t.ok(found <= MIB, `data at or before ${MIB}: ${found}`);
          c.t.ok(Number(c.fs.lseek(fd, BigInt(MIB), SEEK_HOLE)) >= MIB + 4096, 'no hole inside it');
        });
      },
    },
    {
      name: 'fallocate: grows with zeros, keeps data; KEEP_SIZE does not grow',
      needs: 'fallocate',
      run(c) {
        put(c, c.p('f'), 'abc');
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          c.fs.fallocate(fd, 0, 0, 100_000);
          c.t.equal(c.fs.fstat(fd).size, 100_000);
          c.t.equal(c.fs.read(fd, 5, 0).toString('latin1'), 'abc\0\0');
          c.fs.fallocate(fd, FALLOC_KEEP_SIZE, 0, 500_000);
          c.t.equal(c.fs.fstat(fd).size, 100_000);
          c.fs.fallocate(fd, 0, 0, 10);
          c.t.equal(c.fs.fstat(fd).size, 100_000, 'never shrinks');
          fails(c, 'EINVAL', () => c.fs.fallocate(fd, 0, 0, 0));
          fails(c, 'EINVAL', () => c.fs.fallocate(fd, 0, -1, 5));
        });
        withFd(c, c.p('f'), O.RDONLY, (fd) => fails(c, 'EBADF', () => c.fs.fallocate(fd, 0, 0, 5)));
      },
    },
    {
      name: 'PUNCH_HOLE and ZERO_RANGE: zeros inside, the rest kept, at odd edges',
      needs: 'fallocate',
      run(c) {
        for (const mode of [FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, FALLOC_ZERO_RANGE]) {
          for (const [from, length] of [
            [100, 50],
            [4000, 9000],
            [0, 131_072],
            [130_000, 140_001],
            [65_535, 2],
          ]) {
            const model = pattern(300_000, from);
            const path = c.p(`f-${mode}-${from}`);
            put(c, path, model);
            withFd(c, path, O.RDWR, (fd) => {
              c.fs.fsync(fd);
              c.fs.fallocate(fd, mode, from, length);
              model.fill(0, from, from + length);
              same(c, c.fs.read(fd, 400_000, 0), model, `mode ${mode} at ${from}+${length}`);
              c.fs.fsync(fd);
            });
            same(c, readAll(c, path), model, 'again');
          }
        }
      },
    },
    {
      name: 'PUNCH_HOLE frees blocks and past the end changes nothing',
      needs: 'fallocate',
      run(c) {
        put(c, c.p('f'), pattern(MIB));
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          c.fs.fsync(fd);
          c.fs.fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 0, MIB / 2);
          c.fs.fsync(fd);
          c.t.equal(c.fs.fstat(fd).blocks, MIB / 2 / 512);
          c.fs.fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 10 * MIB, MIB);
          c.t.equal(c.fs.fstat(fd).size, MIB);
          c.t.equal(Number(c.fs.lseek(fd, 0n, SEEK_DATA)), MIB / 2);
        });
      },
    },
    {
      name: 'copy_file_range: within and between files, short at end of file, independent afterwards',
      run(c) {
        const model = pattern(400_000, 2);
        put(c, c.p('a'), model);
        put(c, c.p('b'), 'old');
        withFd(c, c.p('a'), O.RDWR, (a) =>
          withFd(c, c.p('b'), O.RDWR, (b) => {
            let done = 0;
            while (done < 400_000) {
              const n = c.fs.copyFileRange(a, done, b, done, 500_000 - done);
              if (n === 0) break;
              done += n;
            }
            c.t.equal(done, 400_000);
            same(c, c.fs.read(b, 500_000, 0), model, 'copied');
            c.t.equal(c.fs.copyFileRange(a, 400_000, b, 0, 100), 0, 'at end of file');
            c.fs.write(a, Buffer.from('changed'), 200_000);
            same(c, c.fs.read(b, 500_000, 0), model, 'the copy is its own');
            c.fs.write(b, Buffer.from('B'), 5);
            c.t.equal(c.fs.read(a, 1, 5)[0], model[5], 'the source too');
            c.fs.copyFileRange(a, 1, b, 300_001, 50);
            same(c, c.fs.read(b, 50, 300_001), model.subarray(1, 51), 'odd offsets');
            fails(c, 'EINVAL', () => c.fs.copyFileRange(a, 0, a, 10, 100), 'overlapping');
          }),
        );
      },
    },
  ],
};
