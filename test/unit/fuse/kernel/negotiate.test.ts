/** INIT: what we take from kernels of different ages. */
import t from 'tap';
import {
  initFlags,
  negotiate,
  type Negotiated,
  type NegotiationWishes,
} from '../../../../src/fuse/kernel/negotiate.js';
import { opcodeCount } from '../../../../src/fuse/kernel/protocol.js';
import { initInExt } from '../../../../src/fuse/kernel/structs.js';

const wishes: NegotiationWishes = {
  minorMax: 45,
  writebackCache: true,
  readdirPlus: 'auto',
  maxWriteBytes: 1 << 20,
  maxReadaheadBytes: 1 << 20,
  maxBackground: 64,
  congestionThreshold: 48,
};
const ALL = 0xffffffff;
const INIT_EXT = 1 << 30;

const offer = (minor: number, flags: number, flags2: number | undefined, major = 7): Uint8Array => {
  const bytes = new Uint8Array(flags2 === undefined ? 16 : 64);
  const values = { major, minor, maxReadahead: 131072, flags: flags >>> 0, flags2: flags2 ?? 0 };
  const whole = new Uint8Array(64);
  initInExt.encode(whole, 0, values);
  bytes.set(whole.subarray(0, bytes.length));
  return bytes;
};

const accepted = (body: Uint8Array, with_: NegotiationWishes = wishes): Negotiated => {
  const decision = negotiate(body, with_);
  if (decision.kind !== 'negotiated') throw new Error(`not negotiated: ${decision.kind}`);
  return decision.result;
};

await t.test('the table names each bit once, with a reason', (t) => {
  t.same(
    initFlags.map(({ bit }) => bit),
    Array.from({ length: 43 }, (_, bit) => bit),
  );
  t.equal(new Set(initFlags.map(({ name }) => name)).size, 43);
  t.ok(initFlags.every(({ why }) => why.length > 5));
  t.end();
});

await t.test('a version to stop at: later flags and opcodes are not there', (t) => {
  const result = accepted(offer(45, ALL, ALL), { ...wishes, minorMax: 31 });
  t.equal(result.minor, 31);
  t.equal(result.reply.minor, 31);
  t.equal(result.flags2, 0);
  t.ok(result.features.includes('EXPLICIT_INVAL_DATA'));
  for (const name of ['HANDLE_KILLPRIV_V2', 'SETXATTR_EXT', 'INIT_EXT', 'ATOMIC_O_TRUNC'])
    t.notOk(result.features.includes(name), name);
  t.ok(accepted(offer(45, ALL, ALL), { ...wishes, minorMax: 36 }).features.includes('INIT_EXT'));
  t.same([45, 44, 39, 38, 37, 36, 34, 33, 31].map(opcodeCount), [54, 53, 53, 52, 52, 51, 51, 50, 50]);
  t.end();
});

await t.test('a 7.45 kernel that offers everything', (t) => {
  const result = accepted(offer(45, ALL, ALL));
  t.equal(result.minor, 45);
  for (const name of [
    'WRITEBACK_CACHE',
    'MAX_PAGES',
    'DO_READDIRPLUS',
    'READDIRPLUS_AUTO',
    'PARALLEL_DIROPS',
  ])
    t.ok(result.features.includes(name), name);
  for (const name of ['POSIX_LOCKS', 'FLOCK_LOCKS', 'NO_OPEN_SUPPORT', 'AUTO_INVAL_DATA', 'INIT_RESERVED'])
    t.notOk(result.features.includes(name), name);
  t.equal(result.maxPages, 256);
  t.equal(result.reply.maxWrite, 1 << 20);
  t.ok(result.setxattrExt);
  t.equal(result.flags2, (1 << 3) | (1 << 4), 'HAS_EXPIRE_ONLY and DIRECT_IO_ALLOW_MMAP');
  t.end();
});

await t.test('a 7.31 kernel: no flags2, whatever follows', (t) => {
  const result = accepted(offer(31, ALL & ~INIT_EXT & ~(3 << 28), undefined));
  t.equal(result.minor, 31);
  t.equal(result.flags2, 0);
  t.notOk(result.setxattrExt);
  t.notOk(result.features.includes('HANDLE_KILLPRIV_V2'));
  t.equal(accepted(offer(31, ALL & ~INIT_EXT, ALL)).flags2, 0, 'flags2 without INIT_EXT means nothing');
  t.end();
});

await t.test('a 7.36 kernel', (t) => {
  const result = accepted(offer(36, ALL, 0));
  t.equal(result.minor, 36);
  t.ok(result.features.includes('INIT_EXT'));
  t.equal(result.flags2, 0);
  t.end();
});

await t.test('nothing is answered that was not offered', (t) => {
  const result = accepted(offer(45, 0, 0));
  t.equal(result.flags, 0);
  t.equal(result.maxPages, 32, 'without MAX_PAGES');
  t.equal(result.reply.maxPages, 0);
  t.end();
});

await t.test('wishes', (t) => {
  const plain = accepted(offer(45, ALL, ALL), {
    ...wishes,
    writebackCache: false,
    readdirPlus: 'never',
    maxWriteBytes: 65536,
  });
  t.notOk(plain.writebackCache);
  t.notOk(plain.features.some((name) => name.includes('READDIRPLUS')));
  t.equal(plain.reply.maxWrite, 65536);
  t.equal(plain.reply.maxPages, 16);
  const always = accepted(offer(45, ALL, ALL), { ...wishes, readdirPlus: 'always' });
  t.ok(always.features.includes('DO_READDIRPLUS'));
  t.notOk(always.features.includes('READDIRPLUS_AUTO'));
  t.equal(accepted(offer(99, ALL, ALL)).minor, 45, 'a newer kernel');
  t.end();
});

await t.test('refusals', (t) => {
  t.match(negotiate(offer(30, ALL, undefined), wishes), { kind: 'refused', errno: 71 });
  t.match(negotiate(offer(31, ALL, undefined, 6), wishes), { kind: 'refused', errno: 71 });
  t.match(negotiate(offer(0, ALL, undefined, 8), wishes), { kind: 'other-major' });
  t.end();
});
