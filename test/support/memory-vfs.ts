/**
 * A small in-memory filesystem behind the Vfs interface, to exercise a transport without the core. File data lies in 4
 * KiB frames of a shared pool, so that reads take the zero-copy path. Permissions are the kernel's job
 * (default_permissions). Not a model of POSIX: just enough for the transport's tests.
 */
import { type ErrnoName, fsError } from '../../src/base/errno.js';
import { asFh, asIno, type ByteName, bytesOfName, type Fh, type Ino, ROOT_INO } from '../../src/base/ids.js';
import type {
  Attributes,
  Caller,
  DataSink,
  DirentPlusSink,
  DirentSink,
  Done,
  OpenResult,
  SetAttributes,
  StatFs,
  TimeChange,
  Vfs,
} from '../../src/vfs/api.js';

const PAGE = 4096;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const O_TRUNC = 0o1000;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

class Node implements Mutable<Attributes> {
  ino: Ino;
  mode: number;
  nlink = 1;
  uid: number;
  gid: number;
  rdev: number;
  size = 0;
  allocPages = 0;
  flags = 0;
  atimeSec = 0;
  atimeNsec = 0;
  mtimeSec = 0;
  mtimeNsec = 0;
  ctimeSec = 0;
  ctimeNsec = 0;
  btimeSec: number;
  btimeNsec = 0;
  lookups = 0;
  uses = 0;
  readonly entries = new Map<ByteName, { node: Node; cookie: number }>();
  readonly frames: (number | undefined)[] = [];
  readonly xattrs = new Map<ByteName, Uint8Array>();
  target = new Uint8Array(0);
  parent: Node = this;
  nextCookie = 3;
  constructor(ino: Ino, mode: number, caller: Caller, rdev: number) {
    this.ino = ino;
    this.mode = mode;
    this.uid = caller.uid;
    this.gid = caller.gid;
    this.rdev = rdev;
    this.btimeSec = Math.floor(Date.now() / 1000);
    this.atimeSec = this.mtimeSec = this.ctimeSec = this.btimeSec;
    if ((mode & S_IFMT) === S_IFDIR) this.nlink = 2;
  }
  get isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }
}

const fail = (errno: ErrnoName): never => {
  throw fsError(errno);
};

export class MemoryVfs implements Vfs {
  readonly readOnly = false;
  readonly maxWriteBytes = 1 << 20;
  readonly nodes = new Map<Ino, Node>();
  readonly handles = new Map<Fh, Node>();
  readonly #pool: Uint8Array;
  readonly #free: number[] = [];
  #nextIno = 2;
  #nextFh = 1;

  constructor(pool: SharedArrayBuffer) {
    this.#pool = new Uint8Array(pool);
    for (let frame = this.#pool.length / PAGE - 1; frame >= 0; frame--) this.#free.push(frame);
    this.nodes.set(
      ROOT_INO,
      new Node(
        ROOT_INO,
        S_IFDIR | 0o777,
        { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: 0 },
        0,
      ),
    );
  }

  #node(ino: Ino): Node {
    return this.nodes.get(ino) ?? fail('ESTALE');
  }
  #child(parent: Ino, name: ByteName): Node {
    return this.#node(parent).entries.get(name)?.node ?? fail('ENOENT');
  }
  #use(node: Node): Node {
    node.uses++;
    return node;
  }
  #touch(node: Node): void {
    const ms = Date.now();
    node.mtimeSec = node.ctimeSec = Math.floor(ms / 1000);
    node.mtimeNsec = node.ctimeNsec = (ms % 1000) * 1e6;
  }
  #insert(parent: Node, name: ByteName, node: Node): void {
    parent.entries.set(name, { node, cookie: parent.nextCookie++ });
    node.parent = parent;
    if (node.isDirectory) parent.nlink++;
    this.#touch(parent);
  }
  #remove(parent: Node, name: ByteName): void {
    const { node } = parent.entries.get(name) ?? fail('ENOENT');
    parent.entries.delete(name);
    if (node.isDirectory) {
      parent.nlink--;
      node.nlink = 0;
    } else node.nlink--;
    this.#touch(parent);
    this.#reap(node);
  }
  #reap(node: Node): void {
    if (node.nlink > 0 || node.uses > 0 || node.lookups > 0) return;
    this.#truncate(node, 0);
    this.nodes.delete(node.ino);
  }
  #make(caller: Caller, parent: Ino, name: ByteName, mode: number, rdev: number): Node {
    const dir = this.#node(parent);
    if (dir.entries.has(name)) fail('EEXIST');
    const node = new Node(asIno(this.#nextIno++), mode, caller, rdev);
    this.nodes.set(node.ino, node);
    this.#insert(dir, name, node);
    return this.#use(node);
  }
  #opened(node: Node): OpenResult {
    const fh = asFh(this.#nextFh++);
    this.handles.set(fh, this.#use(node));
    return { fh, keepCache: true, directIo: false };
  }
  #truncate(node: Node, size: number): void {
    const keep = Math.ceil(size / PAGE);
    for (const frame of node.frames.splice(keep)) {
      if (frame === undefined) continue;
      this.#free.push(frame);
      node.allocPages--;
    }
    const last = node.frames[keep - 1];
    if (last !== undefined && size % PAGE !== 0) {
      this.#pool.fill(0, last * PAGE + (size % PAGE), (last + 1) * PAGE);
    }
    node.size = size;
  }
  #frame(node: Node, index: number): number {
    const existing = node.frames[index];
    if (existing !== undefined) return existing;
    const frame = this.#free.pop() ?? fail('ENOSPC');
    this.#pool.fill(0, frame * PAGE, (frame + 1) * PAGE);
    node.frames[index] = frame;
    node.allocPages++;
    return frame;
  }

  vrele(vp: Attributes): void {
    const node = vp as Node;
    node.uses--;
    this.#reap(node);
  }
  rememberLookup(vp: Attributes): void {
    (vp as Node).lookups++;
  }
  forget(ino: Ino, count: number): void {
    const node = this.nodes.get(ino);
    if (node === undefined) return;
    node.lookups -= count;
    this.#reap(node);
  }

  lookup(_caller: Caller, parent: Ino, name: ByteName): Attributes {
    if (name === '.') return this.#use(this.#node(parent));
    if (name === '..') return this.#use(this.#node(parent).parent);
    return this.#use(this.#child(parent, name));
  }
  getattr(_caller: Caller, ino: Ino): Attributes {
    return this.#use(this.#node(ino));
  }
  setattr(_caller: Caller, ino: Ino, _fh: Fh | undefined, changes: SetAttributes): Attributes {
    const node = this.#node(ino);
    const timeOf = (change: TimeChange): [number, number] =>
      change === 'now' ? [Math.floor(Date.now() / 1000), 0] : [change.sec, change.nsec];
    if (changes.size !== undefined) this.#truncate(node, changes.size);
    if (changes.mode !== undefined) node.mode = (node.mode & S_IFMT) | (changes.mode & 0o7777);
    if (changes.killSuidgid) node.mode &= ~0o6000;
    node.uid = changes.uid ?? node.uid;
    node.gid = changes.gid ?? node.gid;
    if (changes.atime !== undefined) [node.atimeSec, node.atimeNsec] = timeOf(changes.atime);
    if (changes.mtime !== undefined) [node.mtimeSec, node.mtimeNsec] = timeOf(changes.mtime);
    if (changes.ctime !== undefined) [node.ctimeSec, node.ctimeNsec] = timeOf(changes.ctime);
    return this.#use(node);
  }
  setFlags(_caller: Caller, ino: Ino, flags: number): void {
    this.#node(ino).flags = flags;
  }
  access(_caller: Caller, ino: Ino): void {
    this.#node(ino);
  }
  readlink(_caller: Caller, ino: Ino): Uint8Array {
    return this.#node(ino).target;
  }
  mknod(caller: Caller, parent: Ino, name: ByteName, mode: number, rdev: number, umask: number): Attributes {
    return this.#make(caller, parent, name, mode & ~umask, rdev);
  }
  mkdir(caller: Caller, parent: Ino, name: ByteName, mode: number, umask: number): Attributes {
    return this.#make(caller, parent, name, S_IFDIR | (mode & 0o7777 & ~umask), 0);
  }
  symlink(caller: Caller, parent: Ino, name: ByteName, target: Uint8Array): Attributes {
    const node = this.#make(caller, parent, name, S_IFLNK | 0o777, 0);
    node.target = Uint8Array.from(target);
    node.size = target.length;
    return node;
  }
  link(_caller: Caller, ino: Ino, newParent: Ino, newName: ByteName): Attributes {
    const dir = this.#node(newParent);
    if (dir.entries.has(newName)) fail('EEXIST');
    const node = this.#node(ino);
    node.nlink++;
    this.#insert(dir, newName, node);
    return this.#use(node);
  }
  unlink(_caller: Caller, parent: Ino, name: ByteName): void {
    if (this.#child(parent, name).isDirectory) fail('EISDIR');
    this.#remove(this.#node(parent), name);
  }
  rmdir(_caller: Caller, parent: Ino, name: ByteName): void {
    const node = this.#child(parent, name);
    if (!node.isDirectory) fail('ENOTDIR');
    if (node.entries.size > 0) fail('ENOTEMPTY');
    this.#remove(this.#node(parent), name);
  }
  rename(
    _caller: Caller,
    parent: Ino,
    name: ByteName,
    newParent: Ino,
    newName: ByteName,
    flags: number,
  ): void {
    const from = this.#node(parent);
    const to = this.#node(newParent);
    const node = this.#child(parent, name);
    const old = to.entries.get(newName)?.node;
    if (old === node) return;
    if (flags & 1 && old !== undefined) fail('EEXIST');
    if (flags & ~1) fail('EINVAL');
    if (old !== undefined) {
      if (old.isDirectory && old.entries.size > 0) fail('ENOTEMPTY');
      this.#remove(to, newName);
    }
    from.entries.delete(name);
    if (node.isDirectory) from.nlink--;
    this.#insert(to, newName, node);
    this.#touch(from);
  }

  open(_caller: Caller, ino: Ino, flags: number): OpenResult {
    const node = this.#node(ino);
    if (flags & O_TRUNC) this.#truncate(node, 0);
    return this.#opened(node);
  }
  create(
    caller: Caller,
    parent: Ino,
    name: ByteName,
    mode: number,
    _flags: number,
    umask: number,
  ): { vp: Attributes; open: OpenResult } {
    const node = this.#make(caller, parent, name, S_IFREG | (mode & 0o7777 & ~umask), 0);
    return { vp: node, open: this.#opened(node) };
  }
  tmpfile(
    caller: Caller,
    _parent: Ino,
    mode: number,
    _flags: number,
    umask: number,
  ): { vp: Attributes; open: OpenResult } {
    const node = new Node(asIno(this.#nextIno++), S_IFREG | (mode & 0o7777 & ~umask), caller, 0);
    node.nlink = 0;
    this.nodes.set(node.ino, node);
    return { vp: this.#use(node), open: this.#opened(node) };
  }
  release(fh: Fh): void {
    const node = this.handles.get(fh);
    if (node === undefined) return;
    this.handles.delete(fh);
    this.vrele(node);
  }
  read(_ino: Ino, fh: Fh, offset: number, length: number, sink: DataSink): number {
    const node = this.handles.get(fh) ?? fail('EBADF');
    const end = Math.min(offset + length, node.size);
    for (let at = offset; at < end;) {
      const within = at % PAGE;
      const step = Math.min(PAGE - within, end - at);
      const frame = node.frames[(at - within) / PAGE];
      if (frame === undefined) sink.zeros(step);
      else sink.pool(frame * PAGE + within, step);
      at += step;
    }
    return Math.max(0, end - offset);
  }
  write(_caller: Caller, _ino: Ino, fh: Fh, offset: number, data: Uint8Array): number {
    const node = this.handles.get(fh) ?? fail('EBADF');
    for (let done = 0; done < data.length;) {
      const within = (offset + done) % PAGE;
      const step = Math.min(PAGE - within, data.length - done);
      const frame = this.#frame(node, (offset + done - within) / PAGE);
      this.#pool.set(data.subarray(done, done + step), frame * PAGE + within);
      done += step;
    }
    node.size = Math.max(node.size, offset + data.length);
    this.#touch(node);
    return data.length;
  }
  fallocate(_caller: Caller, ino: Ino, _fh: Fh, mode: number, offset: number, length: number): void {
    const node = this.#node(ino);
    if (mode !== 0) fail('EOPNOTSUPP');
    node.size = Math.max(node.size, offset + length);
  }
  hasWriters(): boolean {
    return false;
  }

  lseek(ino: Ino, _fh: Fh, offset: number, whence: number): number {
    const { size } = this.#node(ino);
    if (offset >= size) fail('ENXIO');
    return whence === 3 ? offset : size;
  }
  copyFileRange(): number {
    return fail('EOPNOTSUPP');
  }

  fsync(_ino: Ino, _fh: Fh | undefined, _dataOnly: boolean, done: Done): void {
    done(undefined);
  }
  fsyncdir(_ino: Ino, _dataOnly: boolean, done: Done): void {
    done(undefined);
  }
  syncfs(done: Done): void {
    done(undefined);
  }

  #list(ino: Ino, cookie: number, sink: DirentPlusSink): void {
    const dir = this.#node(ino);
    if (cookie < 1 && !sink('.' as ByteName, ino, 4, 1, undefined)) return;
    if (cookie < 2 && !sink('..' as ByteName, dir.parent.ino, 4, 2, undefined)) return;
    for (const [name, entry] of dir.entries) {
      if (entry.cookie <= cookie) continue;
      if (!sink(name, entry.node.ino, entry.node.mode >> 12, entry.cookie, entry.node)) return;
    }
  }
  readdir(_caller: Caller, ino: Ino, cookie: number, sink: DirentSink): void {
    this.#list(ino, cookie, (name, child, type, next) => sink(name, child, type, next));
  }
  readdirplus(_caller: Caller, ino: Ino, cookie: number, sink: DirentPlusSink): void {
    this.#list(ino, cookie, sink);
  }

  setxattr(_caller: Caller, ino: Ino, name: ByteName, value: Uint8Array, flags: number): void {
    const { xattrs } = this.#node(ino);
    if (flags & 1 && xattrs.has(name)) fail('EEXIST');
    if (flags & 2 && !xattrs.has(name)) fail('ENODATA');
    xattrs.set(name, Uint8Array.from(value));
  }
  getxattr(_caller: Caller, ino: Ino, name: ByteName): Uint8Array {
    return this.#node(ino).xattrs.get(name) ?? fail('ENODATA');
  }
  listxattr(_caller: Caller, ino: Ino): Uint8Array {
    return Buffer.concat(
      [...this.#node(ino).xattrs.keys()].map((n) => Buffer.concat([bytesOfName(n), Buffer.alloc(1)])),
    );
  }
  removexattr(_caller: Caller, ino: Ino, name: ByteName): void {
    if (!this.#node(ino).xattrs.delete(name)) fail('ENODATA');
  }

  statfs(): StatFs {
    const blocks = this.#pool.length / PAGE;
    return {
      blocks,
      blocksFree: this.#free.length,
      blocksAvailable: this.#free.length,
      files: 1 << 20,
      filesFree: (1 << 20) - this.nodes.size,
      blockBytes: PAGE,
      nameMax: 255,
    };
  }
}
