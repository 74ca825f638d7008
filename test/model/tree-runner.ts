/** Performs the model's operations on a client, compares, and shrinks a log that shows a difference. */
import { Prng } from '../../src/base/prng.js';
import { errorCode, O, type PosixClient, S } from '../harness/posix-client.js';
import { describe, ModelError, type Op, opBytes, randomOp, TreeModel } from './tree-model.js';

const kindOf = (mode: number): string =>
  (mode & S.IFMT) === S.IFDIR ? 'dir' : (mode & S.IFMT) === S.IFLNK ? 'symlink' : 'file';

/** One client in one directory. */
export class TreeActor {
  readonly #fs: PosixClient;
  readonly #dir: string;
  readonly #prefix: string;
  readonly #fds = new Map<number, number>();

  /** `prefix`: of the names in `dir` that are ours; the directory may hold others'. */
  constructor(fs: PosixClient, dir: string, prefix = '') {
    this.#fs = fs;
    this.#dir = dir;
    this.#prefix = prefix;
  }

  #path(path: string): string {
    return `${this.#dir}/${this.#prefix}${path}`;
  }
  #with<T>(path: string, flags: number, work: (fd: number) => T): T {
    const fd = this.#fs.open(this.#path(path), flags);
    try {
      return work(fd);
    } finally {
      this.#fs.close(fd);
    }
  }
  #write(fd: number, bytes: Buffer, offset: number): void {
    for (let done = 0; done < bytes.length;) done += this.#fs.write(fd, bytes.subarray(done), offset + done);
  }
  #fd(handle: number): number {
    const fd = this.#fds.get(handle);
    if (fd === undefined) throw new ModelError('EBADF');
    return fd;
  }

  show(path: string): string {
    const s = this.#fs.lstat(this.#path(path));
    const kind = kindOf(s.mode);
    const names = kind === 'symlink' ? [] : this.#fs.listxattr(this.#path(path));
    const xattrs = names.map((name) => `${name}=${this.#fs.getxattr(this.#path(path), name).length}`);
    return describe(kind, s.size, s.nlink, xattrs);
  }
  list(path: string): string[] {
    if (path !== '') return this.#fs.readdir(this.#path(path)).map(String).sort();
    const names = this.#fs.readdir(this.#dir).map(String);
    return names
      .filter((name) => name.startsWith(this.#prefix))
      .map((name) => name.slice(this.#prefix.length))
      .sort();
  }
  read(path: string, offset: number, length: number): string {
    return this.#with(path, O.RDONLY, (fd) => this.#fs.read(fd, length, offset).toString('latin1'));
  }

  apply(op: Op): string {
    const fs = this.#fs;
    switch (op.op) {
      case 'create':
        this.#with(op.path, O.WRONLY | O.CREAT | O.NOFOLLOW | (op.exclusive ? O.EXCL : 0), () => undefined);
        return '';
      case 'write':
        this.#with(op.path, O.WRONLY, (fd) => this.#write(fd, opBytes(op.length, op.seed), op.offset));
        return '';
      case 'truncate':
        return (fs.truncate(this.#path(op.path), op.size), '');
      case 'read':
        // A directory opens for reading, and then refuses: the same errno.
        return this.read(op.path, op.offset, op.length);
      case 'mkdir':
      case 'rmdir':
      case 'unlink':
        return (fs[op.op](this.#path(op.path)), '');
      case 'list':
        return this.list(op.path).join(' ');
      case 'stat':
        return this.show(op.path);
      case 'sync': {
        const fd = fs.open(this.#dir, O.RDONLY | O.DIRECTORY);
        fs.syncfs(fd);
        fs.close(fd);
        return '';
      }
      case 'readlink':
        return fs.readlink(this.#path(op.path)).toString();
      case 'symlink':
        return (fs.symlink(op.target, this.#path(op.path)), '');
      case 'link':
        return (fs.link(this.#path(op.from), this.#path(op.path)), '');
      case 'rename':
        return (fs.rename(this.#path(op.from), this.#path(op.path), op.flags), '');
      case 'setxattr':
        return (fs.setxattr(this.#path(op.path), op.name, Buffer.from(op.value)), '');
      case 'removexattr':
        return (fs.removexattr(this.#path(op.path), op.name), '');
      case 'open': {
        const fd = fs.open(this.#path(op.path), O.RDWR);
        this.#close(op.handle);
        this.#fds.set(op.handle, fd);
        return '';
      }
      case 'pwrite':
        return (this.#write(this.#fd(op.handle), opBytes(op.length, op.seed), op.offset), '');
      case 'pread':
        return fs.read(this.#fd(op.handle), op.length, op.offset).toString('latin1');
      case 'close':
        this.#fd(op.handle);
        return (this.#close(op.handle), '');
    }
  }
  #close(handle: number): void {
    const fd = this.#fds.get(handle);
    this.#fds.delete(handle);
    if (fd !== undefined) this.#fs.close(fd);
  }
  closeAll(): void {
    for (const handle of [...this.#fds.keys()]) this.#close(handle);
  }
  remove(): void {
    this.#remove('');
    this.#fs.rmdir(this.#dir);
  }
  #remove(path: string): void {
    for (const name of this.list(path)) {
      const child = path === '' ? name : `${path}/${name}`;
      if (kindOf(this.#fs.lstat(this.#path(child)).mode) === 'dir') this.#remove(child);
      else this.#fs.unlink(this.#path(child));
    }
    if (path !== '') this.#fs.rmdir(this.#path(path));
  }
}

export const outcome = (work: () => string): string => {
  try {
    return `ok ${work()}`;
  } catch (error) {
    return error instanceof ModelError ? error.code : errorCode(error);
  }
};
const brief = (text: string): string =>
  text.length > 80 ? `${JSON.stringify(text.slice(0, 80))}… (${text.length})` : text;

/** Where two outcomes part, for people. */
export const explain = (wanted: string, got: string): string => {
  if (wanted.length < 100 && got.length < 100) return `wanted ${brief(wanted)}, got ${brief(got)}`;
  let i = 0;
  while (i < wanted.length && wanted[i] === got[i]) i++;
  const lengths = `lengths ${wanted.length - 3}/${got.length - 3}`;
  return `${lengths}, at ${i - 3}: wanted ${wanted.charCodeAt(i)}, got ${got.charCodeAt(i)}`;
};

/** The whole tree, by the model's paths. */
export const compareWhole = (model: TreeModel, actor: TreeActor): string | undefined => {
  const visit = (node: TreeModel['root'], path: string): string | undefined => {
    const [wanted, got] = [[...node.children.keys()].sort().join(' '), actor.list(path).join(' ')];
    if (wanted !== got) return `list of '${path}': wanted ${wanted}, got ${got}`;
    for (const [name, child] of node.children) {
      const childPath = path === '' ? name : `${path}/${name}`;
      const [shown, actual] = [model.show(child), outcome(() => actor.show(childPath))];
      if (`ok ${shown}` !== actual) return `'${childPath}': wanted ${shown}, got ${actual}`;
      if (child.kind === 'file') {
        const data = child.data.toString('latin1');
        const read = actor.read(childPath, 0, data.length + 10);
        if (read !== data) return `content of '${childPath}': ${explain(`ok ${data}`, `ok ${read}`)}`;
      }
      const inner = child.kind === 'dir' ? visit(child, childPath) : undefined;
      if (inner !== undefined) return inner;
    }
    return undefined;
  };
  return visit(model.root, '');
};

export interface Difference {
  /** Index of the operation; the log's length if only the final comparison found it. */
  index: number;
  what: string;
}

export interface ReplayOptions {
  /** Operations between two comparisons of the whole tree; every outcome is compared anyway, and the whole at the end. */
  wholeEvery: number;
  /** Called after each operation; may throw. */
  onStep?: () => void;
  /** The tree stays: for a store that is thrown away, where removing a deep tree name by name takes as long as the log did. */
  keepsTree?: boolean;
}

let runs = 0;
/** Replays a log in a fresh directory, and removes that again. */
export const replay = (
  fs: PosixClient,
  log: readonly Op[],
  { wholeEvery, onStep, keepsTree = false }: ReplayOptions,
): Difference | undefined => {
  const model = new TreeModel();
  const dir = `${fs.root}/model-${runs++}`;
  fs.mkdir(dir);
  const actor = new TreeActor(fs, dir);
  try {
    for (const [index, op] of log.entries()) {
      const wanted = outcome(() => model.apply(op));
      const got = outcome(() => actor.apply(op));
      onStep?.();
      if (wanted !== got) return { index, what: `${JSON.stringify(op)}: ${explain(wanted, got)}` };
      if ((index + 1) % wholeEvery === 0 && index + 1 < log.length) {
        const what = compareWhole(model, actor);
        if (what !== undefined) return { index, what };
      }
    }
    const what = compareWhole(model, actor);
    return what === undefined ? undefined : { index: log.length, what };
  } finally {
    actor.closeAll();
    if (!keepsTree) actor.remove();
  }
};

const SHRINK_MS = 60_000;

/** Leaves out what isn't needed: halves, quarters, … single operations, within `budget` replays and a minute. */
export const shrink = (fs: PosixClient, failing: readonly Op[], budget = 300): Op[] => {
  const untilMs = performance.now() + SHRINK_MS;
  let log = [...failing];
  for (let size = Math.ceil(log.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = 0; start < log.length && budget > 0 && performance.now() < untilMs; budget--) {
      const candidate = [...log.slice(0, start), ...log.slice(start + size)];
      const difference = replay(fs, candidate, { wholeEvery: 1 });
      if (difference) log = candidate.slice(0, difference.index + 1);
      else start += size;
    }
  }
  return log;
};

/** Runs `count` random operations; undefined if model and client agree, otherwise a report with the shrunk log. */
export const runModel = (
  fs: PosixClient,
  seed: number,
  count: number,
  options: Partial<ReplayOptions> = {},
): string | undefined => {
  const prng = new Prng(seed);
  const log = Array.from({ length: count }, () => randomOp(prng));
  // The tree grows with the log: comparing all of it must not be most of the work.
  const wholeEvery = Math.max(200, Math.floor(count / 50));
  const difference = replay(fs, log, { wholeEvery, ...options });
  if (!difference) return undefined;
  const shrunk = shrink(fs, log.slice(0, difference.index + 1));
  const again = replay(fs, shrunk, { wholeEvery: 1 });
  const lines = shrunk.map((op) => JSON.stringify(op)).join('\n');
  const first = `seed ${seed}, operation ${difference.index}: ${difference.what}`;
  return `${first}\nshrunk to ${shrunk.length} operations (${again?.what ?? 'which no longer fail'}):\n${lines}`;
};
