/** The main thread's end of the conversation with the dispatcher: questions with answers, and events. */
import type { MessagePort } from 'node:worker_threads';
import type { EndResult } from './control-protocol.js';
import { Failure } from './failure.js';
import type { DispatcherStatus, FromDispatcher, ToDispatcher } from './messages.js';

export type Finished = Extract<FromDispatcher, { kind: 'finished' }>;

export interface LinkEvents {
  ready(protocol: string, features: string[]): void;
  log(message: Extract<FromDispatcher, { kind: 'log' }>): void;
  finished(message: Finished): void;
  fatal(message: string, stack: string): void;
}

interface Pending {
  resolve: (answer: DispatcherStatus | EndResult) => void;
  reject: (error: Failure) => void;
}

export class DispatcherLink {
  readonly #port: MessagePort;
  readonly #wake: () => void;
  readonly #events: LinkEvents;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #closed = false;

  /** `wake` writes to the dispatcher's eventfd: it follows every message. */
  constructor(port: MessagePort, wake: () => void, events: LinkEvents) {
    this.#port = port;
    this.#wake = wake;
    this.#events = events;
    port.on('message', (message: FromDispatcher) => this.#receive(message));
  }

  status(): Promise<DispatcherStatus> {
    return this.#ask('status') as Promise<DispatcherStatus>;
  }

  /** A barrier: resolves when everything so far is durable, or with why it is not. */
  sync(): Promise<EndResult> {
    return this.#ask('sync') as Promise<EndResult>;
  }

  /** The mount point has been detached: commit, close, and say 'finished'. */
  finish(): void {
    this.#send({ kind: 'finish' });
  }

  /** No more answers will come: questions still open fail. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#pending.values()) reject(new Failure('general', 'the mount has ended'));
    this.#pending.clear();
    this.#port.close();
  }

  #ask(kind: 'status' | 'sync'): Promise<DispatcherStatus | EndResult> {
    if (this.#closed) return Promise.reject(new Failure('general', 'the mount has ended'));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#send({ kind, id });
    });
  }

  #send(message: ToDispatcher): void {
    if (this.#closed) return;
    this.#port.postMessage(message);
    this.#wake();
  }

  #receive(message: FromDispatcher): void {
    switch (message.kind) {
      case 'ready':
        return this.#events.ready(message.protocol, message.features);
      case 'log':
        return this.#events.log(message);
      case 'finished':
        return this.#events.finished(message);
      case 'fatal':
        return this.#events.fatal(message.message, message.stack);
      case 'status':
        return this.#answer(message.id, message.status);
      case 'synced':
        return this.#answer(message.id, { errno: message.errno, reason: message.reason });
    }
  }

  #answer(id: number, answer: DispatcherStatus | EndResult): void {
    this.#pending.get(id)?.resolve(answer);
    this.#pending.delete(id);
  }
}
