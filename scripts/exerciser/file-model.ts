/**
 * What the files must hold, in memory. Every process of a team keeps the whole model and applies every operation to it,
 * its own and the others', so that nothing but the turn passes between them.
 *
 * INVARIANT: bytes of `data` at and past `size` are zeros.
 */
import { Prng } from '../../src/base/prng.js';
import type { FileOp } from './file-ops.js';
import { LENGTH_MAX } from './file-ops.js';

const NOISE_BYTES = LENGTH_MAX + (1 << 16);
/** No byte is zero: what was written differs from a hole. */
const makeNoise = (): Buffer => {
  const noise = Buffer.alloc(NOISE_BYTES);
  const prng = new Prng(20260101);
  for (let i = 0; i < noise.length; i++) noise[i] = 1 + prng.int(255);
  return noise;
};

export interface ModelFile {
  data: Buffer;
  size: number;
  /** Counts how often the name was given to a new file: descriptors of an older one are of no use. */
  generation: number;
}

export class FileModel {
  readonly files: ModelFile[];
  readonly bytesMax: number;
  /** Of direct offsets and lengths, in bytes. */
  readonly alignment: number;
  readonly #noise = makeNoise();

  constructor(files: number, bytesMax: number, alignment: number) {
    this.bytesMax = bytesMax;
    this.alignment = alignment;
    this.files = Array.from({ length: files }, () => ({
      data: Buffer.alloc(bytesMax),
      size: 0,
      generation: 0,
    }));
  }

  /** What a write with this seed writes: a view, not to be changed. */
  noise(seed: number, length: number): Buffer {
    return this.#noise.subarray(seed, seed + length);
  }

  /** The range that a read or write really touches: whole blocks if direct, within the file if mapped. */
  range(op: Extract<FileOp, { op: 'read' | 'write' }>): { at: number; length: number } {
    const { at, length, how } = op;
    if (how === 'direct') {
      const from = at - (at % this.alignment);
      const blocks = Math.max(1, Math.ceil((at + length - from) / this.alignment));
      return { at: from, length: Math.min(blocks * this.alignment, this.bytesMax - from) };
    }
    if (how === 'mapped') return { at, length: Math.max(0, Math.min(length, this.files[op.f].size - at)) };
    return { at, length };
  }

  appendLength(f: number, length: number): number {
    return Math.min(length, this.bytesMax - this.files[f].size);
  }

  /** copy_file_range(2) refuses ranges of one file that overlap, after clipping at its size. */
  copyLength(op: Extract<FileOp, { op: 'copy' }>): number | 'EINVAL' {
    const length = Math.max(0, Math.min(op.length, this.files[op.f].size - op.at));
    const overlaps = op.f === op.g && op.to + length > op.at && op.to < op.at + length;
    return overlaps ? 'EINVAL' : length;
  }

  /** Does to the model what the operation does to the files. */
  apply(op: FileOp): void {
    if (!('f' in op)) return;
    const file = this.files[op.f];
    switch (op.op) {
      case 'write': {
        const { at, length } = this.range(op);
        return this.#write(file, at, this.noise(op.seed, length));
      }
      case 'append':
        return this.#write(file, file.size, this.noise(op.seed, this.appendLength(op.f, op.length)));
      case 'truncate':
        return this.#resize(file, op.size);
      case 'punch':
      case 'zero-keep':
        return void file.data.fill(0, op.at, Math.min(op.at + op.length, file.size));
      case 'zero':
        file.data.fill(0, op.at, op.at + op.length);
        file.size = Math.max(file.size, op.at + op.length);
        return;
      case 'allocate':
        file.size = Math.max(file.size, op.at + op.length);
        return;
      case 'copy': {
        const length = this.copyLength(op);
        if (length === 'EINVAL') return;
        return this.#write(this.files[op.g], op.to, file.data.subarray(op.at, op.at + length));
      }
      case 'replace':
        this.#resize(file, 0);
        file.generation++;
        return;
    }
  }

  #write(file: ModelFile, at: number, bytes: Buffer): void {
    if (bytes.length === 0) return;
    bytes.copy(file.data, at);
    file.size = Math.max(file.size, at + bytes.length);
  }
  #resize(file: ModelFile, size: number): void {
    if (size < file.size) file.data.fill(0, size, file.size);
    file.size = size;
  }
}
