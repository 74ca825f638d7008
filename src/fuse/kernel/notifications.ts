/** The dispatcher's side of the notifier thread: sends, and calls back when the kernel has done as it was told. */
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import type { NotifyReply, NotifyRequest } from './notifier-messages.js';

export class Notifications {
  sent = 0;
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, (errno: number) => void>();

  constructor(port: MessagePort) {
    this.#port = port;
  }

  /** `done` is called from {@link take}, with 0 or an errno. */
  send(message: Uint8Array, done: (errno: number) => void): void {
    const request: NotifyRequest = { id: ++this.sent, message };
    this.#waiting.set(request.id, done);
    this.#port.postMessage(request);
  }

  /** Takes the answers that have come; after the eventfd was rung. */
  take(): void {
    for (let got = receiveMessageOnPort(this.#port); got; got = receiveMessageOnPort(this.#port)) {
      const { id, errno } = got.message as NotifyReply;
      const done = this.#waiting.get(id);
      this.#waiting.delete(id);
      done?.(errno);
    }
  }
}
