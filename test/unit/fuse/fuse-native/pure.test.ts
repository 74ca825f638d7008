/** The parts of the fuse-native transport that need no mount: option strings, times, attributes, hidden files, handles. */
import t from 'tap';
import { asFh, asIno, byteName, type ByteName } from '../../../../src/base/ids.js';
import { HiddenFiles, isHiddenName } from '../../../../src/fuse/fuse-native/hidden-files.js';
import { OpenFiles } from '../../../../src/fuse/fuse-native/open-files.js';
import { optionString, type NativeMountOptions } from '../../../../src/fuse/fuse-native/option-string.js';
import { linuxPlatform, macosPlatform } from '../../../../src/fuse/fuse-native/platform.js';
import { withPart } from '../../../../src/fuse/fuse-native/operations-attributes.js';
import { nameOf, textOf } from '../../../../src/fuse/fuse-native/paths.js';
import { putStat, shownMs, STAT_WORDS, statfsArray } from '../../../../src/fuse/fuse-native/stat-array.js';
import { ATIME_BYTE, MTIME_BYTE, OP_BYTE, utimensTimes } from '../../../../src/fuse/fuse-native/times.js';

const plain: NativeMountOptions = {
  mountpoint: '/m',
  fsname: '/s.db',
  allowOther: false,
  readOnly: false,
  nosuid: false,
  nodev: false,
  noexec: false,
  noatime: false,
  attrTtlMs: 86_400_000,
  entryTtlMs: 86_400_000,
  asRoot: true,
  platform: linuxPlatform,
};
const wordsOf = (options: Partial<NativeMountOptions>): string[] =>
  optionString({ ...plain, ...options })
    .slice(2)
    .split(',');

void t.test('option strings', (t) => {
  const words = wordsOf({});
  t.ok(optionString(plain).startsWith('-o'));
  for (const word of [
    'use_ino',
    'big_writes',
    'default_permissions',
    'entry_timeout=86400',
    'attr_timeout=1',
    'suid',
    'dev',
  ])
    t.ok(words.includes(word), word);
  t.notOk(words.includes('hard_remove'), 'it would make unlinked open files unreadable');
  t.notOk(wordsOf({ allowOther: true }).includes('suid'), 'callers are unknown: no set-user-id programs');
  t.notOk(wordsOf({ asRoot: false }).includes('dev'));
  t.ok(wordsOf({ attrTtlMs: 0 }).includes('attr_timeout=0'));
  t.match(optionString({ ...plain, fsname: '/a,b\\c' }), /fsname=\/a\\,b\\\\c,/);
  t.throws(() => optionString({ ...plain, fsname: 'x'.repeat(1000) }), /shorter than 1024 bytes/);
  t.throws(() => optionString({ ...plain, mountpoint: `/${'x'.repeat(1023)}` }), /mount point/);
  t.end();
});

void t.test(
  'on macOS: the source is marked, options of its own; xattrs without namespaces, and in parts',
  (t) => {
    const words = wordsOf({ platform: macosPlatform, mountpoint: '/Volumes/m' });
    for (const word of ['fsname=vnodefs:/s.db', 'volname=m', 'use_ino']) t.ok(words.includes(word), word);
    for (const word of ['big_writes', 'subtype=vnodefs', 'suid', 'nonempty'])
      t.notOk(words.includes(word), word);
    t.equal(Buffer.from(macosPlatform.shownXattrs(Buffer.from('user.é\0'))).toString(), 'é\0');
    t.strictSame([...withPart(Uint8Array.of(1, 2, 3), Uint8Array.of(9, 9), 2)], [1, 2, 9, 9]);
    t.strictSame([...withPart(Uint8Array.of(1), Uint8Array.of(9), 3)], [1, 0, 0, 9]);
    t.end();
  },
);

void t.test('mtime is read where the C side keeps it, if it is laid out as we believe', (t) => {
  const locals = Buffer.alloc(360);
  locals.writeUInt32LE(12, OP_BYTE);
  locals.writeBigInt64LE(5_500n, ATIME_BYTE);
  locals.writeBigInt64LE(-7_500n, MTIME_BYTE);
  t.strictSame(utimensTimes(locals, 12, 5_500, 0), { atimeMs: 5_500, mtimeMs: -7_500, recovered: true });
  t.strictSame(utimensTimes(locals, 12, 5_501, 0), { atimeMs: 5_501, mtimeMs: 5_501, recovered: false });
  t.equal(utimensTimes(locals, 13, 5_500, 0).recovered, false, 'another operation');
  t.equal(utimensTimes(locals.subarray(0, 100), 12, 5_500, 0).recovered, false, 'too short');
  t.equal(utimensTimes(locals, 12, 0xffff_ffff, 0xffff_ffff).atimeMs, -1);
  t.end();
});

void t.test('attributes: 64-bit sizes, milliseconds, 32-bit inode numbers', (t) => {
  const attributes = {
    ino: asIno(7),
    mode: 0o100644,
    nlink: 0,
    uid: 1,
    gid: 2,
    rdev: 3,
    size: 2 ** 40 + 5,
    allocPages: 2,
    flags: 0,
    atimeSec: -1,
    atimeNsec: 0,
    mtimeSec: 2 ** 33,
    mtimeNsec: 999_999_999,
    ctimeSec: 1,
    ctimeNsec: 1_500_000,
    btimeSec: 0,
    btimeNsec: 0,
  };
  const words = putStat(new Uint32Array(STAT_WORDS), attributes, { uid: undefined, gid: 9 });
  t.strictSame([...words.subarray(0, 12)], [0o100644, 1, 9, 5, 256, 0, 0, 7, 3, 4096, 16, 0]);
  t.equal(words[14] + words[15] * 2 ** 32, 2 ** 33 * 1000 + 999);
  t.equal(words[16], 1001);
  t.equal(shownMs(-1, 0), 0, 'before 1970 shows as 1970');
  t.throws(() => putStat(words, { ...attributes, ino: asIno(2 ** 32) }, { uid: 1, gid: 1 }), /EOVERFLOW/);
  const stat = {
    blocks: 2 ** 34,
    blocksFree: 2 ** 33,
    blocksAvailable: 8,
    files: 2 ** 40,
    filesFree: 1,
    blockBytes: 4096,
    nameMax: 255,
  };
  const shown = statfsArray(stat);
  t.equal(shown[1] * shown[2], 4096 * 2 ** 34, 'the size of the filesystem survives 32 bits');
  t.end();
});

void t.test('names: UTF-8 comes and goes, what is not is refused rather than mistaken', (t) => {
  t.equal(textOf(nameOf('käse')), 'käse');
  t.equal(nameOf('a'), byteName('a'));
  t.throws(() => nameOf('a\ufffd'), /EILSEQ/);
  t.equal(textOf('\xff' as ByteName), '\ufffd');
  t.end();
});

void t.test('hidden files', async (t) => {
  t.ok(isHiddenName('.fuse_hidden0000000200000001'));
  t.notOk(isHiddenName('.fuse_hidden'));
  const hidden = new HiddenFiles();
  const [dir, ino] = [asIno(5), asIno(6)];
  const [name, other] = [byteName('f'), byteName('.fuse_hidden0000000200000001')];
  hidden.hide({ parent: dir, name }, { parent: dir, name: other }, ino);
  t.ok(hidden.isPending(dir, name));
  t.equal(hidden.inoAt(dir, other), ino);
  t.equal(hidden.inoAt(asIno(9), other), undefined);
  t.equal(hidden.hasIn(asIno(9)), false);
  const busy = hidden.hasIn(dir);
  if (typeof busy === 'boolean') throw new Error('its release may be on the way');
  const waits: string[] = [];
  const cancel = busy.wait(() => waits.push('cancelled'));
  cancel();
  await new Promise<void>((resolve) => busy.wait(resolve));
  t.equal(hidden.hasIn(dir), true, 'and never came');
  hidden.settled();
  t.notOk(hidden.isPending(dir, name));
  hidden.hide({ parent: dir, name }, { parent: dir, name: other }, ino);
  const young = hidden.hasIn(dir);
  if (typeof young === 'boolean') throw new Error('young again');
  const released = new Promise<void>((resolve) => young.wait(resolve));
  hidden.settled();
  hidden.forget(ino);
  await released;
  t.strictSame(waits, []);
  t.equal(hidden.size, 0);
});

void t.test('open files have numbers of 31 bits', (t) => {
  const files = new OpenFiles();
  const a = files.add(asIno(2), asFh(2 ** 40));
  const b = files.add(asIno(2), asFh(2 ** 40 + 1));
  t.strictSame([a.number, b.number], [1, 2]);
  t.equal(files.get(1).fh, 2 ** 40);
  t.notOk(files.remove(a), 'another handle is left');
  t.ok(files.isOpen(asIno(2)));
  t.ok(files.remove(b));
  t.throws(() => files.get(2), /EBADF/);
  t.end();
});
