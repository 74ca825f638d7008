/** The main thread's end of the conversation with the dispatcher: one {@link DispatcherLink}, on it a {@link MountLink} a mount. */
import type { MessagePort } from 'node:worker_threads';
import type { EndResult } from './control-protocol.js';
import { Failure } from './failure.js';
import type {
  ClosedFiles,
  DispatcherStatus,
  FromDispatcher,
  FromMount,
  MountConfig,
  ToDispatcher,
} from './messages.js';

export type Finished = Extract<FromMount, { kind: 'finished' }>;
export type LogMessage = Extract<FromMount, { kind: 'log' }>;

/** What the dispatcher says about a mount by itself. */
export interface MountEvents {
  ready(protocol: string, features: string[]): void;
  refused(error: Error): void;
  log(message: LogMessage): void;
  finished(message: Finished): void;
}

type Answer = DispatcherStatus | EndResult | ClosedFiles;

interface Pending {
  resolve: (answer: Answer) => void;
  reject: (error: Failure) => void;
}

const errorOf = (message: string, stack: string): Error => {
  const error = new Error(message);
  if (stack !== '') error.stack = stack;
  return error;
};

export class DispatcherLink {
  readonly #port: MessagePort;
  readonly #wake: () => void;
  readonly #onFatal: (error: Error) => void;
  readonly #mounts = new Map<number, MountLink>();
  #lastMount = 0;
  #pong: (task: string) => void = () => undefined;

  /** `wake` writes to the dispatcher's eventfd: it follows every message. */
  constructor(port: MessagePort, wake: () => void, onFatal: (error: Error) => void) {
    this.#port = port;
    this.#wake = wake;
    this.#onFatal = onFatal;
    port.on('message', (message: FromDispatcher) => this.#receive(message));
  }

  /** Has the dispatcher serve one more mount; `events` tell how it goes. The device and `syncer` are the dispatcher's now. */
  add(config: MountConfig, syncer: MessagePort, events: MountEvents): MountLink {
    const mount = ++this.#lastMount;
    const link = new MountLink(mount, events, (message) => this.#send(message));
    this.#mounts.set(mount, link);
    this.#send({ kind: 'add', mount, config, syncer }, [syncer]);
    return link;
  }

  /** Resolves when the dispatcher has had its turn, with the name of its thread. Not two at a time. */
  ping(): Promise<string> {
    return new Promise((resolve) => {
      this.#pong = resolve;
      this.#send({ kind: 'ping' });
    });
  }

  #send(message: ToDispatcher, transfer: MessagePort[] = []): void {
    this.#port.postMessage(message, transfer);
    this.#wake();
    if (message.kind === 'drop') this.#mounts.delete(message.mount);
  }

  #receive(message: FromDispatcher): void {
    if (message.kind === 'pong') this.#pong(message.task);
    else if (message.kind === 'fatal') this.#onFatal(errorOf(message.message, message.stack));
    else this.#mounts.get(message.mount)?.receive(message);
  }
}

export class MountLink {
  readonly #mount: number;
  readonly #events: MountEvents;
  readonly #send: (message: ToDispatcher) => void;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #closed = false;

  constructor(mount: number, events: MountEvents, send: (message: ToDispatcher) => void) {
    this.#mount = mount;
    this.#events = events;
    this.#send = send;
  }

  /** `check`: with what does not hold of the invariants. */
  status(check = false): Promise<DispatcherStatus> {
    return this.#ask((id) => ({
      kind: 'status',
      mount: this.#mount,
      id,
      check,
    })) as Promise<DispatcherStatus>;
  }

  /** A barrier: resolves when everything so far is durable, or with why it is not. */
  sync(): Promise<EndResult> {
    return this.#ask((id) => ({ kind: 'sync', mount: this.#mount, id })) as Promise<EndResult>;
  }

  /** The mount point has been detached: commit, close, and say 'finished'. */
  finish(limitMs?: number): void {
    if (!this.#closed) this.#send({ kind: 'finish', mount: this.#mount, limitMs });
  }

  /** What is committed from now on is counted, for 'finished'. */
  tally(): void {
    if (!this.#closed) this.#send({ kind: 'tally', mount: this.#mount });
  }

  /** See src/vfs/force-close.ts. May never answer. */
  closeFiles(how: 'writers' | 'all'): Promise<ClosedFiles> {
    return this.#ask((id) => ({ kind: 'close', mount: this.#mount, id, how })) as Promise<ClosedFiles>;
  }

  /** EBUSY while files are open for writing. */
  setReadOnly(readOnly: boolean): Promise<EndResult> {
    return this.#ask((id) => ({ kind: 'read-only', mount: this.#mount, id, readOnly })) as Promise<EndResult>;
  }

  /** No more answers are wanted: questions still open fail. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#pending.values()) reject(new Failure('general', 'the mount has ended'));
    this.#pending.clear();
  }

  /** After {@link close}: both sides forget the mount, whatever it still holds. Requires that its syncer has closed its store, or ended. */
  drop(): void {
    this.#send({ kind: 'drop', mount: this.#mount });
  }

  #ask(question: (id: number) => ToDispatcher): Promise<Answer> {
    if (this.#closed) return Promise.reject(new Failure('general', 'the mount has ended'));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#send(question(id));
    });
  }

  receive(message: FromMount): void {
    if (this.#closed && message.kind !== 'log') return;
    switch (message.kind) {
      case 'ready':
        return this.#events.ready(message.protocol, message.features);
      case 'refused':
        return this.#events.refused(errorOf(message.message, message.stack));
      case 'log':
        return this.#events.log(message);
      case 'finished':
        return this.#events.finished(message);
      case 'status':
        return this.#answer(message.id, message.status);
      case 'closed':
        return this.#answer(message.id, message.closed);
      case 'synced':
        return this.#answer(message.id, { errno: message.errno, reason: message.reason });
    }
  }

  #answer(id: number, answer: Answer): void {
    this.#pending.get(id)?.resolve(answer);
    this.#pending.delete(id);
  }
}
