/** All operations that the binding offers, by its names for them. */
import type { Operation } from './context.js';
import * as attributes from './operations-attributes.js';
import * as data from './operations-data.js';
import * as names from './operations-names.js';

/**
 * Not here: `access` (default_permissions: the kernel checks), `flush` (locks are the kernel's own, so closing waits
 * for nobody; without it libfuse answers ENOSYS and the kernel never asks again), `opendir` and `releasedir`
 * (directories need no handle).
 */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  getattr: attributes.getattr,
  fgetattr: attributes.fgetattr,
  chmod: attributes.chmod,
  chown: attributes.chown,
  truncate: attributes.truncate,
  ftruncate: attributes.ftruncate,
  utimens: attributes.utimens,
  readlink: attributes.readlink,
  statfs: attributes.statfs,
  setxattr: attributes.setxattr,
  getxattr: attributes.getxattr,
  listxattr: attributes.listxattr,
  removexattr: attributes.removexattr,
  mknod: names.mknod,
  mkdir: names.mkdir,
  symlink: names.symlink,
  link: names.link,
  unlink: names.unlink,
  rmdir: names.rmdir,
  rename: names.rename,
  readdir: names.readdir,
  open: data.open,
  create: data.create,
  release: data.release,
  read: data.read,
  write: data.write,
  fsync: data.fsync,
  fsyncdir: data.fsyncdir,
};

/** Settles a pending unlink by itself, or takes its place. */
export const SETTLES_ITSELF = 'rename';

/** Where the request's buffer stands among the arguments. It goes back with the answer, whatever that is: the C side takes it from V8. */
export const BUFFER_ARGUMENT: Readonly<Record<string, number>> = {
  read: 2,
  write: 2,
  setxattr: 2,
  getxattr: 2,
  listxattr: 1,
};
/** A count that the C side skips stands before the buffer. */
export const COUNT_BEFORE_BUFFER: readonly string[] = ['read', 'write'];
