/** The codec: each structure has the published size, and survives encoding and decoding. */
import t from 'tap';
import { Prng } from '../../../../src/base/prng.js';
import { type Fields, type Layout, layout } from '../../../../src/fuse/kernel/layout.js';
import { bodyBytesMin, Opcode } from '../../../../src/fuse/kernel/protocol.js';
import * as structs from '../../../../src/fuse/kernel/structs.js';

/** sizeof of each structure, from a C compiler's view of the kernel's header. */
const sizes: Record<string, number> = {
  inHeader: 40,
  outHeader: 16,
  attr: 88,
  entryOut: 128,
  attrOut: 104,
  statxIn: 24,
  statxOut: 288,
  forgetIn: 8,
  forgetOne: 16,
  batchForgetIn: 8,
  getattrIn: 16,
  setattrIn: 88,
  mknodIn: 16,
  mkdirIn: 8,
  renameIn: 8,
  rename2In: 16,
  linkIn: 8,
  openIn: 8,
  createIn: 16,
  openOut: 16,
  releaseIn: 24,
  flushIn: 24,
  readIn: 40,
  writeIn: 40,
  writeOut: 8,
  statfsOut: 80,
  fsyncIn: 16,
  setxattrIn: 16,
  getxattrIn: 8,
  getxattrOut: 8,
  lkIn: 48,
  lkOut: 24,
  accessIn: 8,
  initIn: 16,
  initInExt: 20,
  initOut: 64,
  interruptIn: 8,
  bmapIn: 16,
  bmapOut: 8,
  ioctlIn: 32,
  ioctlOut: 16,
  pollIn: 24,
  pollOut: 8,
  fallocateIn: 32,
  dirent: 24,
  lseekIn: 24,
  lseekOut: 8,
  copyFileRangeIn: 56,
  copyFileRangeOut: 8,
  syncfsIn: 8,
  notifyInvalInodeOut: 24,
  notifyInvalEntryOut: 16,
  notifyDeleteOut: 24,
  notifyStoreOut: 24,
  notifyRetrieveOut: 32,
  notifyRetrieveIn: 40,
  notifyPollWakeupOut: 8,
  notifyPruneOut: 16,
};

const bounds = {
  u16: [0, 0xffff],
  u32: [0, 0xffffffff],
  i32: [-0x80000000, 0x7fffffff],
  u64: [0, Number.MAX_SAFE_INTEGER],
  i64: [-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
} as const;

const layouts = (Object.entries(structs) as [string, Layout<Fields> | number][]).filter(
  (entry): entry is [string, Layout<Fields>] => typeof entry[1] === 'object',
);

await t.test('sizes are the published ones', (t) => {
  for (const [name, { size }] of layouts) t.equal(size, sizes[name], name);
  t.same(layouts.map(([name]) => name).sort(), Object.keys(sizes).sort(), 'each structure is checked');
  t.end();
});

await t.test('encode, then decode', (t) => {
  const prng = new Prng(0x5eed);
  for (const [name, struct] of layouts) {
    for (let round = 0; round < 20; round++) {
      const values: Record<string, number> = {};
      for (const [field, type] of Object.entries(struct.fields)) {
        const [low, high] = bounds[type];
        values[field] = round === 0 ? low : round === 1 ? high : low + Math.floor(prng.next() * (high - low));
      }
      const bytes = prng.fill(new Uint8Array(struct.size + 16));
      const around = [...bytes.slice(0, 8), ...bytes.slice(struct.size + 8)];
      struct.encode(bytes, 8, values);
      t.same(struct.decode(bytes, 8), values, `${name} round ${round} seed ${prng.seed}`);
      t.same([...bytes.slice(0, 8), ...bytes.slice(struct.size + 8)], around, 'nothing around it is touched');
    }
  }
  t.end();
});

await t.test('offsets', (t) => {
  t.equal(structs.entryOut.at.ino, 40);
  t.equal(structs.entryOut.word.mode, (40 + 60) / 4);
  t.equal(structs.statxOut.at.ino, 32 + 32);
  t.equal(structs.initOut.at.flags2, 32);
  t.equal(structs.initOut.at.requestTimeout, 40);
  t.throws(() => layout({ a: 'u32', b: 'u64' }), RangeError);
  t.equal(bodyBytesMin[Opcode.LOOKUP], 1);
  t.equal(bodyBytesMin[Opcode.SETXATTR], 9);
  t.equal(bodyBytesMin[Opcode.WRITE], 40);
  t.end();
});
