/**
 * The dispatcher's side of the notifier thread: sends, calls back when the kernel has done as it was told, and closes
 * devices.
 *
 * INVARIANT: nothing is sent to a device after {@link Notifications.closeDevice}: its number may be another mount's by
 * then.
 */
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import type { NotifyReply, NotifyRequest } from './notifier-messages.js';

export class Notifications {
  sent = 0;
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, (errno: number) => void>();

  constructor(port: MessagePort) {
    this.#port = port;
  }

  /**
   * Writes whole notifications, as notify.ts encodes them, to the device. `done` is called from {@link take}, with 0 or
   * the errno of the last that failed.
   */
  send(deviceFd: number, messages: readonly Uint8Array[], done: (errno: number) => void): void {
    const id = ++this.sent;
    this.#waiting.set(id, done);
    this.#post({ kind: 'write', id, deviceFd, messages });
  }

  /** Closes the device of a session that has ended, once the notifications before have been written. */
  closeDevice(deviceFd: number): void {
    this.#post({ kind: 'close', deviceFd });
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

  #post(request: NotifyRequest): void {
    this.#port.postMessage(request);
  }
}
