/**
 * The medium as a trace leaves it: what is durable at each moment, what is still on its way, and what a crash could
 * make of that.
 *
 * A write or truncation is durable once its file was synced, a name once the directory was. Of everything else a power
 * cut keeps any part: each operation whole, torn at sectors, or not at all, in any order. After a failed sync what was
 * on its way never arrives (fsync(2): the kernel marks such pages clean), though whoever reads before the crash still
 * sees it.
 */
import { createHash } from 'node:crypto';
import type { Prng } from '../../src/base/prng.js';
import { SECTOR_BYTES } from './disk-faults.js';
import type { DiskOp, DiskRecord } from './disk-trace.js';
import { committedBytes } from './wal-prefix.js';

type Pending = Extract<DiskRecord, { op: 'write' | 'truncate' }>;
type NameOp = Extract<DiskOp, { op: 'create' | 'link' | 'rename' | 'unlink' }>;

/** Bytes that grow; `size` of them count. */
class Bytes {
  buffer: Buffer = Buffer.alloc(0);
  size = 0;

  apply(op: Pending): void {
    if (op.op === 'truncate') this.#resize(op.size);
    else this.put(op.offset, op.data ?? Buffer.alloc(0));
  }
  #resize(size: number): void {
    if (size < this.size) this.buffer.fill(0, size, Math.min(this.size, this.buffer.length));
    this.#reserve(size);
    this.size = size;
  }
  #reserve(bytes: number): void {
    if (bytes <= this.buffer.length) return;
    const grown = Buffer.alloc(Math.max(bytes, this.buffer.length * 2, 65536));
    this.buffer.copy(grown, 0, 0, this.size);
    this.buffer = grown;
  }
  put(offset: number, data: Uint8Array): void {
    this.#reserve(offset + data.length);
    this.buffer.set(data, offset);
    this.size = Math.max(this.size, offset + data.length);
  }
  copy(): Bytes {
    const twin = new Bytes();
    twin.buffer = Buffer.from(this.buffer.subarray(0, this.size));
    twin.size = this.size;
    return twin;
  }
  get content(): Buffer {
    return this.buffer.subarray(0, this.size);
  }
}

interface File {
  live: Bytes;
  durable: Bytes;
  pending: Pending[];
}

/** Files by name. */
export type DiskImage = Map<string, Buffer>;

/** Some sectors of a write, or all of it, or none; a truncation wholly or not. */
const tornApply = (bytes: Bytes, op: Pending, random: Prng): void => {
  if (op.op === 'truncate' || random.int(3) > 0) {
    bytes.apply(op);
    return;
  }
  const data = op.data ?? Buffer.alloc(0);
  const end = op.offset + data.length;
  // Torn at one place, or each sector by itself.
  const single = random.int(2) === 0;
  const first = Math.floor(op.offset / SECTOR_BYTES);
  const cut = first + random.int(Math.ceil(end / SECTOR_BYTES) - first + 1);
  for (let sector = first; sector * SECTOR_BYTES < end; sector++) {
    if (single ? sector >= cut : random.int(2) === 0) continue;
    const from = Math.max(op.offset, sector * SECTOR_BYTES);
    const to = Math.min(end, (sector + 1) * SECTOR_BYTES);
    bytes.put(from, data.subarray(from - op.offset, to - op.offset));
  }
};

const shuffle = <T>(items: T[], random: Prng): void => {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [items[i], items[j]] = [items[j], items[i]];
  }
};

const applyName = (names: Map<string, number>, op: NameOp): void => {
  if (op.op === 'create' || op.op === 'link') names.set(op.name, op.file);
  else if (op.op === 'unlink') names.delete(op.name);
  else {
    const file = names.get(op.from);
    names.delete(op.from);
    if (file !== undefined) names.set(op.name, file);
  }
};

export class CrashDisk {
  readonly #files = new Map<number, File>();
  readonly #liveNames = new Map<string, number>();
  readonly #durableNames = new Map<string, number>();
  #pendingNames: NameOp[] = [];

  #file(id: number): File {
    let file = this.#files.get(id);
    if (file === undefined) {
      file = { live: new Bytes(), durable: new Bytes(), pending: [] };
      this.#files.set(id, file);
    }
    return file;
  }

  apply(record: DiskRecord): void {
    switch (record.op) {
      case 'write':
      case 'truncate': {
        const file = this.#file(record.file);
        file.live.apply(record);
        file.pending.push(record);
        return;
      }
      case 'fsync': {
        const file = this.#file(record.file);
        for (const op of file.pending) file.durable.apply(op);
        file.pending = [];
        return;
      }
      case 'fsync-failed':
        this.#file(record.file).pending = [];
        return;
      case 'fsyncdir':
        for (const op of this.#pendingNames) applyName(this.#durableNames, op);
        this.#pendingNames = [];
        return;
      case 'mark':
        return;
      default:
        applyName(this.#liveNames, record);
        this.#pendingNames.push(record);
    }
  }

  /** Operations that a power cut now could lose. */
  get pendingOps(): number {
    let sum = this.#pendingNames.length;
    for (const { pending } of this.#files.values()) sum += pending.length;
    return sum;
  }

  /** What is left when only the program dies: everything it did. */
  killed(): DiskImage {
    const image: DiskImage = new Map();
    for (const [name, id] of this.#liveNames) image.set(name, this.#file(id).live.content);
    return image;
  }

  /** What is left after a power cut, one of many possibilities. */
  powerCut(random: Prng): DiskImage {
    const names = new Map(this.#durableNames);
    const namesKept = random.int(this.#pendingNames.length + 1);
    for (const op of this.#pendingNames.slice(0, namesKept)) applyName(names, op);
    const keepOneIn = random.pick([1, 1, 2, 4, 10, Infinity]);
    const ordered = random.int(3) === 0;
    const torn = random.int(2) === 0;
    const image: DiskImage = new Map();
    for (const [name, id] of names) {
      const file = this.#file(id);
      if (file.pending.length === 0 || keepOneIn === Infinity) {
        image.set(name, file.durable.content);
        continue;
      }
      const bytes = file.durable.copy();
      const kept = file.pending.filter(() => random.next() * keepOneIn < 1);
      if (!ordered) shuffle(kept, random);
      for (const op of kept) {
        if (torn) tornApply(bytes, op, random);
        else bytes.apply(op);
      }
      image.set(name, bytes.content);
    }
    return image;
  }
}

/** Equal for images that must show the same: what follows the last whole transaction of a log is nothing. */
export const imageKey = (image: DiskImage): string => {
  const hash = createHash('sha1');
  for (const name of [...image.keys()].sort()) {
    const bytes = image.get(name) ?? Buffer.alloc(0);
    const counted = name.endsWith('-wal') ? bytes.subarray(0, committedBytes(bytes)) : bytes;
    hash.update(`${name} ${counted.length}\n`).update(counted);
  }
  return hash.digest('base64');
};
