/** Each opcode: the bytes of a request in, the bytes of the answer out, against the in-memory filesystem. */
import t from 'tap';
import { FakeKernel, body, z } from '../../../support/fake-kernel.js';
import { MemoryVfs } from '../../../support/memory-vfs.js';
import { Errno } from '../../../../src/base/errno.js';
import { Fattr, Fopen, Opcode } from '../../../../src/fuse/kernel/protocol.js';
import * as s from '../../../../src/fuse/kernel/structs.js';
import { asFh, asIno } from '../../../../src/base/ids.js';

const DAY = 86400;
const O_DSYNC = 0o10000;

const started = (): { kernel: FakeKernel; vfs: MemoryVfs } => {
  const pool = new SharedArrayBuffer(1 << 20);
  const vfs = new MemoryVfs(pool);
  const kernel = new FakeKernel(vfs, pool);
  kernel.init();
  return { kernel, vfs };
};

/** Creates a file in the root; returns its inode and handle. */
const createFile = (kernel: FakeKernel, name: string): { ino: number; fh: number } => {
  const { errno, payload } = kernel.ask(
    Opcode.CREATE,
    1,
    body(s.createIn, { flags: 2, mode: 0o100666, umask: 0o022 }),
    z(name),
  );
  if (errno !== 0) throw new Error(`create: ${errno}`);
  return { ino: s.entryOut.decode(payload).nodeid, fh: s.openOut.decode(payload, s.entryOut.size).fh };
};

await t.test('INIT', (t) => {
  const pool = new SharedArrayBuffer(1 << 20);
  const kernel = new FakeKernel(new MemoryVfs(pool), pool);
  t.equal(kernel.ask(Opcode.GETATTR, 1, body(s.getattrIn, {})).errno, Errno.EIO, 'nothing before INIT');
  const { errno, payload } = kernel.init(36);
  t.equal(errno, 0);
  t.match(s.initOut.decode(payload), {
    major: 7,
    minor: 36,
    maxBackground: 64,
    congestionThreshold: 48,
    maxWrite: 1 << 20,
    maxPages: 256,
    timeGran: 1,
  });
  t.same(kernel.inits, ['7.36']);
  kernel.close();
  t.same(kernel.ended, ['unmounted']);
  t.equal(kernel.session.handleOne(), 'ended');
  t.end();
});

await t.test('names', (t) => {
  const { kernel, vfs } = started();
  const missing = kernel.ask(Opcode.LOOKUP, 1, z('nope'));
  t.equal(missing.errno, 0, 'a negative entry');
  t.match(s.entryOut.decode(missing.payload), { nodeid: 0, entryValid: DAY, attrValid: 0, mode: 0 });

  const made = kernel.ask(Opcode.MKDIR, 1, body(s.mkdirIn, { mode: 0o777, umask: 0o027 }), z('dir'));
  const dir = s.entryOut.decode(made.payload);
  t.match(dir, {
    generation: 0,
    entryValid: DAY,
    attrValid: DAY,
    mode: 0o040750,
    uid: 1000,
    gid: 100,
    blksize: 4096,
  });
  t.equal(dir.nodeid, dir.ino);
  t.equal(s.entryOut.decode(kernel.ask(Opcode.LOOKUP, 1, z('dir')).payload).nodeid, dir.nodeid);
  t.equal(vfs.nodes.get(asIno(dir.nodeid))?.lookups, 2);
  t.equal(s.entryOut.decode(kernel.ask(Opcode.LOOKUP, dir.nodeid, z('..')).payload).nodeid, 1);

  const dev = kernel.ask(
    Opcode.MKNOD,
    1,
    body(s.mknodIn, { mode: 0o020644, rdev: 0x12345, umask: 0 }),
    z('dev'),
  );
  t.match(s.entryOut.decode(dev.payload), { rdev: 0x12345, mode: 0o020644 });
  const sym = s.entryOut.decode(kernel.ask(Opcode.SYMLINK, 1, z('sym'), z('/a/b\xff')).payload);
  t.equal(sym.mode, 0o120777);
  t.same(kernel.ask(Opcode.READLINK, sym.nodeid).payload, Buffer.from('/a/b\xff', 'latin1'));
  const { ino, fh } = createFile(kernel, 'file');
  t.equal(
    s.entryOut.decode(kernel.ask(Opcode.LINK, 1, body(s.linkIn, { oldnodeid: ino }), z('file2')).payload)
      .nlink,
    2,
  );
  t.equal(kernel.ask(Opcode.UNLINK, 1, z('file2')).errno, 0);
  t.equal(
    kernel.ask(Opcode.RENAME, 1, body(s.renameIn, { newdir: dir.nodeid }), z('file'), z('moved')).errno,
    0,
  );
  t.equal(
    kernel.ask(Opcode.RENAME2, dir.nodeid, body(s.rename2In, { newdir: 1, flags: 1 }), z('moved'), z('sym'))
      .errno,
    Errno.EEXIST,
  );
  t.equal(kernel.ask(Opcode.RMDIR, 1, z('dir')).errno, Errno.ENOTEMPTY);
  t.equal(kernel.ask(Opcode.RELEASE, ino, body(s.releaseIn, { fh })).errno, 0);
  t.equal(vfs.handles.size, 0);
  kernel.close();
  t.same(kernel.logged, []);
  t.end();
});

await t.test('FORGET has no answer, and gives lookups back', (t) => {
  const { kernel, vfs } = started();
  const a = createFile(kernel, 'a').ino;
  const b = createFile(kernel, 'b').ino;
  kernel.ask(Opcode.LOOKUP, 1, z('a'));
  kernel.send(Opcode.FORGET, a, body(s.forgetIn, { nlookup: 1 }));
  const one = (nodeid: number): Buffer => body(s.forgetOne, { nodeid, nlookup: 1 });
  kernel.send(Opcode.BATCH_FORGET, 0, body(s.batchForgetIn, { count: 900 }), one(a), one(b));
  t.equal(kernel.session.handleOne(), 'again');
  t.equal(kernel.session.handleOne(), 'again');
  t.equal(kernel.session.handleOne(), 'empty');
  t.same(kernel.answers(), []);
  t.equal(vfs.nodes.get(asIno(a))?.lookups, 0);
  t.equal(vfs.nodes.get(asIno(b))?.lookups, 0);
  kernel.close();
  t.end();
});

await t.test('attributes', (t) => {
  const { kernel } = started();
  const { ino, fh } = createFile(kernel, 'f');
  const set = kernel.ask(
    Opcode.SETATTR,
    ino,
    body(s.setattrIn, {
      valid: Fattr.MODE | Fattr.SIZE | Fattr.MTIME | Fattr.ATIME | Fattr.FH,
      fh,
      mode: 0o100600,
      size: 5 * 2 ** 40,
      mtime: -2,
      mtimensec: 999_999_999,
      atime: 5e9,
    }),
  );
  t.equal(set.errno, 0);
  const wanted = {
    ino,
    mode: 0o100600,
    size: 5 * 2 ** 40,
    mtime: -2,
    mtimensec: 999_999_999,
    atime: 5e9,
    uid: 1000,
  };
  t.match(s.attrOut.decode(set.payload), wanted);
  t.match(s.attrOut.decode(kernel.ask(Opcode.GETATTR, ino, body(s.getattrIn, {})).payload), wanted);
  const statx = s.statxOut.decode(kernel.ask(Opcode.STATX, ino, body(s.statxIn, { sxMask: 0xfff })).payload);
  t.match(statx, { mask: 0xfff, mode: 0o100600, mtime: -2, size: 5 * 2 ** 40, attrValid: DAY });
  t.ok(statx.btime > 1e9);
  const flags = kernel.ask(Opcode.IOCTL, ino, body(s.ioctlIn, { cmd: 0x80086601, outSize: 8 }));
  t.equal(flags.payload.length, 20);
  t.equal(kernel.ask(Opcode.IOCTL, ino, body(s.ioctlIn, { cmd: 0x1234, outSize: 8 })).errno, Errno.ENOTTY);
  t.equal(
    kernel.ask(Opcode.SETATTR, ino, body(s.setattrIn, { valid: Fattr.SIZE, size: 2 ** 60 })).errno,
    Errno.EFBIG,
  );
  t.equal(kernel.ask(Opcode.ACCESS, ino, body(s.accessIn, { mask: 4 })).errno, 0);
  t.match(s.statfsOut.decode(kernel.ask(Opcode.STATFS, 1).payload), {
    blocks: 256,
    bsize: 4096,
    frsize: 4096,
    namelen: 255,
  });
  kernel.close();
  t.end();
});

await t.test('data', (t) => {
  const { kernel } = started();
  const { ino, fh } = createFile(kernel, 'f');
  const data = Buffer.from(Array.from({ length: 30_000 }, (_, i) => i % 251));
  const write = kernel.ask(
    Opcode.WRITE,
    ino,
    body(s.writeIn, { fh, offset: 100_001, size: data.length }),
    data,
  );
  t.equal(s.writeOut.decode(write.payload).size, data.length);
  const read = (offset: number, size: number): Buffer =>
    kernel.ask(Opcode.READ, ino, body(s.readIn, { fh, offset, size })).payload;
  t.same(read(100_001, 65536), data, 'gathered from the pool, up to the end of the file');
  t.same(read(95_000, 10_000), Buffer.concat([Buffer.alloc(5001), data.subarray(0, 4999)]), 'a hole first');
  t.same(read(0, 60_000), Buffer.alloc(60_000));
  t.equal(read(1e6, 4096).length, 0);
  t.equal(read(2 ** 60, 4096).length, 0);
  t.equal(kernel.ask(Opcode.READ, ino, body(s.readIn, { fh, size: 0xffffffff })).errno, Errno.EINVAL);
  t.equal(kernel.ask(Opcode.READ, ino, body(s.readIn, { fh: 999, size: 10 })).errno, Errno.EBADF);
  const far = body(s.writeIn, { fh, offset: 2 ** 60, size: 1 });
  t.equal(kernel.ask(Opcode.WRITE, ino, far, Buffer.from('x')).errno, Errno.EFBIG);
  const short = body(s.writeIn, { fh, size: 5 });
  t.equal(kernel.ask(Opcode.WRITE, ino, short, Buffer.from('x')).errno, Errno.EINVAL);
  const synced = kernel.ask(
    Opcode.WRITE,
    ino,
    body(s.writeIn, { fh, size: 1, flags: O_DSYNC }),
    Buffer.from('x'),
  );
  t.equal(s.writeOut.decode(synced.payload).size, 1);
  t.equal(
    kernel.ask(Opcode.FALLOCATE, ino, body(s.fallocateIn, { fh, offset: 0, length: 200_000 })).errno,
    0,
  );
  const seek = kernel.ask(Opcode.LSEEK, ino, body(s.lseekIn, { fh, offset: 5, whence: 4 }));
  t.equal(s.lseekOut.decode(seek.payload).offset, 200_000);
  t.equal(kernel.ask(Opcode.LSEEK, ino, body(s.lseekIn, { fh, whence: 0 })).errno, Errno.EINVAL);
  const copy = body(s.copyFileRangeIn, { fhIn: fh, nodeidOut: ino, fhOut: fh, len: 10 });
  t.equal(kernel.ask(Opcode.COPY_FILE_RANGE, ino, copy).errno, Errno.EOPNOTSUPP);
  t.equal(kernel.ask(Opcode.COPY_FILE_RANGE_64, ino, copy).errno, Errno.EOPNOTSUPP);
  t.equal(kernel.ask(Opcode.FSYNC, ino, body(s.fsyncIn, { fh })).errno, 0);
  t.equal(kernel.ask(Opcode.FSYNCDIR, 1, body(s.fsyncIn, {})).errno, 0);
  t.equal(kernel.ask(Opcode.SYNCFS, 1, body(s.syncfsIn, {})).errno, 0);
  const open = s.openOut.decode(
    kernel.ask(Opcode.OPEN, ino, body(s.openIn, { flags: 0o1000, openFlags: 1 })).payload,
  );
  t.equal(open.openFlags, Fopen.KEEP_CACHE | Fopen.NOFLUSH);
  t.equal(read(0, 10).length, 0, 'O_TRUNC');
  const tmp = kernel.ask(Opcode.TMPFILE, 1, body(s.createIn, { mode: 0o100600 }), z('/')).payload;
  t.match(s.entryOut.decode(tmp), { nlink: 0, mode: 0o100600 });
  kernel.close();
  t.end();
});

await t.test('directories', (t) => {
  const { kernel, vfs } = started();
  for (let i = 0; i < 100; i++) createFile(kernel, `file-${i}`);
  t.equal(kernel.ask(Opcode.OPENDIR, 1, body(s.openIn, {})).errno, Errno.ENOSYS);
  const lookups = (): number => [...vfs.nodes.values()].reduce((sum, node) => sum + node.lookups, 0);
  const before = lookups();
  const list = (opcode: number, headBytes: number): string[] => {
    const names: string[] = [];
    for (let offset = 0; ;) {
      const { payload } = kernel.ask(opcode, 1, body(s.readIn, { offset, size: 1000 }));
      if (payload.length === 0) return names;
      t.ok(payload.length <= 1000);
      for (let at = 0; at < payload.length;) {
        const entry = s.dirent.decode(payload, at + headBytes);
        const nameAt = at + headBytes + s.dirent.size;
        const name = payload.toString('latin1', nameAt, nameAt + entry.namelen);
        if (headBytes > 0) {
          t.equal(s.entryOut.decode(payload, at).nodeid, name.startsWith('.') ? 0 : entry.ino);
        }
        names.push(name);
        offset = entry.off;
        at = (nameAt + entry.namelen + 7) & ~7;
      }
    }
  };
  const wanted = ['.', '..', ...Array.from({ length: 100 }, (_, i) => `file-${i}`)];
  t.same(list(Opcode.READDIR, 0), wanted);
  t.equal(lookups(), before);
  t.same(list(Opcode.READDIRPLUS, s.entryOut.size), wanted);
  t.equal(lookups(), before + 100, 'each entry but the dots is a lookup');
  t.equal(kernel.ask(Opcode.RELEASEDIR, 1, body(s.releaseIn, {})).errno, 0);
  kernel.close();
  t.end();
});

await t.test('extended attributes, with either setxattr_in', (t) => {
  const { kernel } = started();
  const set = (head: Buffer): number =>
    kernel.ask(Opcode.SETXATTR, 1, head, z('user.a'), Buffer.from('value')).errno;
  t.equal(set(body(s.setxattrIn, { size: 5, setxattrFlags: 1 })), 0);
  t.equal(set(body(s.setxattrIn, { size: 5, flags: 1 })), Errno.EEXIST);
  t.equal(set(body(s.setxattrIn, { size: 50 })), Errno.EINVAL, 'shorter than it says');
  const get = (size: number) => kernel.ask(Opcode.GETXATTR, 1, body(s.getxattrIn, { size }), z('user.a'));
  t.equal(s.getxattrOut.decode(get(0).payload).size, 5);
  t.equal(get(4).errno, Errno.ERANGE);
  t.same(get(100).payload, Buffer.from('value'));
  t.same(kernel.ask(Opcode.LISTXATTR, 1, body(s.getxattrIn, { size: 100 })).payload, z('user.a'));
  t.equal(kernel.ask(Opcode.REMOVEXATTR, 1, z('user.a')).errno, 0);
  t.equal(get(0).errno, Errno.ENODATA);
  kernel.close();

  const pool = new SharedArrayBuffer(4096);
  const old = new FakeKernel(new MemoryVfs(pool), pool);
  old.init(31, 0, 0);
  const compat = body(s.setxattrIn, { size: 5 }).subarray(0, s.SETXATTR_IN_COMPAT_BYTES);
  t.equal(old.ask(Opcode.SETXATTR, 1, compat, z('user.b'), Buffer.from('value')).errno, 0);
  t.equal(
    old.ask(Opcode.GETXATTR, 1, body(s.getxattrIn, { size: 9 }), z('user.b')).payload.toString(),
    'value',
  );
  old.close();
  t.end();
});

await t.test('answered ENOSYS, or without looking', (t) => {
  const { kernel } = started();
  const blank = Buffer.alloc(64);
  for (const op of ['FLUSH', 'POLL', 'BMAP', 'GETLK', 'SETLK', 'SETLKW', 'SETUPMAPPING'] as const)
    t.equal(kernel.ask(Opcode[op], 1, blank).errno, Errno.ENOSYS, op);
  t.equal(kernel.ask(7, 1, blank).errno, Errno.ENOSYS, 'a hole in the numbers');
  t.equal(kernel.ask(4096, 1, blank).errno, Errno.ENOSYS, 'an unknown opcode');
  t.equal(kernel.ask(Opcode.DESTROY, 1).errno, 0);
  t.match(kernel.session.requestCounts(), { INIT: 1, FLUSH: 1, unknown: 1 });
  kernel.close();
  t.end();
});

await t.test('an answer that nobody takes leaves neither handle nor lookup', (t) => {
  const { kernel, vfs } = started();
  kernel.send(Opcode.CREATE, 1, body(s.createIn, { mode: 0o100600 }), z('f'));
  kernel.send(Opcode.READDIRPLUS, 1, body(s.readIn, { size: 4096 }));
  const { session } = kernel;
  // The peer's end closes: requests already sent are still read, answers fail with EPIPE.
  kernel.end.close();
  t.equal(session.handleOne(), 'again');
  t.equal(session.handleOne(), 'again');
  t.equal(vfs.handles.size, 0);
  t.ok([...vfs.nodes.values()].every(({ lookups, uses }) => lookups === 0 && uses === 0));
  t.equal(vfs.handles.get(asFh(1)), undefined);
  t.equal(session.counters().refusedReplies, 2);
  t.equal(session.handleOne(), 'ended');
  kernel.end.closeOther();
  t.end();
});
