/**
 * One JSON file per mount in the runtime directory: who serves it. An entry is a claim, not the truth: the process may
 * have died, so readers check {@link isAlive} and /proc/self/mountinfo. Written whole by rename, so a reader sees all
 * or nothing.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode, Failure } from './failure.js';
import { isAlive, type ProcessIdentity } from './process-identity.js';
import { isPrivate, makeRuntimeDir, nameOf, runtimeDirsOf, type Surroundings } from './places.js';

export interface RegistryEntry extends ProcessIdentity {
  mountpoint: string;
  store: string;
  transport: string;
  /** Why it is this one. */
  transportReason?: string;
  logFile: string;
  /** Path of the control socket. */
  socket: string;
  /** Milliseconds since the epoch. */
  startedMs: number;
}

/** unix(7): sun_path without its NUL. Node would cut a longer one silently. */
const SOCKET_PATH_MAX = 107;

/** A registry entry and the file it came from. */
export interface Registered {
  entry: RegistryEntry;
  file: string;
}

const isEntry = (value: unknown): value is RegistryEntry => {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Partial<Record<keyof RegistryEntry, unknown>>;
  return (
    ['mountpoint', 'store', 'transport', 'logFile', 'socket'].every(
      (name) => typeof fields[name as keyof RegistryEntry] === 'string',
    ) &&
    ['pid', 'startTicks', 'startedMs'].every((name) =>
      Number.isSafeInteger(fields[name as keyof RegistryEntry]),
    )
  );
};

/** Undefined for text that isn't an entry. */
export const parseEntry = (text: string): RegistryEntry | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    return isEntry(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

/**
 * Where this process puts the entry and the socket of `mountpoint`; makes the directory. The socket's name has our pid,
 * so that a daemon that fails to mount never takes a living one's socket.
 */
export const registryFiles = (mountpoint: string, here: Surroundings): { file: string; socket: string } => {
  const directory = makeRuntimeDir(here);
  const base = join(directory, nameOf(mountpoint));
  const socket = `${base}-${process.pid}.sock`;
  if (Buffer.byteLength(socket) > SOCKET_PATH_MAX)
    throw new Failure(
      'general',
      `the path of the runtime directory ${directory} is too long for a socket: set VNODEFS_RUNTIME_DIR to a shorter one`,
    );
  return { file: `${base}.json`, socket };
};

/** Replaces what is there. The socket of a daemon that was killed, and whose mount somebody cleared by hand, goes with it. */
export const writeEntry = (file: string, entry: RegistryEntry): void => {
  const before = readCurrent(file);
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
  renameSync(draft, file);
  if (before !== undefined && before.socket !== entry.socket && !isAlive(before))
    rmSync(before.socket, { force: true });
};

/** All entries of user `uid`, live or not; files that can't be read are passed over. */
export const listEntries = (uid: number, here: Surroundings): Registered[] =>
  runtimeDirsOf(uid, here)
    .filter((directory) => isPrivate(directory, uid))
    .flatMap((directory) => readDirectory(directory));

/** The names in a directory; none in one that is another user's (root's, seen by an ordinary user) or has gone. */
const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (['EACCES', 'ENOENT'].includes(errorCode(error))) return [];
    throw error;
  }
};

const readDirectory = (directory: string): Registered[] =>
  namesIn(directory)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => {
      const file = join(directory, name);
      try {
        const entry = parseEntry(readFileSync(file, 'utf8'));
        return entry === undefined ? [] : [{ entry, file }];
      } catch {
        return []; // removed meanwhile: its daemon has ended
      }
    });

export const findEntry = (mountpoint: string, uid: number, here: Surroundings): Registered | undefined =>
  listEntries(uid, here).find(({ entry }) => entry.mountpoint === mountpoint);

/**
 * Removes the entry and socket of a daemon that has ended; does nothing if they are another, living daemon's by
 * now.
 */
export const removeEntry = ({ entry, file }: Registered): void => {
  const current = readCurrent(file);
  if (current !== undefined && current.pid !== entry.pid && isAlive(current)) return;
  rmSync(file, { force: true });
  rmSync(entry.socket, { force: true });
};

const readCurrent = (file: string): RegistryEntry | undefined => {
  try {
    return parseEntry(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
};
