/** Linux errno numbers (asm-generic/errno-base.h and errno.h) and the one error type of the core. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EOVERFLOW: 75,
  EILSEQ: 84,
  EOPNOTSUPP: 95,
  ECONNABORTED: 103,
  ENOTCONN: 107,
  ESTALE: 116,
  EDQUOT: 122,
} as const;
export type ErrnoName = keyof typeof Errno;

const nameByNumber = new Map<number, ErrnoName>(
  Object.entries(Errno).map(([name, number]) => [number, name as ErrnoName]),
);

/** `ENOENT` for 2; `errno 999` for a number this table doesn't hold. */
export const errnoName = (errno: number): string => nameByNumber.get(errno) ?? `errno ${errno}`;

/**
 * The one error that `store`, `vnode`, `syncer` and `vfs` throw. Only `fuse` turns it into `-errno`.
 * Expected outcomes (ENOENT of a lookup) use it too, so creating one captures no stack unless it has a cause:
 * see {@link fsError}.
 */
export class FsError extends Error {
  override readonly name = 'FsError';
  readonly errno: number;
  readonly op: string | undefined;
  constructor(errno: number, op?: string, options?: ErrorOptions) {
    super(op === undefined ? errnoName(errno) : `${op}: ${errnoName(errno)}`, options);
    this.errno = errno;
    this.op = op;
  }
}

/** By errno and operation: see {@link fsError}. Both come from the source, so there are few. */
const expected = new Map<number, Map<string | undefined, FsError>>();

const withoutStack = (errno: number, op: string | undefined): FsError => {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = new FsError(errno, op);
  Error.stackTraceLimit = limit;
  return error;
};

/**
 * An {@link FsError} for expected, frequent outcomes: without a stack trace, and the same object each time, since making
 * an Error costs more than most requests. `op` is a literal. Not to be changed.
 */
export const fsError = (errno: ErrnoName, op?: string): FsError => {
  const number = Errno[errno];
  let ofErrno = expected.get(number);
  if (ofErrno === undefined) expected.set(number, (ofErrno = new Map<string | undefined, FsError>()));
  let error = ofErrno.get(op);
  if (error === undefined) ofErrno.set(op, (error = withoutStack(number, op)));
  return error;
};

export const isFsError = (error: unknown): error is FsError => error instanceof FsError;
