/**
 * FileSystem: one mounted store behind the interface that the transports use. Each operation lives in its
 * family's file.
 */
import { existsSync } from 'node:fs';
import { FsError, fsError } from '../base/errno.js';
import { ROOT_INO, type ByteName, type Fh, type Ino } from '../base/ids.js';
import { intentLogPath } from '../store/intent-log.js';
import { PAGE_BYTES } from '../store/types.js';
import type { BioOps } from '../vnode/bio-ops.js';
import { fsidOfUuid, formatFsid, vfsGetnewfsid, vfsSetfsid } from '../vnode/fsid.js';
import {
  MNT_RDONLY,
  MNTK_UNMOUNT,
  requireNotUnmounting,
  vfsBusy,
  vfsUnbusy,
  type Mount,
} from '../vnode/mount.js';
import { MNTINS_LAST } from '../vnode/mount-list.js';
import { vfsRootmountalloc } from '../vnode/vfs-conf.js';
import { VFlag, Vnode } from '../vnode/vnode.js';
import type * as api from './api.js';
import { auditFiles } from './audit.js';
import * as attributes from './attributes.js';
import { copyFileRange } from './copy.js';
import * as createOps from './create.js';
import { fallocate } from './fallocate.js';
import { setFlags } from './flags.js';
import * as openOps from './open.js';
import * as readdirOps from './readdir.js';
import { requireName } from './namei.js';
import * as removeOps from './remove.js';
import { rename } from './rename.js';
import { FSTYPE, FsState, NAME_MAX, withVnode, type FsParts } from './state.js';
import { Unmount, type UnmountDone } from './unmount.js';
import * as xattrOps from './xattr.js';

const DOT = '.' as ByteName;
const DOTDOT = '..' as ByteName;
/** Largest request we negotiate. */
const MAX_WRITE = 1 << 20;

const vnodeOf = (attributes: api.Attributes): Vnode => {
  if (!(attributes instanceof Vnode)) throw new FsError(22, 'not a vnode of ours');
  return attributes;
};

export class FileSystem implements api.Vfs {
  readonly state: FsState;
  readonly mount: Mount;
  readonly maxWriteBytes: number;
  readonly #unmount: Unmount;
  /** Lookups that the kernel has not given back: it remembers at most so many inodes of this mount. */
  lookups = 0;

  /** Requires that {@link FSTYPE} is registered. Errors: FsError ENODEV if it isn't. */
  constructor(parts: FsParts) {
    const { vnodes, reader, options } = parts;
    this.mount = vfsRootmountalloc(vnodes, FSTYPE, options.store, {
      loadInode: (ino) => reader.loadInode(ino as Ino),
      inactive: (vp) => removeOps.inactive(this.state, vp),
      reclaim: (vp) => {
        if (vp.lookupCount > 0 && !vp.removed) options.onReclaim?.(vp);
      },
      audit: (asksStore) => auditFiles(this.state, asksStore),
    });
    this.mount.stat.mntonname = options.mountpoint ?? '';
    const template = fsidOfUuid(reader.superblock.uuid);
    // A copy of a store that is mounted already has its identity too: then the place tells them apart.
    if (vnodes.mountlist.vfsGetvfs(template) === undefined) vfsSetfsid(this.mount, template);
    else vfsGetnewfsid(this.mount);
    this.state = new FsState(this.mount, parts);
    this.#unmount = new Unmount(this.state);
    const eighth = Math.floor(vnodes.bufs.pool.size / 8) * PAGE_BYTES;
    this.maxWriteBytes = Math.max(PAGE_BYTES, Math.min(MAX_WRITE, eighth));
  }

  get readOnly(): boolean {
    return (this.mount.flag & MNT_RDONLY) !== 0;
  }

  /** 16 hexadecimal digits: the same at every mount of the store, unless a copy of the store is mounted already. */
  get fsid(): string {
    return formatFsid(this.mount.stat.fsid);
  }

  /**
   * Loads the root, removes the orphans that the last mount left, and puts the mount on the list. Throws FsError for a
   * store that can't be used.
   */
  start(): { orphans: number } {
    const { mount, state } = this;
    const root = state.vget(ROOT_INO);
    if (!root.isDir) throw fsError('EIO', 'root is not a directory');
    root.flag |= VFlag.VROOT;
    mount.rootVnode = root;
    const orphans = state.options.readOnly ? [] : state.reader.listOrphans();
    for (const ino of orphans) this.#reap(ino);
    if (!state.options.readOnly) {
      mount.flag &= ~MNT_RDONLY;
      mount.bioOps = this.#bioOps;
      state.vnodes.bioOps.addBioOps(mount.bioOps);
    }
    state.vnodes.mountlist.mountlistInsert(mount, MNTINS_LAST);
    vfsUnbusy(mount);
    return { orphans: orphans.length };
  }

  /**
   * Read-only, or not, from now on. Making it read-only: `done` hears when everything is committed; EBUSY if a file is
   * open for writing, with nothing changed. (mount_update with MNT_RDONLY, sys/kern/vfs_syscalls.c)
   */
  setReadOnly(readOnly: boolean, done: api.Done): void {
    const { mount, state } = this;
    if (this.unmounting) return done(fsError('EBUSY', 'an unmount is in progress'));
    if (!readOnly) {
      if (state.reader.standIns !== undefined && state.reader.standIns.size > 0)
        return done(fsError('EROFS', 'the store is damaged'));
      // What could not be brought in when it was mounted would not fit any more.
      if (state.txgs.intents?.made !== true && existsSync(intentLogPath(state.options.store)))
        return done(fsError('EROFS', 'its intent log could not be brought in'));
      mount.flag &= ~MNT_RDONLY;
      if (mount.bioOps === undefined) {
        mount.bioOps = this.#bioOps;
        state.vnodes.bioOps.addBioOps(mount.bioOps);
      }
      return done(undefined);
    }
    for (const { writes, vp } of state.handles.values())
      if (writes && (vp.flag & VFlag.VRECLAIMED) === 0) return done(fsError('EBUSY', 'open for writing'));
    const before = mount.flag;
    mount.flag |= MNT_RDONLY;
    state.vnodes.bioOps.bioOpsSync(mount, (error) => {
      if (error !== undefined) mount.flag = before;
      done(error);
    });
  }

  /** An orphan that can't be read stays on the list: the rest of a damaged store can be used, and fsck repairs it. */
  #reap(ino: Ino): void {
    const { state } = this;
    try {
      const vp = state.vget(ino);
      vp.lookupCountLost = false;
      state.vnodes.vrele(vp);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
    }
  }

  readonly #bioOps: BioOps = {
    ioSync: (_mp, done) => this.state.txgs.barrier(this.state.txgs.latest, done, true),
  };

  /** See {@link Unmount}, which does the work of these. */
  beginUnmount(): void {
    this.#unmount.begin();
  }

  get unmounting(): boolean {
    return (this.mount.kernFlag & MNTK_UNMOUNT) !== 0;
  }

  forgetAll(): void {
    this.#unmount.forgetAll();
  }

  finishUnmount(done: UnmountDone): void {
    this.#unmount.finish(done);
  }

  get flushing(): boolean {
    return this.#unmount.flushing;
  }

  flushSlice(): void {
    this.#unmount.flushSlice();
  }

  discard(abandon: () => void): void {
    this.#unmount.discard(abandon);
  }

  vrele(vp: api.Attributes): void {
    this.state.vnodes.vrele(vnodeOf(vp));
  }

  rememberLookup(attributes: api.Attributes, parent?: Ino, name?: ByteName): void {
    const vp = vnodeOf(attributes);
    vp.lookupCount++;
    this.lookups++;
    if (parent === undefined || name === undefined) return;
    vp.seenParent = parent;
    vp.seenName = name;
  }

  forget(ino: Ino, count: number): void {
    this.lookups -= count;
    // Not resident: a linked inode that was reclaimed. Nothing is kept of it.
    const vp = this.state.vnodes.peek(this.mount, ino);
    if (vp !== undefined) this.state.vnodes.forget(vp, count);
  }

  lookup(_caller: api.Caller, parent: Ino, name: ByteName): Vnode {
    if (name === DOT) return this.state.vget(parent);
    return withVnode(this.state, this.state.vgetDir(parent), (dvp) => {
      if (name === DOTDOT) return this.state.vget(dvp.parent as Ino);
      return this.state.vget(requireName(this.state, dvp, name).ino);
    });
  }

  getattr(_caller: api.Caller, ino: Ino, fh: Fh | undefined): Vnode {
    return attributes.vgetByHandle(this.state, ino, fh);
  }

  setattr(_caller: api.Caller, ino: Ino, fh: Fh | undefined, changes: api.SetAttributes): Vnode {
    return attributes.setattr(this.state, ino, fh, changes);
  }

  setFlags(_caller: api.Caller, ino: Ino, flags: number): void {
    setFlags(this.state, ino, flags);
  }

  /** Never refuses: default_permissions is always on, so the kernel itself checks. */
  access(_caller: api.Caller, ino: Ino): void {
    this.state.vnodes.vrele(this.state.vget(ino));
  }

  readlink(_caller: api.Caller, ino: Ino): Uint8Array {
    return withVnode(this.state, this.state.vget(ino), (vp) => {
      const target = (vp.linkTarget ??= this.state.reader.readSymlink(ino));
      if (target === undefined) throw fsError('EINVAL', 'readlink');
      this.state.vnodes.values.touch(vp);
      this.state.accessed(vp);
      return target;
    });
  }

  mknod(caller: api.Caller, parent: Ino, name: ByteName, mode: number, rdev: number, umask: number): Vnode {
    return createOps.mknod(this.state, caller, parent, name, mode, rdev, umask);
  }

  mkdir(caller: api.Caller, parent: Ino, name: ByteName, mode: number, umask: number): Vnode {
    return createOps.mkdir(this.state, caller, parent, name, mode, umask);
  }

  symlink(caller: api.Caller, parent: Ino, name: ByteName, target: Uint8Array): Vnode {
    return createOps.symlink(this.state, caller, parent, name, target);
  }

  link(_caller: api.Caller, ino: Ino, newParent: Ino, newName: ByteName): Vnode {
    return createOps.link(this.state, ino, newParent, newName);
  }

  unlink(_caller: api.Caller, parent: Ino, name: ByteName): void {
    removeOps.unlink(this.state, parent, name);
  }

  rmdir(_caller: api.Caller, parent: Ino, name: ByteName): void {
    removeOps.rmdir(this.state, parent, name);
  }

  rename(
    caller: api.Caller,
    parent: Ino,
    name: ByteName,
    newParent: Ino,
    newName: ByteName,
    flags: number,
  ): void {
    rename(this.state, caller, parent, name, newParent, newName, flags);
  }

  open(_caller: api.Caller, ino: Ino, flags: number): api.OpenResult {
    return openOps.open(this.state, ino, flags);
  }

  create(
    caller: api.Caller,
    parent: Ino,
    name: ByteName,
    mode: number,
    flags: number,
    umask: number,
  ): { vp: Vnode; open: api.OpenResult } {
    return openOps.create(this.state, caller, parent, name, mode, flags, umask);
  }

  tmpfile(
    caller: api.Caller,
    parent: Ino,
    mode: number,
    flags: number,
    umask: number,
  ): { vp: Vnode; open: api.OpenResult } {
    const vp = createOps.tmpfile(this.state, caller, parent, mode, umask);
    return { vp, open: openOps.openVnode(this.state, vp, flags) };
  }

  release(fh: Fh): void {
    openOps.release(this.state, fh);
  }

  read(_ino: Ino, fh: Fh, offset: number, length: number, sink: api.DataSink): number {
    return openOps.read(this.state, fh, offset, length, sink);
  }

  write(
    _caller: api.Caller,
    ino: Ino,
    fh: Fh,
    offset: number,
    data: Uint8Array,
    flags: api.WriteFlags,
  ): number {
    try {
      return openOps.write(this.state, fh, offset, data, flags);
    } catch (error) {
      if (flags.fromCache && error instanceof FsError)
        this.state.refusedWrites.add(ino, data.length, error.errno);
      throw error;
    }
  }

  fallocate(caller: api.Caller, _ino: Ino, fh: Fh, mode: number, offset: number, length: number): void {
    fallocate(this.state, caller, fh, mode, offset, length);
  }

  hasWriters(ino: Ino): boolean {
    return (this.state.vnodes.peek(this.mount, ino)?.writeCount ?? 0) > 0;
  }

  lseek(_ino: Ino, fh: Fh, offset: number, whence: number): number {
    return openOps.lseek(this.state, fh, offset, whence);
  }

  copyFileRange(
    caller: api.Caller,
    _srcIno: Ino,
    srcFh: Fh,
    srcOffset: number,
    _dstIno: Ino,
    dstFh: Fh,
    dstOffset: number,
    length: number,
  ): number {
    return copyFileRange(this.state, caller, srcFh, srcOffset, dstFh, dstOffset, length);
  }

  /**
   * Everything that leads to the inode is in the group in which it last changed, or an earlier one. One loaded since
   * then remembers no group: the last committed one covers it. A failed write-back is reported once a handle, as
   * errseq_check_and_advance. Holds the mount busy until it is done.
   */
  fsync(ino: Ino, fh: Fh | undefined, _dataOnly: boolean, done: api.Done): void {
    const { txgs } = this.state;
    const handle = fh === undefined ? undefined : this.state.handle(fh);
    const vp = handle?.vp ?? this.state.vnodes.peek(this.mount, ino);
    const txg = vp === undefined || vp.dirtyTxg === 0 ? txgs.committed : vp.dirtyTxg;
    const missed = handle !== undefined && handle.errSeq !== txgs.errSeq;
    if (handle !== undefined) handle.errSeq = txgs.errSeq;
    vfsBusy(this.mount, 0);
    txgs.barrier(txg, (error) => {
      vfsUnbusy(this.mount);
      if (handle !== undefined) handle.errSeq = txgs.errSeq;
      done(error ?? (missed ? new FsError(5, 'fsync') : undefined));
    });
  }

  fsyncdir(ino: Ino, dataOnly: boolean, done: api.Done): void {
    this.fsync(ino, undefined, dataOnly, done);
  }

  syncfs(done: api.Done): void {
    vfsBusy(this.mount, 0);
    this.state.vnodes.bioOps.bioOpsSync(this.mount, (error) => {
      vfsUnbusy(this.mount);
      done(error);
    });
  }

  readdir(_caller: api.Caller, ino: Ino, cookie: number, sink: api.DirentSink): void {
    readdirOps.readdir(this.state, ino, cookie, sink);
  }

  readdirplus(_caller: api.Caller, ino: Ino, cookie: number, sink: api.DirentPlusSink): void {
    readdirOps.readdirplus(this.state, ino, cookie, sink);
  }

  setxattr(
    _caller: api.Caller,
    ino: Ino,
    name: ByteName,
    value: Uint8Array,
    flags: number,
    clearSgid: boolean,
  ): void {
    xattrOps.setxattr(this.state, ino, name, value, flags, clearSgid);
  }

  getxattr(_caller: api.Caller, ino: Ino, name: ByteName): Uint8Array {
    return xattrOps.getxattr(this.state, ino, name);
  }

  listxattr(_caller: api.Caller, ino: Ino): Uint8Array {
    return xattrOps.listxattr(this.state, ino);
  }

  removexattr(_caller: api.Caller, ino: Ino, name: ByteName): void {
    xattrOps.removexattr(this.state, ino, name);
  }

  get hasSizeLimit(): boolean {
    return this.state.pagesMax !== Infinity;
  }

  statfs(): api.StatFs {
    requireNotUnmounting(this.mount);
    const { counters } = this.state.txgs;
    const hostFree = Math.floor(this.state.options.hostFreeBytes() / PAGE_BYTES);
    const blocksFree = Math.max(0, Math.min(hostFree, this.state.pagesMax - counters.allocPages));
    // Without a limit of our own there is room for as many inodes as for blocks, as btrfs and xfs reckon.
    const filesFree = Math.max(0, Math.min(hostFree, this.state.inodesMax - counters.inodeCount));
    return {
      blocks: counters.allocPages + blocksFree,
      blocksFree,
      blocksAvailable: blocksFree,
      files: counters.inodeCount + filesFree,
      filesFree,
      blockBytes: PAGE_BYTES,
      nameMax: NAME_MAX,
    };
  }
}
