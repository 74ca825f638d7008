/**
 * The daemon's end of the control socket. Holds no state of the mount: every request goes to {@link
 * ControlHandlers}.
 */
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import {
  encodeLine,
  LineSplitter,
  parseRequest,
  type ControlOp,
  type ControlReply,
  type ControlResults,
} from './control-protocol.js';
import { errorText, Failure } from './failure.js';

/** `args` come from another process: see {@link ControlArgs} for what they should be. */
export type ControlHandlers = { [Op in ControlOp]: (args: unknown) => Promise<ControlResults[Op]> };

export class ControlServer {
  readonly #handlers: ControlHandlers;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(handlers: ControlHandlers) {
    this.#handlers = handlers;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Listens on the unix socket `path`, replacing a dead one. The caller knows that no living daemon uses it. */
  async listen(path: string): Promise<void> {
    rmSync(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  /** Stops listening, gives what has been written a moment to leave, and cuts the rest. */
  async close(graceMs = 200): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.end();
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, graceMs);
    await closed;
    clearTimeout(timer);
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setEncoding('utf8');
    const lines = new LineSplitter((line) => this.#request(socket, line));
    socket.on('data', (text: string) => {
      try {
        lines.push(text);
      } catch {
        socket.destroy();
      }
    });
    socket.on('error', () => socket.destroy()); // the asker has gone; there is nobody to tell
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #request(socket: Socket, line: string): void {
    const request = parseRequest(line);
    const reply = (message: ControlReply): void => {
      if (!socket.destroyed && socket.writable) socket.write(encodeLine(message));
    };
    if ('error' in request) {
      reply({ id: request.id, ok: false, error: request.error });
      return;
    }
    this.#handlers[request.op](request.args).then(
      (result) => reply({ id: request.id, ok: true, result }),
      (error: unknown) => {
        const failure = error instanceof Failure ? { failure: error.kind } : {};
        reply({ id: request.id, ok: false, error: errorText(error), ...failure });
      },
    );
  }
}
