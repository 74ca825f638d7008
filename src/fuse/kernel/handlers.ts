/** The dispatch table: opcode → handler. INIT is the session's own. */
import type { Handler } from './context.js';
import * as attr from './handle-attr.js';
import * as control from './handle-control.js';
import * as io from './handle-io.js';
import { ioctl } from './handle-ioctl.js';
import * as names from './handle-names.js';
import * as opening from './handle-open.js';
import * as dir from './handle-readdir.js';
import * as xattr from './handle-xattr.js';
import { Opcode, OPCODE_COUNT, type OpcodeName } from './protocol.js';

const byName: Readonly<Partial<Record<OpcodeName, Handler>>> = {
  LOOKUP: names.lookup,
  FORGET: names.forget,
  GETATTR: attr.getattr,
  SETATTR: attr.setattr,
  READLINK: attr.readlink,
  SYMLINK: names.symlink,
  MKNOD: names.mknod,
  MKDIR: names.mkdir,
  UNLINK: names.unlink,
  RMDIR: names.rmdir,
  RENAME: names.rename,
  LINK: names.link,
  OPEN: opening.open,
  READ: io.read,
  WRITE: io.write,
  STATFS: attr.statfs,
  RELEASE: opening.release,
  FSYNC: io.fsync,
  SETXATTR: xattr.setxattr,
  GETXATTR: xattr.getxattr,
  LISTXATTR: xattr.listxattr,
  REMOVEXATTR: xattr.removexattr,
  READDIR: dir.readdir,
  RELEASEDIR: control.succeed,
  FSYNCDIR: io.fsyncdir,
  ACCESS: attr.access,
  CREATE: names.create,
  INTERRUPT: control.interrupt,
  DESTROY: control.succeed,
  IOCTL: ioctl,
  NOTIFY_REPLY: control.notifyReply,
  BATCH_FORGET: names.batchForget,
  FALLOCATE: io.fallocate,
  READDIRPLUS: dir.readdirplus,
  RENAME2: names.rename2,
  LSEEK: io.lseek,
  COPY_FILE_RANGE: io.copyFileRange,
  SYNCFS: io.syncfs,
  TMPFILE: names.tmpfile,
  STATX: attr.statx,
  COPY_FILE_RANGE_64: io.copyFileRange64,
};

/** Indexed by opcode; every opcode without a handler of its own answers ENOSYS. */
export const handlers: readonly Handler[] = (() => {
  const table = new Array<Handler>(OPCODE_COUNT).fill(control.notImplemented);
  for (const [name, handler] of Object.entries(byName)) table[Opcode[name as OpcodeName]] = handler;
  return table;
})();
