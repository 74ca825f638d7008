/**
 * The operations of the file exerciser, drawn from a seed. An operation means the same whatever came before (offsets
 * are clipped when it is performed), so that a log replays, and shrinks by leaving operations out.
 *
 * INVARIANT: no operation reaches past the largest size of a file.
 */
import type { Prng } from '../../src/base/prng.js';

/** The ways to move bytes: read(2) and write(2), the same with O_DIRECT, a shared mapping. */
export const HOWS = ['buffered', 'direct', 'mapped'] as const;
export type How = (typeof HOWS)[number];

/** `p`: the process that performs it. */
interface Performed {
  p: number;
}
type OnFile =
  | { op: 'read'; how: How; at: number; length: number }
  | { op: 'write'; how: How; at: number; length: number; seed: number }
  | { op: 'append'; length: number; seed: number }
  | { op: 'truncate'; size: number; byPath: boolean }
  | { op: 'punch' | 'zero' | 'zero-keep' | 'allocate' | 'allocate-keep'; at: number; length: number }
  | { op: 'copy'; at: number; length: number; to: number; g: number }
  | { op: 'seek-data' | 'seek-hole'; at: number }
  | { op: 'stat' | 'reopen' | 'fsync' | 'fdatasync' | 'msync' | 'invalidate' | 'replace' | 'whole' };
export type FileOp = Performed &
  (({ f: number } & OnFile) | { op: 'crowd'; first: number } | { op: 'drop-caches' });

/** The sizes that operations are drawn for. */
export interface FileOpSizes {
  processes: number;
  files: number;
  /** Of one file, in bytes. */
  bytesMax: number;
  hows: readonly How[];
  /** Emptying the machine's caches needs root, and slows everybody. */
  dropCaches: boolean;
}

/** Small files beside those under test: reading them recycles vnodes and pages. */
export const CROWD_FILES = 160;
export const CROWD_READ = 24;
/** Of one read or write. */
export const LENGTH_MAX = 128 << 10;
const LENGTH_BITS = 17;
const SEEDS = 1 << 16;
/** A process keeps its turn for 1 / TURN operations to come, on average. */
const TURN = 12;
const CHUNK_BYTES = 64 << 10;
const PAGE_BYTES = 4096;

/** Mostly small, up to {@link LENGTH_MAX}; a power of two in one of four. */
const lengthOf = (prng: Prng, room: number): number => {
  const bits = prng.int(LENGTH_BITS + 1);
  const length = prng.int(4) === 0 ? 1 << bits : 1 + prng.int(1 << bits);
  return Math.min(length, room);
};
/** Anywhere, or at (or a few bytes beside) a multiple of the page or of the chunk. */
const offsetOf = (prng: Prng, bytesMax: number): number => {
  const kind = prng.int(4);
  if (kind < 2) return prng.int(bytesMax);
  const unit = kind === 2 ? PAGE_BYTES : CHUNK_BYTES;
  const at = prng.int(Math.ceil(bytesMax / unit)) * unit;
  const beside = prng.int(2) === 0 ? 0 : prng.int(17) - 8;
  return Math.max(0, Math.min(bytesMax - 1, at + beside));
};
const rangeOf = (prng: Prng, bytesMax: number): { at: number; length: number } => {
  const at = offsetOf(prng, bytesMax);
  return { at, length: lengthOf(prng, bytesMax - at) };
};

type Maker = (prng: Prng, sizes: FileOpSizes) => OnFile;
const ranged =
  (op: 'punch' | 'zero' | 'zero-keep' | 'allocate' | 'allocate-keep'): Maker =>
  (p, s) => ({ op, ...rangeOf(p, s.bytesMax) });
const plain =
  (op: 'stat' | 'reopen' | 'fsync' | 'fdatasync' | 'msync' | 'invalidate' | 'replace' | 'whole'): Maker =>
  () => ({ op });
const seek =
  (op: 'seek-data' | 'seek-hole'): Maker =>
  (p, s) => ({ op, at: offsetOf(p, s.bytesMax) });

/** Weights in thousandths. */
const MAKERS: readonly [number, Maker][] = [
  [270, (p, s) => ({ op: 'read', how: p.pick(s.hows), ...rangeOf(p, s.bytesMax) })],
  [300, (p, s) => ({ op: 'write', how: p.pick(s.hows), ...rangeOf(p, s.bytesMax), seed: p.int(SEEDS) })],
  [20, (p) => ({ op: 'append', length: lengthOf(p, LENGTH_MAX), seed: p.int(SEEDS) })],
  [70, (p, s) => ({ op: 'truncate', size: offsetOf(p, s.bytesMax), byPath: p.int(4) === 0 })],
  [45, ranged('punch')],
  [25, ranged('zero')],
  [15, ranged('zero-keep')],
  [20, ranged('allocate')],
  [15, ranged('allocate-keep')],
  [
    50,
    (p, s) => {
      const to = offsetOf(p, s.bytesMax);
      const { at, length } = rangeOf(p, s.bytesMax);
      return { op: 'copy', at, length: Math.min(length, s.bytesMax - to), to, g: p.int(s.files) };
    },
  ],
  [25, seek('seek-data')],
  [25, seek('seek-hole')],
  [45, plain('stat')],
  [20, plain('reopen')],
  [4, plain('fsync')],
  [4, plain('fdatasync')],
  [10, plain('msync')],
  [25, plain('invalidate')],
  [3, plain('replace')],
  [2, plain('whole')],
];
const CROWD_WEIGHT = 3;
const WEIGHTS = MAKERS.reduce((sum, [weight]) => sum + weight, CROWD_WEIGHT);
/** One in so many operations empties the machine's caches, if asked to. */
const DROP_CACHES_ONE_IN = 2000;

const onFile = (prng: Prng, sizes: FileOpSizes, draw: number): OnFile => {
  let at = draw;
  for (const [weight, make] of MAKERS) if ((at -= weight) < 0) return make(prng, sizes);
  throw new Error('the weights do not add up');
};

/** An endless sequence; the same for the same generator state and sizes. */
export function* fileOps(prng: Prng, sizes: FileOpSizes): Generator<FileOp, never> {
  let p = 0;
  for (;;) {
    if (prng.int(TURN) === 0) p = prng.int(sizes.processes);
    if (sizes.dropCaches && prng.int(DROP_CACHES_ONE_IN) === 0) {
      yield { p, op: 'drop-caches' };
      continue;
    }
    const draw = prng.int(WEIGHTS) - CROWD_WEIGHT;
    if (draw < 0) yield { p, op: 'crowd', first: prng.int(CROWD_FILES) };
    else yield { p, f: prng.int(sizes.files), ...onFile(prng, sizes, draw) };
  }
}
