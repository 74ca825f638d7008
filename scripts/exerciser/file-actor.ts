/**
 * Performs file operations on a directory of the host, and compares what they show with the model. Reads and writes by
 * read(2) and write(2), O_DIRECT, and a shared mapping in this process, on descriptors that stay open between
 * operations.
 *
 * INVARIANT: a mapping is never touched past the page that holds the file's last byte (SIGBUS).
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { addressOf, check, cString, libc } from '../../test/harness/libc.js';
import { errorCode, O } from '../../test/harness/posix-client.js';
import type { Exercise, Inspector } from './exercise.js';
import { FileModel, type ModelFile } from './file-model.js';
import { CROWD_FILES, CROWD_READ, type FileOp, LENGTH_MAX } from './file-ops.js';

const PAGE_BYTES = 4096;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MS_SYNC = 4;
const POSIX_FADV_DONTNEED = 4;
const FALLOCATE = { allocate: 0, 'allocate-keep': 1, punch: 3, zero: 16, 'zero-keep': 17 } as const;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ZEROS = Buffer.alloc(PAGE_BYTES);

/** Whole pages, at an address that direct I/O takes. */
const alignedBuffer = (length: number): Buffer => {
  const buffer = Buffer.alloc(length + PAGE_BYTES);
  const over = Number(addressOf(buffer) % BigInt(PAGE_BYTES));
  const start = over === 0 ? 0 : PAGE_BYTES - over;
  return buffer.subarray(start, start + length);
};

interface Open {
  generation: number;
  fd: number;
  direct?: number;
  append?: number;
  /** Address of a mapping of the largest size. */
  map?: bigint;
}

/** Where two equally long runs of bytes part, for people. `at`: the file offset of the first byte. */
export const explainBytes = (wanted: Uint8Array, got: Uint8Array, at: number): string => {
  if (wanted.length !== got.length) return `${got.length} bytes at ${at}, wanted ${wanted.length}`;
  let [first, last] = [0, wanted.length - 1];
  while (first < wanted.length && wanted[first] === got[first]) first++;
  while (last > first && wanted[last] === got[last]) last--;
  const zeros = got.subarray(first, last + 1).every((byte) => byte === 0) ? ' (all read as zero)' : '';
  return `bytes ${at + first}..${at + last} differ${zeros}: wanted ${wanted[first]}, got ${got[first]} at ${at + first}`;
};

const crowdContent = (index: number): string => `${index} `.repeat(1 + ((index * 37) % 900));

/** Linux says EINVAL to a direct read that is not aligned as the disk needs. */
export const directAlignment = (dir: string): number => {
  const file = `${dir}/direct-${process.pid}`;
  fs.writeFileSync(file, Buffer.alloc(PAGE_BYTES));
  const fd = fs.openSync(file, O.RDONLY | O.DIRECT);
  try {
    fs.readSync(fd, alignedBuffer(PAGE_BYTES), 0, 512, 512);
    return 512;
  } catch {
    return PAGE_BYTES;
  } finally {
    fs.closeSync(fd);
    fs.unlinkSync(file);
  }
};

export class FileExercise implements Exercise<FileOp> {
  readonly #base: string;
  readonly #model: FileModel;
  readonly #open: (Open | undefined)[] = [];
  readonly #buffer: Buffer;

  /** `base`: directory and prefix, to which names are appended. */
  constructor(base: string, model: FileModel) {
    this.#base = base;
    this.#model = model;
    this.#buffer = alignedBuffer(Math.max(LENGTH_MAX + PAGE_BYTES, model.bytesMax + PAGE_BYTES));
  }

  #path(f: number): string {
    return `${this.#base}f${f}`;
  }

  setUp(): void {
    for (const f of this.#model.files.keys()) fs.writeFileSync(this.#path(f), '', { flag: 'wx' });
  }

  perform(op: FileOp): string | undefined {
    const what = this.#attempt(op);
    this.#model.apply(op);
    return what;
  }
  #attempt(op: FileOp): string | undefined {
    try {
      if (op.op === 'crowd') return this.#crowd(op.first);
      if (op.op === 'drop-caches') return void fs.writeFileSync('/proc/sys/vm/drop_caches', '3');
      return this.#onFile(op, this.#model.files[op.f]);
    } catch (error) {
      return errorCode(error);
    }
  }
  follow(op: FileOp): void {
    this.#model.apply(op);
  }

  #handle(f: number): Open {
    const { generation } = this.#model.files[f];
    const open = this.#open[f];
    if (open?.generation === generation) return open;
    this.#close(f);
    return (this.#open[f] = { generation, fd: fs.openSync(this.#path(f), O.RDWR) });
  }
  #fd(f: number, how: 'buffered' | 'direct'): number {
    const open = this.#handle(f);
    return how === 'buffered' ? open.fd : (open.direct ??= fs.openSync(this.#path(f), O.RDWR | O.DIRECT));
  }
  #mapping(f: number): bigint {
    const open = this.#handle(f);
    if (open.map === undefined) {
      const at = libc.mmap(0, this.#model.bytesMax, PROT_READ_WRITE, MAP_SHARED, open.fd, 0);
      check(at, 'mmap');
      open.map = BigInt(at);
    }
    return open.map;
  }
  #close(f: number): void {
    const open = this.#open[f];
    this.#open[f] = undefined;
    if (open === undefined) return;
    if (open.map !== undefined) check(libc.munmap(open.map, this.#model.bytesMax), 'munmap');
    for (const fd of [open.fd, open.direct, open.append]) if (fd !== undefined) fs.closeSync(fd);
  }
  close(): void {
    for (const f of this.#open.keys()) this.#close(f);
  }

  #onFile(op: Extract<FileOp, { f: number }>, file: ModelFile): string | undefined {
    switch (op.op) {
      case 'read':
        return op.how === 'mapped' ? this.#readMapped(op, file) : this.#read(op, file, op.how);
      case 'write': {
        const { at, length } = this.#model.range(op);
        return this.#write(op.f, op.how, this.#model.noise(op.seed, length), at);
      }
      case 'append': {
        const data = this.#model.noise(op.seed, this.#model.appendLength(op.f, op.length));
        const open = this.#handle(op.f);
        open.append ??= fs.openSync(this.#path(op.f), O.WRONLY | O.APPEND);
        const written = data.length === 0 ? 0 : fs.writeSync(open.append, data);
        return written === data.length ? undefined : `appended ${written} of ${data.length} bytes`;
      }
      case 'truncate':
        if (op.byPath) check(libc.truncate(cString(this.#path(op.f)), op.size), 'truncate');
        else check(libc.ftruncate(this.#handle(op.f).fd, op.size), 'ftruncate');
        return undefined;
      case 'punch':
      case 'zero':
      case 'zero-keep':
      case 'allocate':
      case 'allocate-keep':
        check(libc.fallocate(this.#handle(op.f).fd, FALLOCATE[op.op], op.at, op.length), 'fallocate');
        return undefined;
      case 'copy':
        return this.#copy(op);
      case 'seek-data':
      case 'seek-hole':
        return this.#seek(op.f, op.at, op.op === 'seek-data' ? SEEK_DATA : SEEK_HOLE, file);
      default:
        return this.#whole(op.op, op.f, file);
    }
  }

  #whole(
    op: 'stat' | 'reopen' | 'fsync' | 'fdatasync' | 'msync' | 'invalidate' | 'replace' | 'whole',
    f: number,
    file: ModelFile,
  ): string | undefined {
    const open = this.#handle(f);
    switch (op) {
      case 'stat': {
        const { size, nlink } = f % 2 === 0 ? fs.fstatSync(open.fd) : fs.statSync(this.#path(f));
        return size === file.size && nlink === 1
          ? undefined
          : `size ${size}, ${nlink} links; wanted ${file.size}, 1`;
      }
      case 'reopen':
        this.#close(f);
        return undefined;
      case 'fsync':
        fs.fsyncSync(open.fd);
        return undefined;
      case 'fdatasync':
        fs.fdatasyncSync(open.fd);
        return undefined;
      case 'msync':
        if (open.map !== undefined) check(libc.msync(open.map, this.#model.bytesMax, MS_SYNC), 'msync');
        return undefined;
      case 'invalidate':
        // Returns the errno; it drops what is clean, and starts to write what is not.
        return void libc.posixFadvise(open.fd, 0, 0, POSIX_FADV_DONTNEED);
      case 'replace':
        // The old file lives on for the processes that have it open, until they notice.
        fs.unlinkSync(this.#path(f));
        fs.closeSync(fs.openSync(this.#path(f), O.RDWR | O.CREAT | O.EXCL));
        return undefined;
      case 'whole':
        return this.#compareFile(f, file);
    }
  }

  #read(
    op: Extract<FileOp, { op: 'read' }>,
    file: ModelFile,
    how: 'buffered' | 'direct',
  ): string | undefined {
    const { at, length } = this.#model.range(op);
    // Not what an earlier read left: a byte that the kernel doesn't deliver shows.
    this.#buffer.fill(0xee, 0, length);
    const got = fs.readSync(this.#fd(op.f, how), this.#buffer, 0, length, at);
    return this.#compare(file.data.subarray(at, Math.max(at, Math.min(file.size, at + length))), got, at);
  }
  #compare(wanted: Buffer, got: number, at: number): string | undefined {
    const bytes = this.#buffer.subarray(0, got);
    return wanted.equals(bytes) ? undefined : explainBytes(wanted, bytes, at);
  }
  #readMapped(op: Extract<FileOp, { op: 'read' }>, file: ModelFile): string | undefined {
    const { at, length } = this.#model.range(op);
    if (length === 0) return undefined;
    const end = at + length;
    const tail = end === file.size ? (PAGE_BYTES - (end % PAGE_BYTES)) % PAGE_BYTES : 0;
    libc.copyFrom(this.#buffer, this.#mapping(op.f) + BigInt(at), length + tail);
    const what = this.#compare(file.data.subarray(at, end), length, at);
    if (what !== undefined || tail === 0) return what;
    const past = this.#buffer.subarray(length, length + tail);
    return ZEROS.subarray(0, tail).equals(past)
      ? undefined
      : `past the end of the file, ${end}, the mapped page is not zero`;
  }

  #write(f: number, how: 'buffered' | 'direct' | 'mapped', data: Buffer, at: number): string | undefined {
    if (data.length === 0) return undefined;
    if (how === 'mapped') return void libc.copyTo(this.#mapping(f) + BigInt(at), data, data.length);
    let from = data;
    if (how === 'direct') {
      data.copy(this.#buffer);
      from = this.#buffer;
    }
    const written = fs.writeSync(this.#fd(f, how), from, 0, data.length, at);
    return written === data.length ? undefined : `wrote ${written} of ${data.length} bytes`;
  }

  #copy(op: Extract<FileOp, { op: 'copy' }>): string | undefined {
    const wanted = this.#model.copyLength(op);
    const [from, to] = [this.#handle(op.f).fd, this.#handle(op.g).fd];
    const [inOff, outOff] = [Buffer.alloc(8), Buffer.alloc(8)];
    inOff.writeBigInt64LE(BigInt(op.at));
    outOff.writeBigInt64LE(BigInt(op.to));
    let done = 0;
    try {
      // Asks for more than there is at first, then for what is still missing: a copy may be short, and a file copied
      // behind itself grows.
      let length = op.length;
      do {
        const copied = check(libc.copyFileRange(from, inOff, to, outOff, length, 0), 'copy_file_range');
        if (copied === 0) break;
        done += copied;
        length = Number(wanted) - done;
      } while (length > 0);
    } catch (error) {
      return wanted === errorCode(error) && done === 0 ? undefined : errorCode(error);
    }
    return done === wanted ? undefined : `copied ${done} bytes, wanted ${wanted}`;
  }

  /** A filesystem may call any part data; but what it calls a hole reads as zeros. */
  #seek(f: number, at: number, whence: number, file: ModelFile): string | undefined {
    let found: number;
    try {
      found = check(libc.lseek(this.#handle(f).fd, at, whence), 'lseek');
    } catch (error) {
      if (errorCode(error) !== 'ENXIO') throw error;
      if (at >= file.size) return undefined;
      if (whence === SEEK_HOLE) return 'ENXIO, though the end of the file is a hole';
      found = file.size;
    }
    if (at >= file.size) return `found ${found} past the end of the file, ${file.size}`;
    if (found < at || found > file.size) return `found ${found} from ${at}, in a file of ${file.size} bytes`;
    const hole = whence === SEEK_DATA ? file.data.subarray(at, found) : file.data.subarray(found, found + 1);
    const wrong = hole.findIndex((byte) => byte !== 0);
    if (wrong < 0) return undefined;
    return `${whence === SEEK_DATA ? at + wrong : found} is called a hole, and holds ${hole[wrong]}`;
  }

  /** The first to want the crowd makes it. */
  #crowd(first: number): string | undefined {
    const folder = `${this.#base}crowd`;
    if (!fs.existsSync(folder)) {
      fs.mkdirSync(folder);
      for (let i = 0; i < CROWD_FILES; i++) fs.writeFileSync(`${folder}/${i}`, crowdContent(i));
    }
    for (let n = 0; n < CROWD_READ; n++) {
      const index = (first + n) % CROWD_FILES;
      const found = fs.readFileSync(`${folder}/${index}`, 'latin1');
      if (found !== crowdContent(index))
        return `crowd/${index} holds ${found.length} bytes that are not its own`;
    }
    return undefined;
  }

  #compareFile(f: number, file: ModelFile): string | undefined {
    const fd = fs.openSync(this.#path(f), O.RDONLY);
    try {
      const { size } = fs.fstatSync(fd);
      if (size !== file.size) return `f${f}: size ${size}, wanted ${file.size}`;
      const got = fs.readSync(fd, this.#buffer, 0, this.#model.bytesMax + 1, 0);
      const what = this.#compare(file.data.subarray(0, file.size), got, 0);
      return what === undefined ? undefined : `f${f}: ${what}`;
    } finally {
      fs.closeSync(fd);
    }
  }
  compareWhole(): string | undefined {
    for (const [f, file] of this.#model.files.entries()) {
      const what = this.#compareFile(f, file);
      if (what !== undefined) return what;
    }
    return undefined;
  }

  expected(): string[] {
    return this.#model.files.map((file, f) => describeFile(`f${f}`, file.data.subarray(0, file.size)));
  }
}

const describeFile = (name: string, bytes: Buffer): string =>
  `${name} ${bytes.length} ${createHash('sha1').update(bytes).digest('hex')}`;

export const inspectFiles: Inspector = (dir, prefix) =>
  fs
    .readdirSync(dir)
    .filter((name) => name.startsWith(`${prefix}f`))
    .map((name) => describeFile(name.slice(prefix.length), fs.readFileSync(`${dir}/${name}`)))
    .sort();
