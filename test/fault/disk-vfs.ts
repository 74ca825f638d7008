/**
 * The fault-injecting store disk: one flat directory of a host filesystem, passed through. Records what is changed
 * (disk-trace.ts) and spoils operations on command (disk-faults.ts). Served without the kernel's write-back cache, so
 * each write(2) of SQLite is one WRITE request before it returns, and the order in which they come is the order in
 * which SQLite made them. The -shm file is mapped shared: its pages live in the kernel's cache, are written back
 * whenever the kernel likes, and are not recorded, as SQLite builds that file anew after a crash.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type ErrnoName, fsError } from '../../src/base/errno.js';
import {
  asFh,
  asIno,
  byteName,
  type ByteName,
  bytesOfName,
  type Fh,
  type Ino,
  ROOT_INO,
} from '../../src/base/ids.js';
import type {
  Attributes,
  Caller,
  DataSink,
  Done,
  OpenResult,
  SetAttributes,
  StatFs,
  Vfs,
} from '../../src/vfs/api.js';
import { DiskFaults, SECTOR_BYTES } from './disk-faults.js';
import type { DiskOp, DiskRecord } from './disk-trace.js';

/** Writes to this file are marks in the trace. */
export const MARK_NAME = '.mark';
const S_IFDIR = 0o040000;
const PAGE = 4096;

interface Node {
  readonly ino: Ino;
  readonly fd: number;
  /** The name under which it was found first. */
  name: string;
  names: number;
  lookups: number;
  uses: number;
}

const fail = (errno: ErrnoName): never => {
  throw fsError(errno);
};
const text = (name: ByteName): string => bytesOfName(name).toString();
const pause = new Int32Array(new SharedArrayBuffer(4));

/** node:fs errors as FsError. */
const host = <T>(work: () => T): T => {
  try {
    return work();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw code === undefined ? error : fsError(code as ErrnoName);
  }
};

const secondsOf = (ns: bigint): [number, number] => [
  Number(ns / 1_000_000_000n),
  Number(ns % 1_000_000_000n),
];

const attributesOf = (ino: Ino, stat: fs.BigIntStats): Attributes => {
  const [atimeSec, atimeNsec] = secondsOf(stat.atimeNs);
  const [mtimeSec, mtimeNsec] = secondsOf(stat.mtimeNs);
  const [ctimeSec, ctimeNsec] = secondsOf(stat.ctimeNs);
  const [btimeSec, btimeNsec] = secondsOf(stat.birthtimeNs);
  return {
    ino,
    mode: Number(stat.mode),
    nlink: Number(stat.nlink),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    rdev: 0,
    size: Number(stat.size),
    allocPages: Math.ceil(Number(stat.blocks) / 8),
    flags: 0,
    ...{ atimeSec, atimeNsec, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec, btimeSec, btimeNsec },
  };
};

export class DiskVfs implements Vfs {
  readonly readOnly = false;
  readonly maxWriteBytes = 1 << 20;
  readonly records: DiskRecord[] = [];
  readonly faults: DiskFaults;
  recording = true;
  /** Bytes that all files together may have; beyond it writes fail with ENOSPC. */
  limitBytes = Infinity;
  readonly #dir: string;
  readonly #nodes = new Map<Ino, Node>();
  readonly #byHostIno = new Map<bigint, Node>();
  readonly #handles = new Map<Fh, Node>();
  #nextIno = 2;
  #nextFh = 1;

  constructor(dir: string, seed: number) {
    this.#dir = dir;
    this.faults = new DiskFaults(seed);
  }

  #path(name: ByteName): string {
    return join(this.#dir, text(name));
  }
  #record(op: DiskOp, data?: Buffer): void {
    if (this.recording) this.records.push(data === undefined ? op : { ...op, data });
  }
  #recorded(node: Node): boolean {
    return !node.name.endsWith('-shm') && node.name !== MARK_NAME;
  }
  #node(ino: Ino): Node {
    return this.#nodes.get(ino) ?? fail('ESTALE');
  }
  #adopt(name: ByteName): Node {
    const stat = host(() => fs.statSync(this.#path(name), { bigint: true }));
    if (!stat.isFile()) return fail('EPERM');
    const known = this.#byHostIno.get(stat.ino);
    if (known !== undefined) return known;
    const fd = host(() => fs.openSync(this.#path(name), 'r+'));
    const node: Node = { ino: asIno(this.#nextIno++), fd, name: text(name), names: 1, lookups: 0, uses: 0 };
    this.#nodes.set(node.ino, node);
    this.#byHostIno.set(stat.ino, node);
    return node;
  }
  #show(ino: Ino): Attributes {
    if (ino === ROOT_INO)
      return attributesOf(
        ino,
        host(() => fs.statSync(this.#dir, { bigint: true })),
      );
    const node = this.#node(ino);
    node.uses++;
    return attributesOf(
      ino,
      host(() => fs.fstatSync(node.fd, { bigint: true })),
    );
  }
  #opened(node: Node): OpenResult {
    const fh = asFh(this.#nextFh++);
    node.uses++;
    this.#handles.set(fh, node);
    return { fh, keepCache: true, directIo: false };
  }
  #usedBytes(): number {
    return fs.readdirSync(this.#dir).reduce((sum, name) => sum + fs.statSync(join(this.#dir, name)).size, 0);
  }

  vrele(vp: Attributes): void {
    const node = this.#nodes.get(vp.ino);
    if (node !== undefined) node.uses--;
  }
  rememberLookup(vp: Attributes): void {
    const node = this.#nodes.get(vp.ino);
    if (node !== undefined) node.lookups++;
  }
  /** Nodes are few and keep their number for the disk's life: a trace must not use one twice. */
  forget(ino: Ino, count: number): void {
    const node = this.#nodes.get(ino);
    if (node !== undefined) node.lookups -= count;
  }

  lookup(_caller: Caller, parent: Ino, name: ByteName): Attributes {
    if (parent !== ROOT_INO) fail('ENOTDIR');
    return this.#show(name === '.' || name === '..' ? ROOT_INO : this.#adopt(name).ino);
  }
  getattr(_caller: Caller, ino: Ino): Attributes {
    return this.#show(ino);
  }
  setattr(_caller: Caller, ino: Ino, _fh: Fh | undefined, changes: SetAttributes): Attributes {
    const { size, mode } = changes;
    if (ino !== ROOT_INO) {
      const node = this.#node(ino);
      if (size !== undefined) this.#truncate(node, size);
      if (mode !== undefined) host(() => fs.fchmodSync(node.fd, mode & 0o7777));
    }
    return this.#show(ino);
  }
  #truncate(node: Node, size: number): void {
    const rule = this.faults.match('truncate', node.name);
    if (rule !== undefined && rule.kind !== 'delay') fail(rule.errno ?? 'EIO');
    host(() => fs.ftruncateSync(node.fd, size));
    if (this.#recorded(node)) this.#record({ op: 'truncate', file: node.ino, size });
  }
  setFlags(): void {
    return fail('EOPNOTSUPP');
  }
  access(): void {
    // Only root uses the disk, and the kernel checks permissions.
  }

  create(_caller: Caller, _parent: Ino, name: ByteName, mode: number): { vp: Attributes; open: OpenResult } {
    host(() => fs.closeSync(fs.openSync(this.#path(name), 'wx', mode & 0o7777)));
    const node = this.#adopt(name);
    if (this.#recorded(node)) this.#record({ op: 'create', file: node.ino, name: text(name) });
    return { vp: this.#show(node.ino), open: this.#opened(node) };
  }
  mknod(_caller: Caller, _parent: Ino, name: ByteName, mode: number): Attributes {
    const { vp, open } = this.create(_caller, _parent, name, mode);
    this.release(open.fh);
    return vp;
  }
  link(_caller: Caller, ino: Ino, _newParent: Ino, newName: ByteName): Attributes {
    const node = this.#node(ino);
    host(() => fs.linkSync(join(this.#dir, node.name), this.#path(newName)));
    this.#record({ op: 'link', file: ino, name: text(newName) });
    // The shorter-lived name is the older one (mkfs): faults and traces go by the one that stays.
    node.name = text(newName);
    return this.#show(ino);
  }
  unlink(_caller: Caller, _parent: Ino, name: ByteName): void {
    const node = this.#adopt(name);
    host(() => fs.unlinkSync(this.#path(name)));
    if (fs.fstatSync(node.fd).nlink === 0) {
      const stat = fs.fstatSync(node.fd, { bigint: true });
      this.#byHostIno.delete(stat.ino);
    }
    if (!text(name).endsWith('-shm')) this.#record({ op: 'unlink', name: text(name) });
  }
  rename(
    _caller: Caller,
    _parent: Ino,
    name: ByteName,
    _newParent: Ino,
    newName: ByteName,
    flags: number,
  ): void {
    if (flags !== 0) fail('EINVAL');
    const node = this.#adopt(name);
    host(() => fs.renameSync(this.#path(name), this.#path(newName)));
    node.name = text(newName);
    this.#record({ op: 'rename', from: text(name), name: text(newName) });
  }

  open(_caller: Caller, ino: Ino, flags: number): OpenResult {
    const node = this.#node(ino);
    if (flags & 0o1000) this.#truncate(node, 0);
    return this.#opened(node);
  }
  release(fh: Fh): void {
    const node = this.#handles.get(fh);
    this.#handles.delete(fh);
    if (node !== undefined) node.uses--;
  }
  read(ino: Ino, _fh: Fh, offset: number, length: number, sink: DataSink): number {
    const buffer = Buffer.allocUnsafe(length);
    const got = host(() => fs.readSync(this.#node(ino).fd, buffer, 0, length, offset));
    sink.bytes(buffer.subarray(0, got));
    return got;
  }

  write(_caller: Caller, ino: Ino, _fh: Fh, offset: number, data: Uint8Array): number {
    const node = this.#node(ino);
    if (node.name === MARK_NAME) {
      this.#record({ op: 'mark', text: Buffer.from(data).toString() });
      return data.length;
    }
    const rule = this.faults.match('write', node.name);
    if (rule?.kind === 'delay') Atomics.wait(pause, 0, 0, rule.delayMs ?? 1);
    else if (rule?.kind === 'drop') return data.length;
    else if (rule?.kind === 'tear') {
      const end = offset + data.length;
      const from = Math.ceil(offset / SECTOR_BYTES);
      const cut = (from + this.faults.random.int(Math.ceil(end / SECTOR_BYTES) - from + 1)) * SECTOR_BYTES;
      this.#put(node, offset, data.subarray(0, Math.max(0, Math.min(end, cut) - offset)));
      fail(rule.errno ?? 'EIO');
    } else if (rule !== undefined) fail(rule.errno ?? 'EIO');
    if (this.limitBytes !== Infinity && !node.name.endsWith('-shm')) {
      const grows = Math.max(0, offset + data.length - fs.fstatSync(node.fd).size);
      if (grows > 0 && this.#usedBytes() + grows > this.limitBytes) fail('ENOSPC');
    }
    this.#put(node, offset, data);
    return data.length;
  }
  #put(node: Node, offset: number, data: Uint8Array): void {
    if (data.length === 0) return;
    host(() => {
      for (let done = 0; done < data.length;)
        done += fs.writeSync(node.fd, data, done, data.length - done, offset + done);
    });
    if (this.recording && this.#recorded(node)) {
      this.#record({ op: 'write', file: node.ino, offset, bytes: data.length }, Buffer.from(data));
    }
  }

  fsync(ino: Ino, _fh: Fh | undefined, _dataOnly: boolean, done: Done): void {
    const node = this.#node(ino);
    const rule = this.faults.match('fsync', node.name);
    if (rule?.kind === 'delay') Atomics.wait(pause, 0, 0, rule.delayMs ?? 1);
    else if (rule?.kind === 'drop') return done(undefined);
    else if (rule !== undefined) {
      this.#record({ op: 'fsync-failed', file: ino });
      return done(fsError(rule.errno ?? 'EIO'));
    }
    // Nothing here is meant to outlive the machine: that an fsync was asked for is what counts.
    if (this.#recorded(node)) this.#record({ op: 'fsync', file: ino });
    done(undefined);
  }
  fsyncdir(_ino: Ino, _dataOnly: boolean, done: Done): void {
    this.#record({ op: 'fsyncdir' });
    done(undefined);
  }
  syncfs(done: Done): void {
    done(undefined);
  }

  readdir(
    _caller: Caller,
    _ino: Ino,
    cookie: number,
    sink: (n: ByteName, i: Ino, t: number, c: number) => boolean,
  ): void {
    const names = ['.', '..', ...fs.readdirSync(this.#dir).sort()];
    for (let i = cookie; i < names.length; i++) {
      const ino = i < 2 ? ROOT_INO : this.#adopt(byteName(names[i])).ino;
      if (!sink(byteName(names[i]), ino, i < 2 ? S_IFDIR >> 12 : 8, i + 1)) return;
    }
  }
  readdirplus(): void {
    fail('ENOSYS');
  }
  statfs(): StatFs {
    const stat = host(() => fs.statfsSync(this.#dir));
    const free = Math.floor((stat.bavail * stat.bsize) / PAGE);
    const limit = Math.max(
      0,
      Math.floor((this.limitBytes - (this.limitBytes === Infinity ? 0 : this.#usedBytes())) / PAGE),
    );
    const blocksFree = Math.min(free, limit);
    return {
      blocks: stat.blocks,
      blocksFree,
      blocksAvailable: blocksFree,
      files: 1 << 20,
      filesFree: 1 << 20,
      blockBytes: PAGE,
      nameMax: 255,
    };
  }

  hasWriters(): boolean {
    return false;
  }
  fallocate(): void {
    fail('EOPNOTSUPP');
  }
  lseek(): number {
    return fail('EINVAL');
  }
  copyFileRange(): number {
    return fail('EOPNOTSUPP');
  }
  mkdir(): Attributes {
    return fail('EPERM');
  }
  symlink(): Attributes {
    return fail('EPERM');
  }
  rmdir(): void {
    fail('ENOTDIR');
  }
  tmpfile(): { vp: Attributes; open: OpenResult } {
    return fail('EOPNOTSUPP');
  }
  readlink(): Uint8Array {
    return fail('EINVAL');
  }
  setxattr(): void {
    fail('EOPNOTSUPP');
  }
  getxattr(): Uint8Array {
    return fail('EOPNOTSUPP');
  }
  listxattr(): Uint8Array {
    return fail('EOPNOTSUPP');
  }
  removexattr(): void {
    fail('EOPNOTSUPP');
  }
}
