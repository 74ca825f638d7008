/**
 * Where the daemon keeps what isn't in the store: a runtime directory (registry entries and control sockets, owner
 * only) and a log directory. VNODEFS_RUNTIME_DIR and VNODEFS_LOG_DIR replace both, one subdirectory per user below
 * them.
 */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { MACOS_ROOT_RUNTIME_DIR, onMacos } from '../base/macos/system.js';
import { errorText, Failure } from './failure.js';

const ROOT_RUNTIME_DIR = onMacos ? MACOS_ROOT_RUNTIME_DIR : '/run/vnodefs';

export interface Surroundings {
  uid: number;
  env: Readonly<Record<string, string | undefined>>;
}

export const surroundings = (): Surroundings => ({ uid: process.getuid?.() ?? 0, env: process.env });

export const runtimeDir = ({ uid, env }: Surroundings): string => {
  if (env.VNODEFS_RUNTIME_DIR) return join(env.VNODEFS_RUNTIME_DIR, String(uid));
  if (uid === 0) return ROOT_RUNTIME_DIR;
  return env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, 'vnodefs') : `/tmp/vnodefs-${uid}`;
};

/** Where the daemon of another user may have registered: for root, who may look at every mount. */
export const runtimeDirsOf = (uid: number, here: Surroundings): string[] => {
  if (uid === here.uid || here.env.VNODEFS_RUNTIME_DIR) return [runtimeDir({ uid, env: here.env })];
  return uid === 0 ? [ROOT_RUNTIME_DIR] : [`/run/user/${uid}/vnodefs`, `/tmp/vnodefs-${uid}`];
};

export const logDir = ({ uid, env }: Surroundings): string => {
  if (env.VNODEFS_LOG_DIR) return join(env.VNODEFS_LOG_DIR, String(uid));
  if (uid === 0) return '/var/log/vnodefs';
  return join(env.XDG_STATE_HOME || join(env.HOME || homedir(), '.local', 'state'), 'vnodefs');
};

/**
 * The name of a mount's files: readable, unique by a hash of the mount point, and short, since the path of a unix
 * socket holds at most 107 bytes (unix(7)).
 */
export const nameOf = (mountpoint: string): string => {
  const readable = basename(mountpoint)
    .replaceAll(/[^\w.-]+/g, '_')
    .slice(0, 24);
  return `${readable || 'root'}-${createHash('sha256').update(mountpoint).digest('hex').slice(0, 8)}`;
};

export const defaultLogFile = (mountpoint: string, here: Surroundings): string =>
  join(logDir(here), `${nameOf(mountpoint)}.log`);

/** True for a directory (no symlink) that belongs to `uid` and that nobody else may write. */
export const isPrivate = (directory: string, uid: number): boolean => {
  try {
    const stat = lstatSync(directory);
    return stat.isDirectory() && stat.uid === uid && (stat.mode & 0o022) === 0;
  } catch {
    return false;
  }
};

/** Makes the runtime directory (mode 0700); refuses one that another user could have put there. */
export const makeRuntimeDir = (here: Surroundings): string => {
  const directory = runtimeDir(here);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Failure('general', `cannot make the runtime directory ${directory} (${errorText(error)})`);
  }
  if (!isPrivate(directory, here.uid))
    throw new Failure('general', `${directory} belongs to somebody else or others may write it: remove it`);
  return directory;
};
