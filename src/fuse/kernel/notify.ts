/**
 * Messages to the kernel that answer nothing: forget this name, these pages, these inodes.
 *
 * Must be sent from a thread other than the dispatcher: to honour one the kernel may first send requests (writing pages
 * back), and the write that carries the notification waits for their answers. And never about a change that the kernel
 * itself asked for: it may hold the very lock. All return 0 or an errno; ENOENT means that the kernel knows no such
 * inode or name: nothing to forget.
 */
import { type ByteName, bytesOfName, type Ino } from '../../base/ids.js';
import { addressOf, syscalls } from '../../base/syscalls.js';
import type { Fields, Layout, RecordOf } from './layout.js';
import { EXPIRE_ONLY, Notify } from './protocol.js';
import {
  notifyDeleteOut,
  notifyInvalEntryOut,
  notifyInvalInodeOut,
  notifyPruneOut,
  outHeader,
} from './structs.js';

const HEAD_BYTES = outHeader.size;

/** A notification: header, `head`, then `tail`. */
const message = <F extends Fields>(
  code: number,
  head: Layout<F>,
  values: Partial<RecordOf<F>>,
  tail: Uint8Array,
): Uint8Array => {
  const bytes = new Uint8Array(HEAD_BYTES + head.size + tail.length);
  // In a notification, the place of the error holds the code and `unique` is 0.
  outHeader.encode(bytes, 0, { len: bytes.length, error: code, unique: 0 });
  head.encode(bytes, HEAD_BYTES, values);
  bytes.set(tail, HEAD_BYTES + head.size);
  return bytes;
};

const send = (fd: number, bytes: Uint8Array): number => {
  const sys = syscalls();
  return sys.write(fd, addressOf(bytes), bytes.length) < 0 ? sys.errno() : 0;
};

const NONE = new Uint8Array(0);
const terminated = (name: ByteName): Uint8Array => Buffer.concat([bytesOfName(name), Buffer.alloc(1)]);

export const encodeInvalInode = (ino: Ino, offset: number, length: number): Uint8Array =>
  message(Notify.INVAL_INODE, notifyInvalInodeOut, { ino, off: offset, len: length }, NONE);

export const encodeInvalEntry = (parent: Ino, name: ByteName, expireOnly: boolean): Uint8Array =>
  message(
    Notify.INVAL_ENTRY,
    notifyInvalEntryOut,
    { parent, namelen: name.length, flags: expireOnly ? EXPIRE_ONLY : 0 },
    terminated(name),
  );

export const encodeDelete = (parent: Ino, child: Ino, name: ByteName): Uint8Array =>
  message(Notify.DELETE, notifyDeleteOut, { parent, child, namelen: name.length }, terminated(name));

export const encodePrune = (inos: readonly Ino[]): Uint8Array => {
  const tail = new Uint8Array(inos.length * 8);
  const view = new DataView(tail.buffer);
  inos.forEach((ino, i) => {
    view.setUint32(i * 8, ino, true);
    view.setUint32(i * 8 + 4, Math.floor(ino / 4294967296), true);
  });
  return message(Notify.PRUNE, notifyPruneOut, { count: inos.length }, tail);
};

/**
 * Drops cached attributes, and cached pages of `length` bytes from `offset` (0: to the end); a negative offset:
 * attributes only.
 */
export const notifyInvalInode = (fd: number, ino: Ino, offset: number, length: number): number =>
  send(fd, encodeInvalInode(ino, offset, length));

/** Drops the cached name; `expireOnly` (7.38): only has it looked up again at its next use. */
export const notifyInvalEntry = (fd: number, parent: Ino, name: ByteName, expireOnly = false): number =>
  send(fd, encodeInvalEntry(parent, name, expireOnly));

/** As INVAL_ENTRY where `name` is still `child`, and watchers see a deletion. */
export const notifyDelete = (fd: number, parent: Ino, child: Ino, name: ByteName): number =>
  send(fd, encodeDelete(parent, child, name));

/** Inodes in one PRUNE message. */
const PRUNE_MAX = 512;

/** 7.45. Asks the kernel to let go of inodes that nobody uses; their FORGETs follow. */
export const notifyPrune = (fd: number, inos: readonly Ino[]): number => {
  for (let i = 0; i < inos.length; i += PRUNE_MAX) {
    const errno = send(fd, encodePrune(inos.slice(i, i + PRUNE_MAX)));
    if (errno !== 0) return errno;
  }
  return 0;
};
