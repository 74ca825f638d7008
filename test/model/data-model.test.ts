/**
 * File data of the core against buffers in memory: writes, truncates, holes, zeroed ranges, preallocation, copies that
 * share chunks, at random; groups are sealed, committed, and heard of late in between (the churn of InProcessCore),
 * caches are tiny. Each seed is printed; VNODEFS_SEED=n runs that one.
 */
import t from 'tap';
import { Prng } from '../../src/base/prng.js';
import { CoreClient } from '../harness/core-client.js';
import { fullSize, VNODEFS_CAPABILITIES } from '../harness/mount.js';
import { FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE, O } from '../harness/posix-client.js';
import { createTestCore, type InProcessCore } from '../harness/test-core.js';

const FILES = 3;
const OPERATIONS = fullSize ? 20_000 : 600;
const given = process.env['VNODEFS_SEED'];
const seeds = given !== undefined ? [Number(given)] : [1, 2, Date.now() % 1_000_000];

class DataModel {
  readonly prng: Prng;
  readonly core: InProcessCore;
  readonly client: CoreClient;
  readonly chunkBytes: number;
  readonly sizeMax: number;
  readonly fds: number[] = [];
  readonly bytes: Buffer[] = [];
  shared = 0;

  constructor(seed: number, chunkBytes: number, chunks: number) {
    this.prng = new Prng(seed);
    this.chunkBytes = chunkBytes;
    this.sizeMax = chunkBytes * chunks;
    const pages = Math.ceil(this.sizeMax / 4096);
    this.core = createTestCore({ pages: Math.max(192, pages), churn: seed, mkfs: { chunkBytes } });
    this.client = new CoreClient(this.core, VNODEFS_CAPABILITIES);
    for (let i = 0; i < FILES; i++) {
      this.fds.push(this.client.open(`${this.client.root}/f${i}`, O.RDWR | O.CREAT));
      this.bytes.push(Buffer.alloc(0));
    }
  }

  /** A place in a file: on a chunk's edge half of the time. */
  #place(limit: number): number {
    const { prng, chunkBytes } = this;
    const at =
      prng.int(2) === 0 ? prng.int(limit) : prng.int(Math.floor(limit / chunkBytes) + 1) * chunkBytes;
    return Math.min(limit, prng.int(4) === 0 ? at + prng.int(3) : at);
  }
  #length(from: number): number {
    return Math.max(1, this.#place(this.sizeMax - from));
  }
  #grow(i: number, size: number): void {
    if (size > this.bytes[i].length)
      this.bytes[i] = Buffer.concat([this.bytes[i], Buffer.alloc(size - this.bytes[i].length)]);
  }

  /** One operation on both; says what it was. */
  step(): string {
    const i = this.prng.int(FILES);
    const offset = this.#place(this.sizeMax - 1);
    switch (this.prng.int(10)) {
      case 0:
        return this.#truncate(i, this.prng.int(3) === 0 ? 0 : offset);
      case 1:
        return this.#allocate(i, offset, this.#length(offset));
      case 2:
      case 3:
        return this.#clear(i, offset, this.#length(offset));
      case 4:
      case 5:
      case 6:
        return this.#copy(i, offset);
      default:
        return this.#write(i, offset, Math.min(this.#length(offset), 3 * this.chunkBytes));
    }
  }

  #truncate(i: number, size: number): string {
    this.client.ftruncate(this.fds[i], size);
    if (size <= this.bytes[i].length) this.bytes[i] = Buffer.from(this.bytes[i].subarray(0, size));
    else this.#grow(i, size);
    return `truncate ${i} to ${size}`;
  }
  #allocate(i: number, offset: number, length: number): string {
    const mode = this.prng.pick([0, FALLOC_KEEP_SIZE]);
    this.client.fallocate(this.fds[i], mode, offset, length);
    if (mode === 0) this.#grow(i, offset + length);
    return `fallocate ${i} mode ${mode} ${offset}+${length}`;
  }
  #clear(i: number, offset: number, length: number): string {
    const zero = this.prng.int(2) === 0;
    const mode = zero ? FALLOC_ZERO_RANGE : FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE;
    this.client.fallocate(this.fds[i], mode, offset, length);
    if (zero) this.#grow(i, offset + length);
    this.bytes[i].subarray(offset, offset + length).fill(0);
    return `${zero ? 'zero' : 'punch'} ${i} ${offset}+${length}`;
  }
  #write(i: number, offset: number, length: number): string {
    const data = this.prng.fill(Buffer.alloc(Math.min(length, 64)));
    const whole = Buffer.alloc(length, data);
    for (let done = 0; done < length;)
      done += this.client.write(this.fds[i], whole.subarray(done), offset + done);
    this.#grow(i, offset + length);
    whole.copy(this.bytes[i], offset);
    return `write ${i} ${offset}+${length}`;
  }
  #copy(to: number, offset: number): string {
    const from = this.prng.int(FILES);
    const source = this.bytes[from];
    let srcOffset = this.#place(source.length);
    // Mostly alike within the chunk, or nothing could be shared.
    if (this.prng.int(4) > 0) srcOffset += (offset % this.chunkBytes) - (srcOffset % this.chunkBytes);
    if (srcOffset < 0 || srcOffset >= source.length) return 'copy nothing';
    const length = Math.min(this.#length(offset), source.length - srcOffset);
    if (from === to && srcOffset < offset + length && offset < srcOffset + length) return 'copy onto itself';
    const data = Buffer.from(source.subarray(srcOffset, srcOffset + length));
    for (let done = 0; done < length;) {
      const n = this.client.copyFileRange(
        this.fds[from],
        srcOffset + done,
        this.fds[to],
        offset + done,
        length - done,
      );
      if (n <= 0 || n > length - done) throw new Error(`copy_file_range returned ${n}`);
      done += n;
    }
    this.#grow(to, offset + length);
    data.copy(this.bytes[to], offset);
    return `copy ${from} ${srcOffset} to ${to} ${offset}+${length}`;
  }

  /** What differs between the file and the buffer, or undefined. Reads a part, or all. */
  difference(i: number, whole: boolean): string | undefined {
    const wanted = this.bytes[i];
    const { size } = this.client.fstat(this.fds[i]);
    if (size !== wanted.length) return `file ${i}: size ${size}, not ${wanted.length}`;
    const from = whole ? 0 : this.prng.int(wanted.length + 1);
    const to = whole ? wanted.length : Math.min(wanted.length, from + this.prng.int(2 * this.chunkBytes));
    for (let at = from; at < to;) {
      const part = this.client.read(this.fds[i], to - at, at);
      if (part.length === 0) return `file ${i}: nothing at ${at} of ${size}`;
      for (let k = 0; k < part.length; k++) {
        if (part[k] !== wanted[at + k])
          return `file ${i}: byte ${at + k} is ${part[k]}, not ${wanted[at + k]}`;
      }
      at += part.length;
    }
    return undefined;
  }

  sharedChunks(): number {
    this.core.sync();
    let rows = 0;
    const ids = new Set<number>();
    for (const fd of this.fds) {
      const { ino } = this.client.fstat(fd);
      for (const row of this.core.core.fs.state.reader.chunkRows(ino as never, 0, Infinity)) {
        rows++;
        ids.add(row.chunk);
      }
    }
    return rows - ids.size;
  }

  close(): void {
    this.client.closeAll();
    this.core.close();
  }
}

for (const [chunkBytes, chunks] of [
  [8192, 20],
  [65_536, 40],
] as const) {
  for (const seed of seeds) {
    await t.test(`chunks of ${chunkBytes} bytes, seed ${seed}`, (ct) => {
      const model = new DataModel(seed, chunkBytes, chunks);
      const operations = chunks * chunkBytes > 1 << 20 ? Math.ceil(OPERATIONS / 2) : OPERATIONS;
      const log: string[] = [];
      let wrong: string | undefined;
      for (let n = 0; n < operations && wrong === undefined; n++) {
        log.push(`${n}: ${model.step()}`);
        wrong = model.difference(model.prng.int(FILES), n % 50 === 0);
        if (n % 10 === 0) model.shared = Math.max(model.shared, model.sharedChunks());
      }
      for (let i = 0; i < FILES; i++) wrong ??= model.difference(i, true);
      ct.equal(wrong, undefined, wrong === undefined ? 'no difference' : log.slice(-12).join('\n'));
      ct.ok(model.shared > 0, `at most ${model.shared} chunks were shared at a time`);
      model.close();
      ct.end();
    });
  }
}
