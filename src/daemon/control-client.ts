/**
 * Asks a daemon over its control socket. Every question has a time limit: a daemon that hangs can't hang its
 * asker.
 */
import { connect, type Socket } from 'node:net';
import {
  encodeLine,
  failureOf,
  LineSplitter,
  type ControlArgs,
  type ControlOp,
  type ControlReply,
  type ControlResults,
} from './control-protocol.js';
import { errorCode, errorText, Failure } from './failure.js';

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Failure): void;
}

export class ControlClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    const lines = new LineSplitter((line) => this.#reply(line));
    socket.on('data', (text: string) => {
      try {
        lines.push(text);
      } catch {
        socket.destroy(); // not our protocol: 'close' then fails every question
      }
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#fail(new Failure('general', 'the daemon ended without an answer')));
  }

  /** Throws a Failure: 'general' when nobody listens there, 'timed-out' when the connection isn't taken. */
  static open(path: string, timeoutMs: number): Promise<ControlClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      const timer = setTimeout(() => {
        socket.destroy();
        reject(new Failure('timed-out', `the daemon did not answer on ${path} within ${timeoutMs / 1000} s`));
      }, timeoutMs);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.removeAllListeners('error');
        resolve(new ControlClient(socket));
      });
      socket.once('error', (error) => {
        clearTimeout(timer);
        reject(
          new Failure(
            'general',
            `cannot reach the daemon on ${path} (${errorCode(error) || errorText(error)})`,
          ),
        );
      });
    });
  }

  /** `timeoutMs` Infinity waits for as long as the daemon lives. */
  ask<Op extends ControlOp>(op: Op, timeoutMs: number, args?: ControlArgs[Op]): Promise<ControlResults[Op]> {
    const id = this.#nextId++;
    return new Promise<ControlResults[Op]>((resolve, reject) => {
      const timer = Number.isFinite(timeoutMs)
        ? setTimeout(() => {
            this.#waiting.delete(id);
            reject(
              new Failure('timed-out', `the daemon did not answer '${op}' within ${timeoutMs / 1000} s`),
            );
          }, timeoutMs)
        : undefined;
      this.#waiting.set(id, {
        resolve: (result) => {
          clearTimeout(timer);
          resolve(result as ControlResults[Op]);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      if (this.#socket.destroyed) this.#fail(new Failure('general', 'the daemon has ended'));
      else this.#socket.write(encodeLine({ id, op, args }));
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #reply(line: string): void {
    const reply = JSON.parse(line) as ControlReply;
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.ok) waiting?.resolve(reply.result);
    else waiting?.reject(failureOf(reply));
  }

  #fail(error: Failure): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}

/** One question on a connection of its own. */
export const askOnce = async <Op extends ControlOp>(
  path: string,
  op: Op,
  timeoutMs: number,
  args?: ControlArgs[Op],
): Promise<ControlResults[Op]> => {
  const client = await ControlClient.open(path, timeoutMs);
  try {
    return await client.ask(op, timeoutMs, args);
  } finally {
    client.close();
  }
};
