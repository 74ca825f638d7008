/** The programs of macOS that unmount, list mounts and find who holds one: their arguments, and what they print. */
import type { Detached } from '../host.js';

/** `force` takes what is open away, where Linux would detach lazily. */
export const unmountCommand = (mountpoint: string, force: boolean): readonly [string, readonly string[]] => [
  'diskutil',
  force ? ['unmount', 'force', mountpoint] : ['unmount', mountpoint],
];

/** `text` is what diskutil printed on either stream. */
export const readUnmounted = (status: number | undefined, text: string): Detached => {
  if (status === 0) return { outcome: 'done' };
  if (status === undefined) return { outcome: 'timed-out' };
  if (/not mounted|failed to find disk|is not a mount point|was already unmounted/i.test(text))
    return { outcome: 'not-mounted' };
  if (/could not be unmounted|dissented|busy|in use/i.test(text)) return { outcome: 'busy' };
  return { outcome: 'failed', reason: text.trim().split('\n')[0] || 'no reason given' };
};

export interface MacMount {
  source: string;
  mountpoint: string;
  fsType: string;
  options: readonly string[];
}

/** A line of mount(8): `SOURCE on MOUNTPOINT (TYPE, OPTION, …)`. Both names may have spaces, and even ` on `: the first splits. */
export const parseMountLine = (line: string): MacMount | undefined => {
  const match = /^(.*?) on (\/.*) \(([^()]*)\)$/.exec(line);
  if (match === null) return undefined;
  const [fsType = '', ...options] = match[3].split(', ');
  return { source: match[1], mountpoint: match[2], fsType, options };
};

/** macFUSE 4 and 5, its predecessor, and FUSE-T, which serves through the NFS client of the system. */
const FUSE_TYPES = ['macfuse', 'osxfuse', 'fuse-t', 'fusefs'];
export const isFuseMount = ({ fsType, source }: MacMount): boolean =>
  FUSE_TYPES.includes(fsType) || (fsType === 'nfs' && source.startsWith('fuse-t:'));

export interface MacHolder {
  pid: number;
  command: string;
  /** `cwd`, `txt`, or a descriptor's number. */
  how: string;
  path: string;
}

/** Of `lsof -F pcfn +f -- MOUNTPOINT`: a line a field, its letter first; p begins a process, f an open file of it. */
export const parseLsof = (text: string): MacHolder[] => {
  const holders: MacHolder[] = [];
  let [pid, command, how] = [0, '', ''];
  for (const line of text.split('\n')) {
    const value = line.slice(1);
    switch (line[0]) {
      case 'p':
        [pid, command, how] = [Number(value), '', ''];
        break;
      case 'c':
        command = value;
        break;
      case 'f':
        how = value;
        break;
      case 'n':
        if (pid > 0) holders.push({ pid, command, how, path: value });
        break;
    }
  }
  return holders;
};
