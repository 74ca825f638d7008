/**
 * Breaks the filesystem on purpose, to prove that the exercisers find it: loaded into a daemon by
 * `NODE_OPTIONS=--import=…/fault.js` with VNODEFS_TEST_FAULT=read or truncate; see {@link faultEnv}. Nothing in src knows of it.
 */
import { FileSystem } from '../../src/vfs/filesystem.js';
import type { DataSink } from '../../src/vfs/api.js';
import type { Vnode } from '../../src/vnode/vnode.js';

/** Environment of a daemon with this fault. */
export const faultEnv = (fault: 'read' | 'truncate'): Record<string, string> => ({
  NODE_OPTIONS: `--import=${import.meta.url}`,
  VNODEFS_TEST_FAULT: fault,
});

const PAGE_BYTES = 4096;
/** One read of so many goes wrong. */
const BAD_READ_EVERY = 50;
const prototype = FileSystem.prototype;

/** Now and then the last byte of a read is lost. */
const breakRead = (): void => {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the right `this` below
  const { read } = prototype;
  let reads = 0;
  prototype.read = function (this: FileSystem, ino, fh, offset, length, sink: DataSink) {
    if (length < 2 || ++reads % BAD_READ_EVERY !== 0) return read.call(this, ino, fh, offset, length, sink);
    const got = read.call(this, ino, fh, offset, length - 1, sink);
    if (got < length - 1) return got;
    sink.zeros(1);
    return length;
  };
};

/** A file is cut to whole pages: when it grows again, the rest of the last page comes back. */
const breakTruncate = (): void => {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the right `this` below
  const { setattr } = prototype;
  prototype.setattr = function (this: FileSystem, caller, ino, fh, changes) {
    const size = changes.size;
    if (size === undefined || size % PAGE_BYTES === 0) return setattr.call(this, caller, ino, fh, changes);
    const before = this.getattr(caller, ino, fh);
    const shrinks = before.size > size;
    this.vrele(before);
    if (!shrinks) return setattr.call(this, caller, ino, fh, changes);
    const whole = Math.min(before.size, Math.ceil(size / PAGE_BYTES) * PAGE_BYTES);
    const vp: Vnode = setattr.call(this, caller, ino, fh, { ...changes, size: whole });
    vp.size = size;
    return vp;
  };
};

const faults: Record<string, () => void> = { read: breakRead, truncate: breakTruncate };
const fault = process.env['VNODEFS_TEST_FAULT'];
if (fault !== undefined) faults[fault]();
