/**
 * Stands between the kernel session and the core: logs what changed, and marks each barrier on the disk before its
 * answer goes out.
 *
 * INVARIANT: a request is logged after it succeeded and before anything else runs, so a group sealed before the entry
 * does not hold it, and one sealed after does: operations wait (and groups are sealed for them) only before their first
 * side effect.
 */
import type { ByteName, Fh, Ino } from '../../src/base/ids.js';
import type { Attributes, Done, OpenResult, SetAttributes, Vfs } from '../../src/vfs/api.js';
import type { RequestLog } from './request-log.js';

export interface RecordingOptions {
  log: RequestLog;
  /** Leaves a mark in the trace of the disk, at once. */
  mark: (barrier: number) => void;
  /** A deliberate bug: barriers are answered before anything is committed. */
  earlyBarriers: boolean;
}

/** Everything else of the interface must be listed here, or a new operation would change things unseen. */
const HARMLESS: ReadonlySet<string> = new Set([
  ...[
    'readOnly',
    'maxWriteBytes',
    'vrele',
    'rememberLookup',
    'forget',
    'lookup',
    'getattr',
    'access',
    'readlink',
  ],
  ...['release', 'read', 'hasWriters', 'lseek', 'readdir', 'readdirplus', 'getxattr', 'listxattr', 'statfs'],
  ...['beginUnmount', 'forgetAll', 'finishUnmount', 'fsid', 'state', 'mount', 'start', 'getflags'],
]);
const O_TRUNC = 0o1000;

type Changing = Pick<
  Vfs,
  | 'setattr'
  | 'mknod'
  | 'mkdir'
  | 'symlink'
  | 'link'
  | 'unlink'
  | 'rmdir'
  | 'rename'
  | 'open'
  | 'create'
  | 'tmpfile'
  | 'write'
  | 'fallocate'
  | 'copyFileRange'
  | 'setxattr'
  | 'removexattr'
  | 'fsync'
  | 'fsyncdir'
  | 'syncfs'
>;

const made = (log: RequestLog, parent: Ino, name: ByteName, vp: Attributes, target = ''): Attributes => {
  const { ino, mode, rdev } = vp;
  log.add({ change: 'make', parent, name, ino, mode, rdev, target });
  return vp;
};

const nodes = (
  vfs: Vfs,
  log: RequestLog,
): Pick<Changing, 'mknod' | 'mkdir' | 'symlink' | 'link' | 'unlink' | 'rmdir' | 'rename'> => ({
  mknod: (caller, parent, name, mode, rdev, umask) =>
    made(log, parent, name, vfs.mknod(caller, parent, name, mode, rdev, umask)),
  mkdir: (caller, parent, name, mode, umask) =>
    made(log, parent, name, vfs.mkdir(caller, parent, name, mode, umask)),
  symlink: (caller, parent, name, target) =>
    made(
      log,
      parent,
      name,
      vfs.symlink(caller, parent, name, target),
      Buffer.from(target).toString('latin1'),
    ),
  link: (caller, ino, parent, name) => {
    const vp = vfs.link(caller, ino, parent, name);
    log.add({ change: 'link', ino, parent, name });
    return vp;
  },
  unlink: (caller, parent, name) => {
    vfs.unlink(caller, parent, name);
    log.add({ change: 'remove', parent, name });
  },
  rmdir: (caller, parent, name) => {
    vfs.rmdir(caller, parent, name);
    log.add({ change: 'remove', parent, name });
  },
  rename: (caller, parent, name, newParent, newName, flags) => {
    vfs.rename(caller, parent, name, newParent, newName, flags);
    log.add({ change: 'rename', parent, name, newParent, newName, flags });
  },
});

const attributes = (vfs: Vfs, log: RequestLog): Pick<Changing, 'setattr' | 'setxattr' | 'removexattr'> => ({
  setattr: (caller, ino, fh, changes: SetAttributes) => {
    const vp = vfs.setattr(caller, ino, fh, changes);
    const { mode, uid, gid, size } = changes;
    log.add({ change: 'attributes', ino, mode, uid, gid, size });
    return vp;
  },
  setxattr: (caller, ino, name, value, flags, clearSgid) => {
    vfs.setxattr(caller, ino, name, value, flags, clearSgid);
    log.add({ change: 'setxattr', ino, name, value: Buffer.from(value).toString('latin1') });
  },
  removexattr: (caller, ino, name) => {
    vfs.removexattr(caller, ino, name);
    log.add({ change: 'removexattr', ino, name });
  },
});

const data = (
  vfs: Vfs,
  log: RequestLog,
): Pick<Changing, 'open' | 'create' | 'tmpfile' | 'write' | 'fallocate' | 'copyFileRange'> => ({
  open: (caller, ino, flags): OpenResult => {
    const result = vfs.open(caller, ino, flags);
    if (flags & O_TRUNC) log.add({ change: 'attributes', ino, size: 0 });
    return result;
  },
  create: (caller, parent, name, mode, flags, umask) => {
    const result = vfs.create(caller, parent, name, mode, flags, umask);
    made(log, parent, name, result.vp);
    return result;
  },
  tmpfile: (caller, parent, mode, flags, umask) => {
    const result = vfs.tmpfile(caller, parent, mode, flags, umask);
    log.add({ change: 'tmpfile', ino: result.vp.ino, mode: result.vp.mode });
    return result;
  },
  write: (caller, ino, fh, offset, bytes, flags) => {
    const written = vfs.write(caller, ino, fh, offset, bytes, flags);
    log.add({ change: 'write', ino, offset, bytes: bytes.length }, bytes);
    return written;
  },
  fallocate: (caller, ino, fh, mode, offset, length) => {
    vfs.fallocate(caller, ino, fh, mode, offset, length);
    log.add({ change: 'fallocate', ino, mode, offset, length });
  },
  copyFileRange: (caller, from, fromFh, fromOffset, to, toFh, toOffset, length) => {
    const bytes = vfs.copyFileRange(caller, from, fromFh, fromOffset, to, toFh, toOffset, length);
    log.add({ change: 'copy', from, fromOffset, to, toOffset, bytes });
    return bytes;
  },
});

const barriers = (vfs: Vfs, options: RecordingOptions): Pick<Changing, 'fsync' | 'fsyncdir' | 'syncfs'> => {
  const around = (ino: number, done: Done, ask: (done: Done) => void): void => {
    const id = options.log.barrier(ino);
    if (options.earlyBarriers) {
      options.mark(id);
      done(undefined);
      ask(() => undefined);
      return;
    }
    ask((error) => {
      if (error === undefined) options.mark(id);
      done(error);
    });
  };
  return {
    fsync: (ino, fh: Fh | undefined, dataOnly, done) =>
      around(ino, done, (answer) => vfs.fsync(ino, fh, dataOnly, answer)),
    fsyncdir: (ino, dataOnly, done) => around(ino, done, (answer) => vfs.fsyncdir(ino, dataOnly, answer)),
    syncfs: (done) => around(0, done, (answer) => vfs.syncfs(answer)),
  };
};

export const recordingVfs = (vfs: Vfs, options: RecordingOptions): Vfs => {
  const { log } = options;
  const changing: Changing = {
    ...nodes(vfs, log),
    ...attributes(vfs, log),
    ...data(vfs, log),
    ...barriers(vfs, options),
  };
  return new Proxy(vfs, {
    get: (target, key) => {
      const own: unknown = Reflect.get(changing, key);
      if (own !== undefined) return own;
      if (typeof key === 'string' && !HARMLESS.has(key)) throw new Error(`the recorder doesn't know ${key}`);
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
};
