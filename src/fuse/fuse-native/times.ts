/**
 * The times of utimens. The binding's C side passes atime twice and mtime never (fuse-native.c, utimens: both pairs of
 * its arguments are made from l->atime). But each request comes with the buffer in which the C side keeps it,
 * fuse_thread_locals_t, and there the mtime stands right behind the atime, where we read it.
 */

/** Milliseconds since 1970, perhaps negative. */
export interface UtimensTimes {
  readonly atimeMs: number;
  readonly mtimeMs: number;
  /** False: the mtime could not be read, and is atime's. */
  readonly recovered: boolean;
}

const TWO_32 = 4_294_967_296;

/**
 * Offsets in fuse_thread_locals_t on a 64-bit machine: napi_ref self, uint32 op (padded), op_fn, path, dest, linkname,
 * info, buf, offset, len, mode (padded), dev, uid and gid; then size_t atime and mtime.
 */
export const OP_BYTE = 8;
export const ATIME_BYTE = 104;
export const MTIME_BYTE = 112;

/** A 64-bit two's complement number of milliseconds, in two halves. */
const signedMs = (low: number, high: number): number => (high | 0) * TWO_32 + low;

/**
 * `locals` is the request's fuse_thread_locals_t. What it says of operation and atime must be what the arguments say,
 * or it isn't laid out as we believe, and nothing is recovered.
 */
export const utimensTimes = (
  locals: Uint8Array,
  op: number,
  atimeLow: number,
  atimeHigh: number,
): UtimensTimes => {
  const atimeMs = signedMs(atimeLow, atimeHigh);
  const lost: UtimensTimes = { atimeMs, mtimeMs: atimeMs, recovered: false };
  if (locals.byteLength < MTIME_BYTE + 8) return lost;
  const view = new DataView(locals.buffer, locals.byteOffset, locals.byteLength);
  const word = (at: number): number => view.getUint32(at, true);
  const isThis = word(OP_BYTE) === op && word(ATIME_BYTE) === atimeLow && word(ATIME_BYTE + 4) === atimeHigh;
  if (!isThis) return lost;
  return { atimeMs, mtimeMs: signedMs(word(MTIME_BYTE), word(MTIME_BYTE + 4)), recovered: true };
};
