/**
 * Breaks the filesystem on purpose, to prove that the exercisers find it, or that a daemon with a bug ends as it
 * should: loaded into a daemon by `NODE_OPTIONS=--import=…/fault.js` with VNODEFS_TEST_FAULT=read, …; see
 * {@link faultEnv}. Nothing in src knows of it.
 */
import { existsSync } from 'node:fs';
import { InvariantError } from '../../src/base/assert.js';
import { Syncer } from '../../src/syncer/syncer.js';
import { FileSystem } from '../../src/vfs/filesystem.js';
import type { DataSink } from '../../src/vfs/api.js';
import type { Vnode } from '../../src/vnode/vnode.js';

/** Reads from here on are what `stuck` and `invariant` go wrong at. */
export const FAULT_OFFSET = 2 << 20;

export type Fault = 'read' | 'truncate' | 'stuck' | 'invariant' | 'syncer';

/** Environment of a daemon with this fault. */
export const faultEnv = (fault: Fault): Record<string, string> => ({
  NODE_OPTIONS: `--import=${import.meta.url}`,
  VNODEFS_TEST_FAULT: fault,
});

const PAGE_BYTES = 4096;
/** One read of so many goes wrong. */
const BAD_READ_EVERY = 10;
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

/** A read far into a file does `act` first. */
const breakFarRead = (act: () => void): void => {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the right `this` below
  const { read } = prototype;
  prototype.read = function (this: FileSystem, ino, fh, offset, length, sink: DataSink) {
    if (offset + length > FAULT_OFFSET) act();
    return read.call(this, ino, fh, offset, length, sink);
  };
};

const spinForEver = (): void => {
  for (;;);
};

const breakInvariant = (): void => {
  throw new InvariantError('broken by the test');
};

/** Every commit of a barrier throws what nobody expects. */
const breakSyncer = (): void => {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the right `this` below
  const { commit } = Syncer.prototype;
  Syncer.prototype.commit = function (this: Syncer, request) {
    if (request.barrier && existsSync(String(process.env['VNODEFS_TEST_FAULT_WHEN'])))
      throw new TypeError('broken by the test');
    return commit.call(this, request);
  };
};

const faults: Record<string, () => void> = {
  read: breakRead,
  truncate: breakTruncate,
  stuck: () => breakFarRead(spinForEver),
  invariant: () => breakFarRead(breakInvariant),
  syncer: breakSyncer,
};
const fault = process.env['VNODEFS_TEST_FAULT'];
if (fault !== undefined) faults[fault]();
