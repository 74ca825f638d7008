/** Ways in which a store's file is damaged. */
import { readFileSync, writeFileSync, existsSync } from 'node:fs';
import type { Prng } from '../../src/base/prng.js';

const pageBytesOf = (file: Buffer): number => {
  const size = file.length > 18 ? file.readUInt16BE(16) : 0;
  return size === 1 ? 65536 : size >= 512 ? size : 4096;
};

type Kind = (bytes: Buffer, random: Prng) => Buffer;

const flip = (bytes: Buffer, at: number, bit: number): void => {
  if (at < bytes.length) bytes[at] ^= 1 << bit;
};

const onPages = (bytes: Buffer, random: Prng, work: (a: Buffer, b: Buffer) => void): Buffer => {
  const size = pageBytesOf(bytes);
  const pages = Math.floor(bytes.length / size);
  if (pages < 2) return bytes;
  const page = (): Buffer => {
    const n = random.int(pages);
    return bytes.subarray(n * size, (n + 1) * size);
  };
  work(page(), page());
  return bytes;
};

const KINDS: Record<string, Kind> = {
  'one bit': (bytes, random) => {
    flip(bytes, random.int(bytes.length), random.int(8));
    return bytes;
  },
  'some bits': (bytes, random) => {
    for (let i = 2 + random.int(30); i > 0; i--) flip(bytes, random.int(bytes.length), random.int(8));
    return bytes;
  },
  'bits near the start of pages': (bytes, random) => {
    const size = pageBytesOf(bytes);
    for (let i = 1 + random.int(4); i > 0; i--) {
      const page = random.int(Math.ceil(bytes.length / size));
      flip(bytes, page * size + random.int(40), random.int(8));
    }
    return bytes;
  },
  'bits of the header': (bytes, random) => {
    flip(bytes, random.int(100), random.int(8));
    return bytes;
  },
  truncated: (bytes, random) => bytes.subarray(0, random.int(bytes.length)),
  'truncated by pages': (bytes, random) => {
    const size = pageBytesOf(bytes);
    return bytes.subarray(0, Math.max(1, Math.floor(bytes.length / size) - 1 - random.int(10)) * size);
  },
  'swapped pages': (bytes, random) =>
    onPages(bytes, random, (a, b) => {
      const kept = Buffer.from(a);
      b.copy(a);
      kept.copy(b);
    }),
  'a page twice': (bytes, random) => onPages(bytes, random, (a, b) => void a.copy(b)),
  'a page of zeros': (bytes, random) => onPages(bytes, random, (a) => void a.fill(0)),
  'a page of noise': (bytes, random) => onPages(bytes, random, (a) => void random.fill(a)),
  'a sector of noise': (bytes, random) => {
    const at = random.int(Math.max(1, Math.floor(bytes.length / 512))) * 512;
    random.fill(bytes.subarray(at, at + 512));
    return bytes;
  },
};

/** Damages the store, or its log if it has one, and returns what was done. */
export const damage = (path: string, random: Prng): string => {
  const suffix = existsSync(`${path}-wal`) && random.int(2) === 0 ? '-wal' : '';
  const kind = random.pick(Object.keys(KINDS));
  const bytes = readFileSync(path + suffix);
  writeFileSync(path + suffix, KINDS[kind](bytes, random));
  return suffix === '' ? kind : `log: ${kind}`;
};
