/**
 * The model in memory of the random tree test, the operations, and how a client performs them. An operation names its
 * paths by slot, so that a log replays, and shrinks by leaving operations out, without knowing what existed.
 *
 * INVARIANT: an operation's outcome (errno or none, and what it read) is the same in the model and on the client.
 */
import type { Prng } from '../../src/base/prng.js';

export const NAMES = ['a', 'b', 'c', 'd', 'e'] as const;
/** Directories nest at most this deep, so that collisions are frequent. */
export const DEPTH_MAX = 3;
const FILE_BYTES_MAX = 300_000;
const HANDLES = 4;

export type Op =
  | { op: 'create'; path: string; exclusive: boolean }
  | { op: 'write'; path: string; offset: number; length: number; seed: number }
  | { op: 'truncate'; path: string; size: number }
  | { op: 'read'; path: string; offset: number; length: number }
  | { op: 'mkdir' | 'rmdir' | 'unlink' | 'list' | 'stat' | 'sync' | 'readlink'; path: string }
  | { op: 'symlink'; path: string; target: string }
  | { op: 'link'; from: string; path: string }
  | { op: 'rename'; from: string; path: string; flags: number }
  | { op: 'setxattr'; path: string; name: string; value: string }
  | { op: 'removexattr'; path: string; name: string }
  | { op: 'open'; path: string; handle: number }
  | { op: 'pwrite'; handle: number; offset: number; length: number; seed: number }
  | { op: 'pread'; handle: number; offset: number; length: number }
  | { op: 'close'; handle: number };

const randomPath = (prng: Prng): string => {
  const depth = 1 + prng.int(DEPTH_MAX);
  return Array.from({ length: depth }, () => prng.pick(NAMES)).join('/');
};
/** Mostly small, sometimes across chunks. */
const randomLength = (prng: Prng): number => 1 + prng.int(1 << (2 + prng.int(15)));
const randomOffset = (prng: Prng): number =>
  prng.int(3) === 0
    ? prng.int(FILE_BYTES_MAX)
    : prng.int(64) * 4096 + (prng.int(2) === 0 ? 0 : prng.int(4096));

type Maker = (prng: Prng) => Op;
const MAKERS: readonly [number, Maker][] = [
  [8, (p) => ({ op: 'create', path: randomPath(p), exclusive: p.int(4) === 0 })],
  [
    12,
    (p) => ({
      op: 'write',
      path: randomPath(p),
      offset: randomOffset(p),
      length: randomLength(p),
      seed: p.int(250),
    }),
  ],
  [6, (p) => ({ op: 'truncate', path: randomPath(p), size: p.int(3) === 0 ? 0 : randomOffset(p) })],
  [10, (p) => ({ op: 'read', path: randomPath(p), offset: randomOffset(p), length: randomLength(p) })],
  [8, (p) => ({ op: 'mkdir', path: randomPath(p) })],
  [4, (p) => ({ op: 'rmdir', path: randomPath(p) })],
  [6, (p) => ({ op: 'unlink', path: randomPath(p) })],
  [4, (p) => ({ op: 'list', path: randomPath(p) })],
  [6, (p) => ({ op: 'stat', path: randomPath(p) })],
  [1, (p) => ({ op: 'sync', path: randomPath(p) })],
  [3, (p) => ({ op: 'symlink', path: randomPath(p), target: 'x'.repeat(1 + p.int(200)) })],
  [2, (p) => ({ op: 'readlink', path: randomPath(p) })],
  [6, (p) => ({ op: 'link', from: randomPath(p), path: randomPath(p) })],
  [12, (p) => ({ op: 'rename', from: randomPath(p), path: randomPath(p), flags: p.pick([0, 0, 0, 1, 2]) })],
  [
    3,
    (p) => ({
      op: 'setxattr',
      path: randomPath(p),
      name: `user.${p.pick(NAMES)}`,
      value: 'v'.repeat(p.int(300)),
    }),
  ],
  [2, (p) => ({ op: 'removexattr', path: randomPath(p), name: `user.${p.pick(NAMES)}` })],
  [4, (p) => ({ op: 'open', path: randomPath(p), handle: p.int(HANDLES) })],
  [
    6,
    (p) => ({
      op: 'pwrite',
      handle: p.int(HANDLES),
      offset: randomOffset(p),
      length: randomLength(p),
      seed: p.int(250),
    }),
  ],
  [5, (p) => ({ op: 'pread', handle: p.int(HANDLES), offset: randomOffset(p), length: randomLength(p) })],
  [3, (p) => ({ op: 'close', handle: p.int(HANDLES) })],
];
const WEIGHTS = MAKERS.reduce((sum, [weight]) => sum + weight, 0);

export const randomOp = (prng: Prng): Op => {
  let at = prng.int(WEIGHTS);
  for (const [weight, make] of MAKERS) {
    if ((at -= weight) < 0) return make(prng);
  }
  throw new Error('weights');
};

/** What both sides write for a seed. */
export const opBytes = (length: number, seed: number): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = 1 + ((i * 11 + (i >> 9) + seed) % 255);
  return bytes;
};

interface ModelNode {
  kind: 'file' | 'dir' | 'symlink';
  data: Buffer;
  target: string;
  links: number;
  xattrs: Map<string, string>;
  children: Map<string, ModelNode>;
}

/** Thrown by the model: the errno expected. */
export class ModelError extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}
const refuse = (code: string): never => {
  throw new ModelError(code);
};

const newNode = (kind: ModelNode['kind']): ModelNode => ({
  kind,
  data: Buffer.alloc(0),
  target: '',
  links: kind === 'dir' ? 2 : 1,
  xattrs: new Map(),
  children: new Map(),
});

/** What `stat` compares. */
export const describe = (kind: string, size: number, links: number, xattrs: readonly string[]): string =>
  `${kind} ${kind === 'dir' ? '-' : size} links=${links} ${[...xattrs].sort().join(' ')}`;

export class TreeModel {
  readonly root = newNode('dir');
  readonly handles = new Map<number, ModelNode>();

  /** Symlinks lead nowhere in this model: on the way they are ENOENT, as their targets don't exist. */
  #directory(path: string): { dir: ModelNode; name: string } {
    const parts = path.split('/');
    const name = parts.pop() ?? '';
    let dir = this.root;
    for (const part of parts) {
      const next = dir.children.get(part) ?? refuse('ENOENT');
      if (next.kind === 'symlink') return refuse('ENOENT');
      if (next.kind !== 'dir') return refuse('ENOTDIR');
      dir = next;
    }
    return { dir, name };
  }
  #node(path: string): ModelNode {
    const { dir, name } = this.#directory(path);
    return dir.children.get(name) ?? refuse('ENOENT');
  }
  /** For calls that follow and want a regular file. */
  #file(path: string): ModelNode {
    const node = this.#node(path);
    if (node.kind === 'symlink') return refuse('ENOENT');
    return node.kind === 'dir' ? refuse('EISDIR') : node;
  }
  #free(path: string): { dir: ModelNode; name: string } {
    const place = this.#directory(path);
    return place.dir.children.has(place.name) ? refuse('EEXIST') : place;
  }
  #resize(node: ModelNode, size: number): void {
    node.data =
      size <= node.data.length
        ? Buffer.from(node.data.subarray(0, size))
        : Buffer.concat([node.data, Buffer.alloc(size - node.data.length)]);
  }
  #write(node: ModelNode, offset: number, bytes: Buffer): void {
    if (offset + bytes.length > node.data.length) this.#resize(node, offset + bytes.length);
    bytes.copy(node.data, offset);
  }
  #handle(handle: number): ModelNode {
    return this.handles.get(handle) ?? refuse('EBADF');
  }

  /** Does the operation; returns what it shows (empty if nothing); throws {@link ModelError}. */
  apply(op: Op): string {
    switch (op.op) {
      case 'create':
        return this.#create(op.path, op.exclusive);
      case 'write':
        return (this.#write(this.#file(op.path), op.offset, opBytes(op.length, op.seed)), '');
      case 'truncate':
        return (this.#resize(this.#file(op.path), op.size), '');
      case 'read':
        return this.#file(op.path).data.toString('latin1', op.offset, op.offset + op.length);
      case 'mkdir': {
        const { dir, name } = this.#free(op.path);
        dir.children.set(name, newNode('dir'));
        dir.links++;
        return '';
      }
      case 'rmdir':
        return this.#rmdir(op.path);
      case 'unlink': {
        const { dir, name } = this.#directory(op.path);
        const node = dir.children.get(name) ?? refuse('ENOENT');
        if (node.kind === 'dir') return refuse('EISDIR');
        node.links--;
        dir.children.delete(name);
        return '';
      }
      case 'list': {
        const node = this.#node(op.path);
        if (node.kind === 'symlink') return refuse('ENOENT');
        return node.kind === 'dir' ? [...node.children.keys()].sort().join(' ') : refuse('ENOTDIR');
      }
      case 'stat':
        return this.show(this.#node(op.path));
      case 'sync':
        return '';
      case 'readlink': {
        const node = this.#node(op.path);
        return node.kind === 'symlink' ? node.target : refuse('EINVAL');
      }
      case 'symlink': {
        const { dir, name } = this.#free(op.path);
        const node = newNode('symlink');
        node.target = op.target;
        dir.children.set(name, node);
        return '';
      }
      case 'link':
        return this.#link(op.from, op.path);
      case 'rename':
        return this.#rename(op.from, op.path, op.flags);
      case 'setxattr':
        return (this.#xattrNode(op.path, 'EPERM').xattrs.set(op.name, op.value), '');
      case 'removexattr':
        return this.#xattrNode(op.path, 'EPERM').xattrs.delete(op.name) ? '' : refuse('ENODATA');
      case 'open':
        return this.#open(op.path, op.handle);
      case 'pwrite':
        return (this.#write(this.#handle(op.handle), op.offset, opBytes(op.length, op.seed)), '');
      case 'pread':
        return this.#handle(op.handle).data.toString('latin1', op.offset, op.offset + op.length);
      case 'close':
        return this.handles.delete(op.handle) ? '' : refuse('EBADF');
    }
  }

  show(node: ModelNode): string {
    const size = node.kind === 'symlink' ? node.target.length : node.data.length;
    return describe(
      node.kind,
      size,
      node.links,
      [...node.xattrs].map(([name, value]) => `${name}=${value.length}`),
    );
  }

  #create(path: string, exclusive: boolean): string {
    const { dir, name } = this.#directory(path);
    const found = dir.children.get(name);
    if (found && exclusive) return refuse('EEXIST');
    if (found?.kind === 'dir') return refuse('EISDIR');
    // O_NOFOLLOW.
    if (found?.kind === 'symlink') return refuse('ELOOP');
    if (!found) dir.children.set(name, newNode('file'));
    return '';
  }
  #rmdir(path: string): string {
    const { dir, name } = this.#directory(path);
    const node = dir.children.get(name) ?? refuse('ENOENT');
    if (node.kind !== 'dir') return refuse('ENOTDIR');
    if (node.children.size > 0) return refuse('ENOTEMPTY');
    dir.children.delete(name);
    dir.links--;
    return '';
  }
  #link(from: string, path: string): string {
    const node = this.#node(from);
    const { dir, name } = this.#free(path);
    if (node.kind === 'dir') return refuse('EPERM');
    dir.children.set(name, node);
    node.links++;
    return '';
  }
  #xattrNode(path: string, refusal: string): ModelNode {
    const node = this.#node(path);
    return node.kind === 'symlink' ? refuse(refusal) : node;
  }
  #open(path: string, handle: number): string {
    const file = this.#file(path);
    this.handles.set(handle, file);
    return '';
  }

  #contains(ancestor: ModelNode, node: ModelNode): boolean {
    return ancestor === node || [...ancestor.children.values()].some((child) => this.#contains(child, node));
  }

  /** In the order of do_renameat2 and vfs_rename. */
  #rename(from: string, path: string, flags: number): string {
    const [a, b] = [this.#directory(from), this.#directory(path)];
    const source = a.dir.children.get(a.name) ?? refuse('ENOENT');
    const target = b.dir.children.get(b.name);
    if (target && flags === 1) return refuse('EEXIST');
    if (!target && flags === 2) return refuse('ENOENT');
    if (source.kind === 'dir' && this.#contains(source, b.dir)) return refuse('EINVAL');
    if (target?.kind === 'dir' && this.#contains(target, a.dir))
      return refuse(flags === 2 ? 'EINVAL' : 'ENOTEMPTY');
    if (source === target) return '';
    if (flags === 2 && target) this.#place(a, b, source, target);
    else {
      if (target?.kind === 'dir' && source.kind !== 'dir') return refuse('EISDIR');
      if (target && target.kind !== 'dir' && source.kind === 'dir') return refuse('ENOTDIR');
      if (target && target.children.size > 0) return refuse('ENOTEMPTY');
      if (target?.kind === 'dir') b.dir.links--;
      else if (target) target.links--;
      this.#place(a, b, source, undefined);
    }
    return '';
  }
  #place(
    a: { dir: ModelNode; name: string },
    b: { dir: ModelNode; name: string },
    source: ModelNode,
    back: ModelNode | undefined,
  ): void {
    a.dir.children.delete(a.name);
    b.dir.children.set(b.name, source);
    if (back) a.dir.children.set(a.name, back);
    if (source.kind === 'dir') {
      a.dir.links--;
      b.dir.links++;
    }
    if (back?.kind === 'dir') {
      b.dir.links--;
      a.dir.links++;
    }
  }
}
