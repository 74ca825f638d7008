/** The programs of macOS that unmount, list mounts and find who holds one: their arguments, and what they print. */
import type { Detached } from '../mountinfo.js';

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

/** macFUSE and its predecessors. */
const KERNEL_TYPES = ['macfuse', 'osxfuse', 'osxfusefs'];
const SOURCE_MARK = 'vnodefs:';

/** The source column (`fsname=`) by which a mount is known as ours: there is no `fuse.vnodefs` type as on Linux. */
export const markedSource = (source: string): string => SOURCE_MARK + source;

/** FUSE-T serves through the NFS client of the system, which shows no source of ours: the registry says then whose it is. */
export const isOurMount = ({ fsType, source }: MacMount): boolean =>
  KERNEL_TYPES.includes(fsType)
    ? source.startsWith(SOURCE_MARK)
    : fsType === 'nfs' && source.startsWith('fuse-t:');

export const unmarkedSource = (source: string): string =>
  source.startsWith(SOURCE_MARK) ? source.slice(SOURCE_MARK.length) : source;

/** `mounted by NAME` among the options; undefined for root's, which have none. */
export const mountedBy = ({ options }: MacMount): string | undefined =>
  options.find((option) => option.startsWith('mounted by '))?.slice('mounted by '.length);

export const LSOF = 'lsof';
/** -b: nothing that could wait for a hung mount; -w: no warnings about that. A mount point stands for all files of its filesystem. */
export const lsofArguments = (mountpoint: string): string[] => [
  '-b',
  '-w',
  '-n',
  '-P',
  '-F',
  'pcuLfan',
  '--',
  mountpoint,
];

export interface MacUse {
  /** `cwd`, `rtd` (the root directory), `txt` (a program or a mapped file), or a descriptor's number. */
  how: string;
  /** `r`, `w`, `u` (both), or a space. */
  access: string;
  path: string;
}
export interface MacHolder {
  pid: number;
  command: string;
  uid: number;
  user: string;
  uses: MacUse[];
}

/** What {@link lsofArguments} print: a line a field, its letter first; p begins a process, f an open file of it. (lsof(8)) */
export const parseLsof = (text: string): MacHolder[] => {
  const holders: MacHolder[] = [];
  for (const line of text.split('\n')) {
    const value = line.slice(1);
    if (line[0] === 'p') holders.push({ pid: Number(value), command: '', uid: 0, user: '', uses: [] });
    const holder = holders.at(-1);
    if (holder === undefined) continue;
    if (line[0] === 'c') holder.command = value;
    else if (line[0] === 'u') holder.uid = Number(value);
    else if (line[0] === 'L') holder.user = value;
    else if (line[0] === 'f') holder.uses.push({ how: value, access: ' ', path: '' });
    const use = holder.uses.at(-1);
    if (use === undefined) continue;
    if (line[0] === 'a') use.access = value;
    else if (line[0] === 'n') use.path = value;
  }
  return holders.filter(({ uses }) => uses.length > 0);
};
