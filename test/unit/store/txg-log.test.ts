/** Encoder and decoder: what goes in comes out, in order. */
import fc from 'fast-check';
import t from 'tap';
import { asIno, type ByteName } from '../../../src/base/ids.js';
import { decodeTxg, TxgEncoder } from '../../../src/store/txg-log.js';
import type { TxgOps } from '../../../src/store/types.js';
import { file } from './scratch.js';

type Call = [string, ...unknown[]];

/** A sink that records its calls; reused arguments are copied. */
function recorder(): { calls: Call[]; sink: TxgOps } {
  const calls: Call[] = [];
  const list = (a: ArrayLike<number>, n: number): number[] => Array.from(a).slice(0, n);
  const sink: TxgOps = {
    putInode: (r) => void calls.push(['putInode', { ...r }]),
    deleteInode: (...a) => void calls.push(['deleteInode', ...a]),
    putDirent: (...a) => void calls.push(['putDirent', ...a]),
    deleteDirent: (...a) => void calls.push(['deleteDirent', ...a]),
    setSymlink: (ino, v) => void calls.push(['setSymlink', ino, [...v]]),
    setXattr: (ino, n, v) => void calls.push(['setXattr', ino, n, [...v]]),
    removeXattr: (...a) => void calls.push(['removeXattr', ...a]),
    addOrphan: (...a) => void calls.push(['addOrphan', ...a]),
    removeOrphan: (...a) => void calls.push(['removeOrphan', ...a]),
    truncate: (...a) => void calls.push(['truncate', ...a]),
    dropChunks: (...a) => void calls.push(['dropChunks', ...a]),
    writePages: (ino, i, s, p, f, n) => void calls.push(['writePages', ino, i, s, list(p, n), list(f, n), n]),
    cloneChunk: (ino, index, chunk, pages) => void calls.push(['cloneChunk', ino, index, chunk, pages]),
    allocate: (ino, index, pages) => void calls.push(['allocate', ino, index, pages]),
    setCounters: (c) => void calls.push(['setCounters', { ...c }]),
  };
  return { calls, sink };
}

const int = fc.maxSafeNat();
const ino = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(asIno);
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const nsec = fc.integer({ min: 0, max: 999_999_999 });
const sec = fc.integer({ min: -(2 ** 40), max: 2 ** 40 });
const bytes = fc.uint8Array({ maxLength: 300 });
const name = fc
  .uint8Array({ minLength: 1, maxLength: 255 })
  .map((b) => Buffer.from(b).toString('latin1') as ByteName);
const inode = fc
  .record({
    ino,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    size: int,
    rdev: u32,
    allocPages: int,
    flags: u32,
    xattrCount: u32,
    parent: int,
    nextCookie: int,
    atimeSec: sec,
    atimeNsec: nsec,
    mtimeSec: sec,
    mtimeNsec: nsec,
    ctimeSec: sec,
    ctimeNsec: nsec,
    btimeSec: sec,
    btimeNsec: nsec,
  })
  .map((r) => r);
const frames = fc.array(fc.tuple(fc.nat(31), u32), { maxLength: 32 });
const call: fc.Arbitrary<Call> = fc.oneof(
  inode.map((r): Call => ['putInode', r]),
  ino.map((a): Call => ['deleteInode', a]),
  fc.tuple(ino, name, ino, fc.nat(15), int).map((a): Call => ['putDirent', ...a]),
  fc.tuple(ino, name).map((a): Call => ['deleteDirent', ...a]),
  fc.tuple(ino, bytes).map(([a, b]): Call => ['setSymlink', a, [...b]]),
  fc.tuple(ino, name, bytes).map(([a, n, b]): Call => ['setXattr', a, n, [...b]]),
  fc.tuple(ino, name).map((a): Call => ['removeXattr', ...a]),
  ino.map((a): Call => ['addOrphan', a]),
  ino.map((a): Call => ['removeOrphan', a]),
  fc.tuple(ino, int).map((a): Call => ['truncate', ...a]),
  fc.tuple(ino, int, fc.oneof(int, fc.constant(Infinity))).map((a): Call => ['dropChunks', ...a]),
  fc
    .tuple(ino, int, int, frames)
    .map(([a, i, s, f]): Call => ['writePages', a, i, s, f.map((x) => x[0]), f.map((x) => x[1]), f.length]),
  fc.tuple(ino, int, int, fc.nat(32)).map((a): Call => ['cloneChunk', ...a]),
  fc.tuple(ino, int, fc.nat(32)).map((a): Call => ['allocate', ...a]),
  fc.record({ nextIno: int, inodeCount: int, allocPages: int }).map((c): Call => ['setCounters', c]),
);

function play(ops: TxgOps, [op, ...args]: Call): void {
  const bound = args.map((a, i) =>
    Array.isArray(a) && (op === 'setSymlink' || (op === 'setXattr' && i === 2))
      ? Uint8Array.from(a as number[])
      : a,
  );
  (ops[op as keyof TxgOps] as (...a: unknown[]) => void).apply(ops, bound);
}

void t.test('decoding gives back the calls, in order', (t) => {
  const encoder = new TxgEncoder(1024);
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      for (const c of calls) play(encoder, c);
      if (encoder.records !== calls.length) throw new Error('counts records wrongly');
      const { log, logBytes } = encoder.take();
      const seen = recorder();
      decodeTxg(log, logBytes, seen.sink);
      // -0 is not a number any caller has; all else must be exact.
      if (JSON.stringify(seen.calls) !== JSON.stringify(calls)) throw new Error('decoded differently');
    }),
    { numRuns: 300 },
  );
  t.end();
});

void t.test('take starts an empty log, and the one taken can be transferred', (t) => {
  const encoder = new TxgEncoder();
  encoder.putInode(file(7));
  const first = encoder.take();
  t.equal(encoder.logBytes, 0);
  t.equal(encoder.records, 0);
  structuredClone(first.log, { transfer: [first.log] });
  encoder.deleteInode(asIno(9));
  const seen = recorder();
  const second = encoder.take();
  decodeTxg(second.log, second.logBytes, seen.sink);
  t.same(seen.calls, [['deleteInode', 9]]);
  t.end();
});

void t.test('grows past its first size, and decodes nothing from an empty log', (t) => {
  const encoder = new TxgEncoder(8);
  for (let i = 1; i <= 5000; i++)
    encoder.setXattr(asIno(i), 'user.a' as ByteName, new Uint8Array(50).fill(i));
  const { log, logBytes } = encoder.take();
  const seen = recorder();
  decodeTxg(log, logBytes, seen.sink);
  t.equal(seen.calls.length, 5000);
  t.same(seen.calls[4999], ['setXattr', 5000, 'user.a', new Array(50).fill(5000 & 255)]);
  const empty = encoder.take();
  decodeTxg(empty.log, empty.logBytes, { ...recorder().sink });
  t.equal(empty.logBytes, 0);
  t.end();
});

void t.test('refuses what no encoder wrote', (t) => {
  const { sink } = recorder();
  t.throws(() => decodeTxg(new ArrayBuffer(16), 16, sink), { name: 'InvariantError' });
  t.throws(() => decodeTxg(new ArrayBuffer(16), 12, sink), { name: 'InvariantError' });
  const encoder = new TxgEncoder();
  encoder.truncate(asIno(1), 5);
  const { log, logBytes } = encoder.take();
  t.throws(() => decodeTxg(log, logBytes - 8, sink), { name: 'InvariantError' });
  t.throws(() => encoder.writePages(asIno(1), 0, 0, [], [], 33), { name: 'InvariantError' });
  t.end();
});
