/** Open files and their data: open, create, release, read, write, fsync, fsyncdir. */
import { fsError } from '../../base/errno.js';
import type { DataSink, Done } from '../../vfs/api.js';
import type { Answer, NativeContext } from './context.js';
import { sizeOf } from './operations-attributes.js';

/** The binding passes no flags with create. The kernel has checked what the caller may do with the file. */
const CREATE_FLAGS = 2; // O_RDWR
const NO_UMASK = 0;
/** The kernel strips set-id bits by itself (SETATTR): HANDLE_KILLPRIV is not negotiated. */
const WRITE_FLAGS = { fromCache: false, killSuidgid: false } as const;

export const open = (cx: NativeContext, answer: Answer, path: string, flags: number): void => {
  const ino = cx.paths.ino(path);
  const { fh } = cx.vfs.open(cx.caller, ino, cx.platform.openFlags(flags));
  answer(0, cx.files.add(ino, fh).number);
};

export const create = (cx: NativeContext, answer: Answer, path: string, mode: number): void => {
  const { parent, name } = cx.paths.place(path);
  const { vp, open } = cx.vfs.create(cx.caller, parent, name, mode, CREATE_FLAGS, NO_UMASK);
  const file = cx.files.add(vp.ino, open.fh);
  cx.vfs.vrele(vp);
  answer(0, file.number);
};

/** Its path is worthless: libfuse gives the last name even where another file has that now. */
export const release = (cx: NativeContext, answer: Answer, _path: string, number: number): void => {
  const file = cx.files.get(number);
  cx.vfs.release(file.fh);
  if (cx.files.remove(file)) cx.hidden.forget(file.ino);
  answer(0);
};

/** Puts what the core delivers into the request's buffer. */
class BufferSink implements DataSink {
  #at = 0;
  readonly #into: Uint8Array;
  readonly #pool: Uint8Array;

  constructor(into: Uint8Array, pool: Uint8Array) {
    this.#into = into;
    this.#pool = pool;
  }

  pool(offset: number, length: number): void {
    this.bytes(this.#pool.subarray(offset, offset + length));
  }

  bytes(data: Uint8Array): void {
    this.#into.set(data, this.#at);
    this.#at += data.byteLength;
  }

  zeros(length: number): void {
    this.#into.fill(0, this.#at, this.#at + length);
    this.#at += length;
  }
}

export const read = (
  cx: NativeContext,
  answer: Answer,
  _path: string,
  number: number,
  into: Uint8Array,
  length: number,
  low: number,
  high: number,
): void => {
  const { ino, fh } = cx.files.get(number);
  const offset = sizeOf(low, high);
  // Nothing can be stored out there, so it is past the end of every file.
  if (offset + length > Number.MAX_SAFE_INTEGER) answer(0);
  else answer(cx.vfs.read(ino, fh, offset, length, new BufferSink(into, cx.pool)));
};

/** For O_SYNC and O_DSYNC the kernel sends an fsync afterwards by itself (generic_write_sync). */
export const write = (
  cx: NativeContext,
  answer: Answer,
  _path: string,
  number: number,
  data: Uint8Array,
  length: number,
  low: number,
  high: number,
): void => {
  const { ino, fh } = cx.files.get(number);
  const offset = sizeOf(low, high);
  if (offset + length > Number.MAX_SAFE_INTEGER) throw fsError('EFBIG');
  answer(cx.vfs.write(cx.caller, ino, fh, offset, data, WRITE_FLAGS));
};

const doneWith =
  (cx: NativeContext, answer: Answer): Done =>
  (error) =>
    answer(error === undefined ? 0 : -cx.platform.errno(error.errno));

export const fsync = (
  cx: NativeContext,
  answer: Answer,
  _path: string,
  dataOnly: number,
  number: number,
): void => {
  const { ino, fh } = cx.files.get(number);
  cx.vfs.fsync(ino, fh, dataOnly !== 0, doneWith(cx, answer));
};

export const fsyncdir = (cx: NativeContext, answer: Answer, path: string, dataOnly: number): void =>
  cx.vfs.fsyncdir(cx.paths.ino(path), dataOnly !== 0, doneWith(cx, answer));
