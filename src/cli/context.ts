/** What the commands reach the world through; tests give their own. */
import type { Host } from '../daemon/host.js';
import type { Surroundings } from '../daemon/places.js';
import type { DaemonPorts, StorePort } from '../daemon/ports.js';
import type { TransportChoice } from '../daemon/settings.js';

/** A person who watches and can be asked. */
export interface Terminal {
  /** Shows `text` instead of the line shown before; an empty text takes it away. */
  progress(text: string): void;
  /** The answer, without the end of its line; undefined if there is none. */
  ask(question: string): Promise<string | undefined>;
}

export interface CliContext {
  /** To stdout; the text ends in a newline. */
  out(text: string): void;
  /** To stderr. */
  err(text: string): void;
  /** Absent unless stdin and stderr are terminals. */
  terminal?: Terminal;
  here: Surroundings;
  host: Host;
  /** Loaded when needed: status and umount do without SQLite and native code. */
  loadStore(): Promise<StorePort>;
  /** Throws a Failure where the transport asked for can't be used. */
  loadDaemonPorts(transport: TransportChoice): Promise<DaemonPorts>;
  /** The script that a background daemon is started with (bin/vnodefs.js). */
  script: string;
}

export interface JsonOption {
  json?: true;
}

/** Prints a result: one JSON document with `--json`, otherwise the lines for people. */
export const printResult = (
  context: CliContext,
  { json }: JsonOption,
  result: object,
  lines: readonly string[],
): void => {
  if (json) context.out(`${JSON.stringify(result)}\n`);
  else for (const line of lines) context.out(`${line}\n`);
};
