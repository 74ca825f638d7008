/**
 * One mount behind fuse-native: takes the binding's requests, has the core carry them out, answers each exactly once.
 *
 * Everything happens on the main thread (the binding knows no other), in turns of its event loop; libfuse's own threads
 * wait meanwhile, each for its answer. So nothing on this thread may wait for this mount.
 *
 *   idle → mounting → running → ended
 */
import { Errno, FsError } from '../../base/errno.js';
import { InvariantError } from '../../base/assert.js';
import { WouldBlock, type Caller, type Vfs } from '../../vfs/api.js';
import type { EndCause, SessionLog } from '../kernel/session-options.js';
import type { FuseClass, NativeSignal } from './binding.js';
import type { Answer, NativeContext } from './context.js';
import { HiddenFiles } from './hidden-files.js';
import { OpenFiles } from './open-files.js';
import { BUFFER_ARGUMENT, COUNT_BEFORE_BUFFER, OPERATIONS, SETTLES_ITSELF } from './operations.js';
import { optionString, type NativeMountOptions } from './option-string.js';
import { Paths } from './paths.js';
import type { Platform } from './platform.js';
import type { OwnerView } from './stat-array.js';

export interface NativeSessionInit {
  readonly vfs: Vfs;
  readonly pool: SharedArrayBuffer;
  readonly binding: FuseClass;
  readonly options: NativeMountOptions & { forcedUid: number | undefined; forcedGid: number | undefined };
  readonly log: SessionLog;
  /** Requests have been carried out: deadlines of the core may have moved. */
  readonly turnEnded: () => void;
  /** Called once. Requests that waited have been answered EIO. */
  readonly onEnd: (cause: EndCause) => void;
}

interface Waiting {
  readonly cancel: () => void;
  readonly answer: Answer;
}

export class NativeSession implements NativeContext {
  readonly vfs: Vfs;
  readonly caller: Caller;
  readonly hidden = new HiddenFiles();
  readonly files = new OpenFiles();
  readonly paths: Paths;
  readonly view: OwnerView;
  readonly platform: Platform;
  readonly pool: Uint8Array;
  locals: Uint8Array = new Uint8Array(0);
  readonly #init: NativeSessionInit;
  readonly #counts = new Map<string, number>();
  readonly #waiting = new Set<Waiting>();
  readonly #warned = new Set<string>();
  #ended = false;
  #deferred = 0;
  #bugs = 0;
  #settling: NodeJS.Immediate | undefined;

  constructor(init: NativeSessionInit) {
    this.#init = init;
    this.vfs = init.vfs;
    this.caller = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, pid: 0 };
    this.paths = new Paths(init.vfs, this.caller, this.hidden);
    this.view = { uid: init.options.forcedUid, gid: init.options.forcedGid };
    this.platform = init.options.platform;
    this.pool = new Uint8Array(init.pool);
  }

  /**
   * Mounts; resolves when the kernel's INIT has been answered. Rejects with the binding's error: libfuse has said on standard error
   * why. Throws MountError for options that don't fit.
   */
  mount(): Promise<void> {
    const { binding, options } = this.#init;
    const text = optionString(options);
    const implemented = Object.fromEntries(Object.keys(OPERATIONS).map((name) => [name, true]));
    const fuse = new binding(options.mountpoint, implemented, { timeout: false });
    fuse._fuseOptions = () => text;
    fuse._handlers = fuse._handlers.map(
      (handler) =>
        handler &&
        ((locals, op, ...args) => {
          this.locals = locals;
          handler(locals, op, ...args);
        }),
    );
    for (const name of Object.keys(OPERATIONS))
      fuse[`_op_${name}`] = (signal, ...args) => this.#take(name, signal, args);
    return new Promise((resolve, reject) => {
      fuse.mount((error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
  }

  /** What libfuse was told. */
  get features(): string[] {
    return optionString(this.#init.options).slice(2).split(',');
  }

  /** Requests so far, by the binding's names; only those that came. */
  requestCounts(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }

  counters(): Record<string, number> {
    return {
      deferred: this.#deferred,
      deferredNow: this.#waiting.size,
      openFiles: this.files.size,
      hiddenFiles: this.hidden.size,
      unexpectedErrors: this.#bugs,
    };
  }

  settle(): void {
    const { pending } = this.hidden;
    if (pending === undefined) return;
    try {
      this.vfs.unlink(this.caller, pending.parent, pending.name);
    } catch (error) {
      // Only the kernel's requests change names, and this comes before all of them: there is nothing that could refuse it.
      if (!(error instanceof FsError)) throw error;
      this.#unexpected('unlink of a hidden file', error);
    }
    this.hidden.settled();
  }

  warnOnce(what: string, fields: Record<string, unknown>): void {
    if (this.#warned.has(what)) return;
    this.#warned.add(what);
    this.#init.log('warn', what, fields);
  }

  /** No more requests are carried out; those that wait are answered EIO, so that libfuse's threads can end. Idempotent. */
  end(cause: EndCause): void {
    if (this.#ended) return;
    this.settleNow();
    this.#ended = true;
    clearImmediate(this.#settling);
    for (const { cancel, answer } of this.#waiting) {
      cancel();
      answer(-Errno.EIO);
    }
    this.#waiting.clear();
    this.#init.onEnd(cause);
  }

  #take(name: string, signal: NativeSignal, args: unknown[]): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    const bufferAt = BUFFER_ARGUMENT[name];
    const buffer = bufferAt === undefined ? undefined : (args[bufferAt] as Uint8Array);
    const withCount = COUNT_BEFORE_BUFFER.includes(name);
    let answered = false;
    const answer: Answer = (result, ...extra) => {
      if (answered) throw new InvariantError(`${name} was answered twice`);
      answered = true;
      if (buffer === undefined) signal(result, ...extra);
      else if (withCount) signal(result, 0, buffer.buffer);
      else signal(result, buffer.buffer);
    };
    this.#run(name, answer, () => answered, args);
  }

  #run(name: string, answer: Answer, isAnswered: () => boolean, args: unknown[]): void {
    if (this.#ended) {
      answer(-Errno.EIO);
      return;
    }
    try {
      if (name !== SETTLES_ITSELF) this.settle();
      OPERATIONS[name](this, answer, ...args);
      if (this.hidden.pending !== undefined) this.#settleSoon();
      this.#init.turnEnded();
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      if (error instanceof WouldBlock && !isAnswered()) this.#defer(name, answer, isAnswered, args, error);
      else if (error instanceof FsError && !isAnswered()) answer(-this.platform.errno(error.errno));
      else {
        this.#unexpected(name, error);
        if (!isAnswered()) answer(-Errno.EIO);
      }
    }
  }

  #defer(
    name: string,
    answer: Answer,
    isAnswered: () => boolean,
    args: unknown[],
    { channel }: WouldBlock,
  ): void {
    this.#deferred++;
    const { locals } = this;
    const cancel = channel.wait(() => {
      this.#waiting.delete(waiting);
      this.locals = locals;
      this.#run(name, answer, isAnswered, args);
    });
    const waiting: Waiting = { cancel, answer };
    this.#waiting.add(waiting);
  }

  /** If no second half follows at once, the rename to a hidden name was an unlink. */
  #settleSoon(): void {
    if (this.#settling !== undefined) return;
    this.#settling = setImmediate(() => {
      this.#settling = setImmediate(() => {
        this.#settling = undefined;
        this.settleNow();
      });
    });
  }

  /** As {@link settle}, by itself: throttled, it comes again. */
  settleNow(): void {
    if (this.#ended) return;
    try {
      this.settle();
    } catch (error) {
      if (!(error instanceof WouldBlock)) throw error;
      error.channel.wait(() => this.settleNow());
    }
  }

  #unexpected(op: string, error: unknown): void {
    this.#bugs++;
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    this.#init.log('error', 'unexpected error while serving a request', { op, error: message, stack });
  }
}
