/** Mappings, shared and private, and O_DIRECT: other ways to a file's bytes, which must agree with read(2) and write(2). */
import { addressOf, check, libc } from '../../harness/libc.js';
import { O } from '../../harness/posix-client.js';
import {
  type CaseContext,
  exists,
  fails,
  type Family,
  pattern,
  put,
  readAll,
  same,
  tick,
  withFd,
} from '../suite.js';

const PAGE = 4096;
const PROT_READ = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MS_SYNC = 4;

class Mapping {
  readonly #at: bigint;
  readonly #length: number;

  constructor(fd: number, length: number, flags = MAP_SHARED, protection = PROT_READ_WRITE) {
    const at = libc.mmap(0, length, protection, flags, fd, 0);
    check(at, 'mmap');
    this.#at = BigInt(at);
    this.#length = length;
  }
  read(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    libc.copyFrom(bytes, this.#at + BigInt(offset), length);
    return bytes;
  }
  write(offset: number, bytes: Uint8Array): void {
    libc.copyTo(this.#at + BigInt(offset), bytes, bytes.length);
  }
  sync(): void {
    check(libc.msync(this.#at, this.#length, MS_SYNC), 'msync');
  }
  unmap(): void {
    check(libc.munmap(this.#at, this.#length), 'munmap');
  }
}

/** `length` bytes at an address that O_DIRECT takes everywhere. */
const aligned = (length: number): Buffer => {
  const buffer = Buffer.alloc(length + PAGE);
  const over = Number(addressOf(buffer) % BigInt(PAGE));
  return buffer.subarray(over === 0 ? 0 : PAGE - over).subarray(0, length);
};

const alignedCopy = (bytes: Buffer): Buffer => {
  const copy = aligned(bytes.length);
  bytes.copy(copy);
  return copy;
};

const direct = (c: CaseContext, path: string, work: (fd: number) => void): void =>
  withFd(c, path, O.RDWR | O.CREAT | O.DIRECT, work);

/** A direct read into memory that is aligned for it: the client's own buffers needn't be. */
const readDirect = (fd: number, length: number, offset: number): Buffer => {
  const buffer = aligned(length);
  return buffer.subarray(0, check(libc.pread(fd, buffer, length, offset), 'pread'));
};

export const mappedCases: Family = {
  name: 'mapped and direct',
  needs: 'processes',
  cases: [
    {
      name: 'a shared mapping and read(2) and write(2) see each other’s bytes at once',
      run(c) {
        const model = pattern(3 * PAGE + 100, 2);
        put(c, c.p('f'), model);
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          const map = new Mapping(fd, model.length);
          same(c, map.read(0, model.length), model, 'what was written before');
          map.write(PAGE - 3, Buffer.from('mapped'));
          model.write('mapped', PAGE - 3);
          same(c, c.fs.read(fd, model.length, 0), model, 'read(2) sees a store');
          c.fs.write(fd, Buffer.from('written'), 2 * PAGE - 3);
          model.write('written', 2 * PAGE - 3);
          same(c, map.read(0, model.length), model, 'the mapping sees write(2)');
          map.sync();
          c.fs.evict(fd);
          same(c, map.read(0, model.length), model, 'also when nothing of it is in the cache');
          map.write(7, Buffer.from('late'));
          model.write('late', 7);
          map.unmap();
        });
        same(c, readAll(c, c.p('f')), model, 'after unmapping and closing');
      },
    },
    {
      name: 'two mappings of one file through different names and descriptors are the same memory',
      needs: 'linkedNames',
      run(c) {
        put(c, c.p('f'), pattern(PAGE));
        c.fs.link(c.p('f'), c.p('g'));
        withFd(c, c.p('f'), O.RDWR, (a) =>
          withFd(c, c.p('g'), O.RDWR, (b) => {
            const [one, two] = [new Mapping(a, PAGE), new Mapping(b, PAGE)];
            one.write(100, Buffer.from('one'));
            c.t.equal(two.read(100, 3).toString(), 'one');
            two.write(200, Buffer.from('two'));
            c.t.equal(one.read(200, 3).toString(), 'two');
            one.unmap();
            two.unmap();
          }),
        );
      },
    },
    {
      name: 'a private mapping keeps its stores to itself',
      run(c) {
        const model = pattern(2 * PAGE, 4);
        put(c, c.p('f'), model);
        withFd(c, c.p('f'), O.RDONLY, (fd) => {
          const map = new Mapping(fd, model.length, MAP_PRIVATE);
          map.write(10, Buffer.from('private'));
          c.t.equal(map.read(10, 7).toString(), 'private');
          same(c, c.fs.read(fd, model.length, 0), model, 'the file has none of it');
          map.unmap();
        });
        same(c, readAll(c, c.p('f')), model, 'nor later');
      },
    },
    {
      name: 'a shared mapping for writing needs a descriptor for both: EACCES',
      run(c) {
        put(c, c.p('f'), pattern(PAGE));
        withFd(c, c.p('f'), O.RDONLY, (fd) => {
          fails(c, 'EACCES', () => new Mapping(fd, PAGE));
          new Mapping(fd, PAGE, MAP_SHARED, PROT_READ).unmap();
        });
        withFd(c, c.p('f'), O.WRONLY, (fd) =>
          fails(c, 'EACCES', () => new Mapping(fd, PAGE, MAP_PRIVATE, PROT_READ)),
        );
      },
    },
    {
      name: 'a mapping outlives the descriptor and the name',
      run(c) {
        put(c, c.p('f'), pattern(PAGE));
        put(c, c.p('kept'), pattern(PAGE));
        const maps = ['f', 'kept'].map((name) => withFd(c, c.p(name), O.RDWR, (fd) => new Mapping(fd, PAGE)));
        c.fs.unlink(c.p('f'));
        for (const map of maps) {
          same(c, map.read(0, PAGE), pattern(PAGE), 'still there');
          map.write(5, Buffer.from('after'));
          map.sync();
          c.t.equal(map.read(5, 5).toString(), 'after');
          map.unmap();
        }
        c.t.notOk(exists(c, c.p('f')));
        c.t.equal(readAll(c, c.p('kept')).toString('latin1', 5, 10), 'after');
      },
    },
    {
      name: 'mapped bytes past the end of the file are zeros, and stores there don’t reach the file',
      run(c) {
        put(c, c.p('f'), pattern(100));
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          const map = new Mapping(fd, PAGE);
          same(c, map.read(100, PAGE - 100), Buffer.alloc(PAGE - 100), 'zeros');
          map.write(200, Buffer.from('stray'));
          map.sync();
          map.unmap();
          c.t.equal(c.fs.fstat(fd).size, 100);
          c.fs.evict(fd);
          c.fs.ftruncate(fd, PAGE);
          same(c, c.fs.read(fd, PAGE, 100), Buffer.alloc(PAGE - 100), 'nothing stray when it grows');
        });
      },
    },
    {
      name: 'a store through a mapping moves mtime and ctime by the time msync has returned; a load does not',
      run(c) {
        put(c, c.p('f'), pattern(PAGE));
        withFd(c, c.p('f'), O.RDWR, (fd) => {
          const map = new Mapping(fd, PAGE);
          c.fs.fsync(fd);
          const before = c.fs.fstat(fd);
          tick();
          map.read(0, PAGE);
          map.sync();
          c.t.equal(c.fs.fstat(fd).mtimeNs, before.mtimeNs, 'a load');
          map.write(0, Buffer.from('x'));
          map.sync();
          const after = c.fs.fstat(fd);
          c.t.ok(after.mtimeNs > before.mtimeNs && after.ctimeNs > before.ctimeNs, 'a store');
          map.unmap();
        });
      },
    },
    {
      name: 'O_DIRECT: writes and reads agree with buffered ones, at the end of the file too',
      run(c) {
        const path = c.p('f');
        const model = pattern(40 * PAGE, 6);
        direct(c, path, (fd) => {
          c.t.equal(c.fs.write(fd, alignedCopy(model), 0), model.length);
          same(c, readAll(c, path), model, 'buffered after direct');
          withFd(c, path, O.WRONLY, (buffered) => {
            c.fs.write(buffered, Buffer.from('buffered'), 5000);
            model.write('buffered', 5000);
            same(
              c,
              readDirect(fd, 4 * PAGE, 0),
              model.subarray(0, 4 * PAGE),
              'direct after buffered, unsynced',
            );
            const block = pattern(PAGE, 11);
            c.fs.write(fd, alignedCopy(block), PAGE);
            block.copy(model, PAGE);
          });
          same(c, readAll(c, path), model, 'a direct write over cached pages');
          c.fs.ftruncate(fd, model.length - 100);
          const last = model.length - PAGE;
          same(
            c,
            readDirect(fd, 2 * PAGE, last),
            model.subarray(last, last + PAGE - 100),
            'short at the end',
          );
          c.t.equal(readDirect(fd, PAGE, model.length).length, 0, 'nothing past it');
          c.fs.write(fd, alignedCopy(pattern(PAGE, 3)), 80 * PAGE);
          same(c, readDirect(fd, PAGE, 60 * PAGE), Buffer.alloc(PAGE), 'the hole between');
        });
      },
    },
    {
      name: 'O_DIRECT with O_APPEND appends; a mapping sees direct writes',
      run(c) {
        const path = c.p('f');
        put(c, path, pattern(PAGE, 1));
        const block = alignedCopy(pattern(PAGE, 2));
        withFd(c, path, O.WRONLY | O.APPEND | O.DIRECT, (fd) => c.fs.write(fd, block));
        c.t.equal(c.fs.stat(path).size, 2 * PAGE);
        withFd(c, path, O.RDWR, (fd) => {
          const map = new Mapping(fd, 2 * PAGE);
          same(c, map.read(PAGE, PAGE), pattern(PAGE, 2), 'appended');
          direct(c, path, (other) => c.fs.write(other, alignedCopy(pattern(PAGE, 5)), 0));
          same(c, map.read(0, PAGE), pattern(PAGE, 5), 'a direct write under a mapping');
          map.unmap();
        });
      },
    },
  ],
};
