/**
 * Limits of a store, as programs meet them: each write(2) hears of ENOSPC itself, statfs says what is left, whatever is
 * still on its way to the disk.
 */
import * as fs from 'node:fs';
import t, { type Test } from 'tap';
import { check, libc } from '../harness/libc.js';
import {
  cliOk,
  lacks,
  MountedStore,
  mountStore,
  onPlainDirectory,
  TEST_CAPABILITIES,
} from '../harness/mount.js';
import { codeOf, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, O } from '../harness/posix-client.js';
import { RealClient } from '../harness/real-client.js';

const PAGE = 4096;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MS_SYNC = 4;
const LIMIT_PAGES = 512;
const LIMIT = LIMIT_PAGES * PAGE;

const limited = (test: Test, ...args: string[]): MountedStore => {
  const mounted = new MountedStore();
  test.teardown(() => mounted.dispose());
  cliOk(['mkfs', mounted.store, ...args]);
  return mounted.mount();
};

/** Writes whole pages until there is no room; the pages that went in, and the error. */
const fill = (client: RealClient, fd: number, from = 0): { pages: number; code: string } => {
  const page = Buffer.alloc(PAGE, 'x');
  for (let pages = 0; ; pages++) {
    const code = codeOf(() => client.write(fd, page, from + pages * PAGE));
    if (code !== 'no error') return { pages, code };
  }
};

/** The kernel tells of a last close, and that it has forgotten an inode, a moment after the call has returned. */
const eventually = (test: Test, read: () => number, wanted: number, message: string): void => {
  const deadline = Date.now() + 30_000;
  while (read() !== wanted && Date.now() < deadline) Atomics.wait(pause, 0, 0, 5);
  test.equal(read(), wanted, message);
};
const pause = new Int32Array(new SharedArrayBuffer(4));

/**
 * Data that the kernel had taken, and we refused, is lost: the unmount says so once more, and is no failure for it. A
 * transport without a write-back cache doesn't tell such a write from others, whose writers hear of it.
 */
const unmountsTelling = (test: Test, mounted: MountedStore): void => {
  const told = mounted.unmount();
  if (TEST_CAPABILITIES.writebackCache) test.match(told, /refused earlier: f,.*ENOSPC/);
  else test.notMatch(told, /refused/);
};

const skip = onPlainDirectory ? 'a plain directory has no limit of its own' : false;

await t.test('a size limit: write, overwrite, holes in files; statfs', { skip }, (ct) => {
  const mounted = limited(ct, '--size-limit', String(LIMIT));
  const client = new RealClient('mount', mounted.mnt, TEST_CAPABILITIES);
  const path = `${mounted.mnt}/f`;
  const freePages = (): number => client.statfs(mounted.mnt).blocksAvailable;
  ct.equal(client.statfs(mounted.mnt).blocks, LIMIT_PAGES);
  ct.equal(freePages(), LIMIT_PAGES);

  const fd = client.open(path, O.RDWR | O.CREAT);
  ct.same(fill(client, fd), { pages: LIMIT_PAGES, code: 'ENOSPC' }, 'the write that doesn’t fit says so');
  ct.equal(freePages(), 0, 'nothing of it has been synced');
  ct.equal(client.fstat(fd).size, LIMIT);
  client.write(fd, Buffer.alloc(LIMIT, 'y'), 0);
  client.fsync(fd);
  ct.pass('over-writing needs no room');
  ct.equal(
    codeOf(() => client.write(fd, Buffer.of(1), 10 * LIMIT)),
    'ENOSPC',
    'far out',
  );
  ct.equal(client.fstat(fd).size, LIMIT, 'a refused write changes nothing');
  client.ftruncate(fd, 100 * LIMIT);
  ct.equal(freePages(), 0, 'a hole needs no room');
  client.ftruncate(fd, LIMIT / 2);
  ct.equal(freePages(), LIMIT_PAGES / 2);
  client.write(fd, Buffer.alloc(PAGE, 'z'), 50 * LIMIT);
  ct.equal(freePages(), LIMIT_PAGES / 2 - 1, 'data in a hole takes room again');
  client.close(fd);
  fs.unlinkSync(path);
  eventually(ct, freePages, LIMIT_PAGES, 'a removed file gives its room');
  mounted.remount();
  ct.equal(freePages(), LIMIT_PAGES, 'the same after a new mount');
  mounted.fsck();
  ct.end();
});

const skipWriteback = skip || lacks('writebackCache');
const skipRanges = skip || lacks('fallocate', 'copyRange');
await t.test('a size limit: punched holes, preallocation, copies', { skip: skipRanges }, (ct) => {
  const mounted = limited(ct, '--size-limit', String(LIMIT));
  const client = new RealClient('mount', mounted.mnt, TEST_CAPABILITIES);
  const path = `${mounted.mnt}/f`;
  const freePages = (): number => client.statfs(mounted.mnt).blocksAvailable;
  const fd = client.open(path, O.RDWR | O.CREAT);
  fill(client, fd);
  ct.equal(
    codeOf(() => client.fallocate(fd, 0, LIMIT, 1)),
    'ENOSPC',
  );
  client.ftruncate(fd, 100 * LIMIT);
  client.fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 0, LIMIT / 2);
  ct.equal(freePages(), LIMIT_PAGES / 2, 'a punched hole gives room at once');
  client.write(fd, Buffer.alloc(PAGE, 'z'), 50 * LIMIT);
  ct.ok(freePages() < LIMIT_PAGES / 2, 'data in a hole takes it again');
  client.ftruncate(fd, 0);
  ct.equal(freePages(), LIMIT_PAGES, 'a truncate gives all');

  client.fallocate(fd, FALLOC_KEEP_SIZE, 0, LIMIT);
  ct.equal(freePages(), 0, 'preallocated room is taken');
  const other = client.open(`${mounted.mnt}/other`, O.RDWR | O.CREAT);
  ct.same(fill(client, other), { pages: 0, code: 'ENOSPC' });
  ct.same(fill(client, fd), { pages: LIMIT_PAGES, code: 'ENOSPC' }, 'and there for the file that has it');
  ct.equal(
    codeOf(() => client.copyFileRange(fd, 0, other, 0, LIMIT)),
    'ENOSPC',
    'a copy is charged',
  );
  client.ftruncate(fd, LIMIT / 2);
  let copied = 0;
  while (copied < LIMIT / 2) copied += client.copyFileRange(fd, copied, other, copied, LIMIT / 2 - copied);
  ct.equal(freePages(), 0, 'a copy that fits is, too');
  client.close(fd);
  client.close(other);
  fs.unlinkSync(path);
  eventually(ct, freePages, LIMIT_PAGES / 2, 'a removed file gives its room');
  mounted.remount();
  ct.equal(freePages(), LIMIT_PAGES / 2, 'the same after a new mount');
  mounted.fsck();
  ct.end();
});

await t.test('a limit, and an unlinked open file: its room is free after the close', { skip }, (ct) => {
  const mounted = limited(ct, '--size-limit', String(LIMIT));
  const client = new RealClient('mount', mounted.mnt, TEST_CAPABILITIES);
  const fd = client.open(`${mounted.mnt}/f`, O.RDWR | O.CREAT);
  fill(client, fd);
  fs.unlinkSync(`${mounted.mnt}/f`);
  ct.equal(client.statfs(mounted.mnt).blocksAvailable, 0);
  client.close(fd);
  eventually(ct, () => client.statfs(mounted.mnt).blocksAvailable, LIMIT_PAGES, 'after the close');
  ct.end();
});

await t.test(
  'a limit with the write-back cache: fsync, or at the latest close, says ENOSPC',
  { skip: skipWriteback },
  (ct) => {
    const mounted = new MountedStore({ args: ['-o', 'writeback_cache'] });
    ct.teardown(() => mounted.dispose());
    cliOk(['mkfs', mounted.store, '--size-limit', String(LIMIT)]);
    mounted.mount();
    const client = new RealClient('mount', mounted.mnt, TEST_CAPABILITIES);
    const kept = Buffer.alloc(LIMIT / 2, 'k');
    fs.writeFileSync(`${mounted.mnt}/kept`, kept);
    const fd = client.open(`${mounted.mnt}/f`, O.RDWR | O.CREAT);
    const page = Buffer.alloc(PAGE, 'x');
    const refused = codeOf(() => {
      for (let i = 0; i < LIMIT_PAGES; i++) client.write(fd, page, i * PAGE);
      client.fsync(fd);
    });
    ct.equal(refused, 'ENOSPC', 'twice as much as there is room for');
    ct.ok(client.statfs(mounted.mnt).blocksAvailable >= 0);
    client.ftruncate(fd, 0);
    client.write(fd, page, 0);
    client.fsync(fd);
    client.close(fd);
    unmountsTelling(ct, mounted);
    mounted.mount();
    ct.ok(fs.readFileSync(`${mounted.mnt}/kept`).equals(kept), 'what was there is as it was');
    ct.ok(fs.readFileSync(`${mounted.mnt}/f`).equals(page), 'and there is room again after a truncate');
    mounted.fsck();
    ct.end();
  },
);

await t.test('a limit and a mapped file: msync says ENOSPC', { skip }, (ct) => {
  const mounted = limited(ct, '--size-limit', String(LIMIT));
  const client = new RealClient('mount', mounted.mnt, TEST_CAPABILITIES);
  const fd = client.open(`${mounted.mnt}/f`, O.RDWR | O.CREAT);
  const length = 2 * LIMIT;
  client.ftruncate(fd, length);
  const at = libc.mmap(0, length, PROT_READ_WRITE, MAP_SHARED, fd, 0);
  check(at, 'mmap');
  for (let offset = 0; offset < length; offset += PAGE)
    libc.copyTo(BigInt(at) + BigInt(offset), Buffer.of(1), 1);
  ct.equal(
    codeOf(() => {
      check(libc.msync(at, length, MS_SYNC), 'msync');
      client.fsync(fd);
    }),
    'ENOSPC',
  );
  check(libc.munmap(at, length), 'munmap');
  client.ftruncate(fd, LIMIT / 2);
  client.close(fd);
  fs.writeFileSync(`${mounted.mnt}/next`, Buffer.alloc(LIMIT / 4));
  unmountsTelling(ct, mounted);
  mounted.mount();
  ct.equal(fs.statSync(`${mounted.mnt}/next`).size, LIMIT / 4);
  mounted.fsck();
  ct.end();
});

await t.test('an inode limit: ENOSPC for each kind, statfs counts', { skip }, (ct) => {
  const mounted = limited(ct, '--inode-limit', '5');
  const client = new RealClient('mount', mounted.mnt, TEST_CAPABILITIES);
  const free = (): number => client.statfs(mounted.mnt).filesFree;
  ct.same([client.statfs(mounted.mnt).files, free()], [5, 4], 'the root is one');
  fs.mkdirSync(`${mounted.mnt}/d`);
  fs.writeFileSync(`${mounted.mnt}/f`, 'data');
  fs.symlinkSync('x', `${mounted.mnt}/s`);
  client.mknod(`${mounted.mnt}/p`, 0o010600);
  ct.equal(free(), 0);
  ct.equal(
    codeOf(() => fs.mkdirSync(`${mounted.mnt}/e`)),
    'ENOSPC',
  );
  ct.equal(
    codeOf(() => fs.writeFileSync(`${mounted.mnt}/g`, '')),
    'ENOSPC',
  );
  if (TEST_CAPABILITIES.tmpfile)
    ct.equal(
      codeOf(() => client.open(mounted.mnt, O.TMPFILE | O.RDWR)),
      'ENOSPC',
    );
  fs.linkSync(`${mounted.mnt}/f`, `${mounted.mnt}/another`);
  fs.writeFileSync(`${mounted.mnt}/f`, Buffer.alloc(100_000));
  ct.pass('names and data are not limited by it');
  fs.rmdirSync(`${mounted.mnt}/d`);
  eventually(ct, free, 1, 'a removed directory');
  mounted.fsck();
  ct.end();
});

const writeback = 'without a limit the write-back cache is on, with one off, unless asked for';
await t.test(writeback, { skip: skipWriteback }, (ct) => {
  const features = (mounted: MountedStore): string => {
    const log = /log (.*)\)/.exec(mounted.printed)?.[1] ?? '';
    return (
      fs
        .readFileSync(log, 'utf8')
        .split('\n')
        .find((line) => line.includes('"features"')) ?? ''
    );
  };
  ct.match(features(mountStore(ct)), /WRITEBACK_CACHE/);
  ct.notMatch(features(limited(ct, '--size-limit', '1GiB')), /WRITEBACK_CACHE/);
  ct.end();
});
