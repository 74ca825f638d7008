/** Large sparse files, fallocate(2), SEEK_DATA and SEEK_HOLE, copy_file_range(2), EFBIG. */
import {
  errorCode,
  FALLOC_COLLAPSE_RANGE,
  FALLOC_INSERT_RANGE,
  FALLOC_KEEP_SIZE,
  FALLOC_PUNCH_HOLE,
  FALLOC_ZERO_RANGE,
  O,
  S,
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
      name: 'ZERO_RANGE grows the file, unless KEEP_SIZE; PUNCH_HOLE over the end does not',
      needs: 'fallocate',
      run(c) {
        const size = 70_000;
        for (const [mode, wanted] of [
          [FALLOC_ZERO_RANGE, 200_000],
          [FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE, size],
          [FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, size],
        ]) {
          const path = c.p(`f${mode}`);
          const model = pattern(size);
          put(c, path, model);
          withFd(c, path, O.RDWR, (fd) => c.fs.fallocate(fd, mode, 65_000, 135_000));
          const grown = Buffer.concat([model.subarray(0, 65_000), Buffer.alloc(wanted - 65_000)]);
          same(c, readAll(c, path), grown, `mode ${mode}`);
        }
      },
    },
    {
      name: 'fallocate errors: modes that don’t go together, other files, beyond the largest size',
      needs: 'fallocate',
      run(c) {
        put(c, c.p('f'), 'abc');
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          for (const mode of [FALLOC_PUNCH_HOLE, FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE, 1 << 20])
            fails(c, 'EOPNOTSUPP', () => c.fs.fallocate(fd, mode, 0, 4096), `mode ${mode}`);
          fails(c, 'EFBIG', () => c.fs.fallocate(fd, 0, c.fs.capabilities.maxFileBytes, 4096));
          c.t.equal(c.fs.fstat(fd).size, 3, 'nothing happened');
        });
        withFd(c, c.dir, O.RDONLY, (fd) => fails(c, 'EBADF', () => c.fs.fallocate(fd, 0, 0, 5)));
        if (!c.fs.capabilities.openSpecial) return;
        c.fs.mknod(c.p('p'), S.IFIFO | 0o600);
        withFd(c, c.p('p'), O.RDWR, (fd) => fails(c, 'ESPIPE', () => c.fs.fallocate(fd, 0, 0, 5)));
      },
    },
    {
      name: 'COLLAPSE_RANGE and INSERT_RANGE are refused, and change nothing',
      needs: 'fallocate',
      not: { plain: 'ext4 has them; Linux passes them to no FUSE filesystem' },
      run(c) {
        const model = pattern(200_000);
        put(c, c.p('f'), model);
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          for (const mode of [FALLOC_COLLAPSE_RANGE, FALLOC_INSERT_RANGE])
            fails(c, 'EOPNOTSUPP', () => c.fs.fallocate(fd, mode, 0, 65_536));
        });
        same(c, readAll(c, c.p('f')), model, 'as before');
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
    {
      name: 'copy_file_range errors: how the files are open, what they are, beyond the largest size',
      needs: 'copyRange',
      run(c) {
        put(c, c.p('a'), pattern(5000));
        put(c, c.p('b'), 'b');
        const open = (name: string, flags: number, work: (fd: number) => void): void =>
          withFd(c, c.p(name), flags, work);
        open('a', O.RDWR, (a) => {
          open('b', O.RDONLY, (b) => fails(c, 'EBADF', () => c.fs.copyFileRange(a, 0, b, 0, 10)));
          open('b', O.RDWR | O.APPEND, (b) => fails(c, 'EBADF', () => c.fs.copyFileRange(a, 0, b, 0, 10)));
          open('b', O.RDWR, (b) => {
            const max = c.fs.capabilities.maxFileBytes;
            fails(c, 'EFBIG', () => c.fs.copyFileRange(a, 0, b, max, 10), 'nothing fits');
            c.t.equal(c.fs.fstat(b).size, 1);
          });
        });
        open('a', O.WRONLY, (a) =>
          open('b', O.RDWR, (b) => fails(c, 'EBADF', () => c.fs.copyFileRange(a, 0, b, 0, 10))),
        );
        withFd(c, c.dir, O.RDONLY, (d) =>
          open('b', O.RDWR, (b) => fails(c, 'EISDIR', () => c.fs.copyFileRange(d, 0, b, 0, 10))),
        );
        open('b', O.RDONLY, (b) => c.t.equal(c.fs.read(b, 100).toString(), 'b'));
      },
    },
    {
      name: 'copy_file_range over more than 4 GiB, mostly hole, at offsets past 2^32',
      needs: ['copyRange', 'holes'],
      not: { plain: 'ext4 copies by reading and writing: 20 GiB of zeros' },
      run(c) {
        const [size, to] = [10 * GIB + 4096, 20 * GIB];
        const islands: [number, Buffer][] = [
          [0, pattern(MIB, 1)],
          [5 * GIB + 12_345, pattern(200_000, 2)],
          [size - 4096, pattern(4096, 3)],
        ];
        withFd(c, c.p('a'), O.RDWR | O.CREAT, (a) =>
          withFd(c, c.p('b'), O.RDWR | O.CREAT, (b) => {
            for (const [where, bytes] of islands) c.fs.write(a, bytes, where);
            let done = 0;
            for (let calls = 0; done < size && calls < 1000; calls++)
              done += c.fs.copyFileRange(a, done, b, to + done, size - done);
            c.t.equal(done, size);
            c.t.equal(c.fs.fstat(b).size, to + size);
            for (const [where, bytes] of islands)
              same(c, c.fs.read(b, bytes.length, to + where), bytes, `island at ${where}`);
            c.t.equal(c.fs.lseek(b, 0n, SEEK_DATA), BigInt(to), 'what was a hole still is');
            same(c, c.fs.read(b, 100, to + 3 * GIB), Buffer.alloc(100), 'and reads as zeros');
          }),
        );
      },
    },
  ],
};
