/**
 * Who keeps a mount busy, from /proc alone: no path below the mount is looked up, so a hung mount can't block
 * the scan. Finds what `fuser -vm` (psmisc) finds, and like it sees the processes of other users as root only.
 *
 * Descriptors are matched by the mount id in /proc/PID/fdinfo (`seq_show` in fs/proc/fd.c), so that a hidden or deleted
 * path doesn't matter; cwd, root and exe by the text of their links; mappings by the device number in maps; sockets by
 * the path they are bound to in /proc/net/unix. A mount below ours holds it too, for no process: see
 * {@link mountsBelow}.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { MountEntry } from '../base/mountinfo.js';

/** `socket`: a bound unix socket. */
export type Use = 'writing' | 'reading' | 'cwd' | 'root' | 'executing' | 'mapped' | 'socket';

export interface Holder {
  pid: number;
  command: string;
  uid: number;
  /** The name of `uid`, or the number if it has none. */
  user: string;
  /** At most {@link USES_MAX}, what weighs most first. */
  uses: { use: Use; path: string }[];
}

const USES_MAX = 8;
const O_ACCMODE = 3;
const ORDER: readonly Use[] = ['writing', 'executing', 'mapped', 'reading', 'socket', 'cwd', 'root'];

const attempt = <T>(read: () => T): T | undefined => {
  try {
    return read();
  } catch {
    return undefined; // the process ended meanwhile, or isn't ours to look at
  }
};

/** True for the mount point itself and what lies below it. */
export const isBelow = (path: string, mountpoint: string): boolean =>
  path === mountpoint || path.startsWith(mountpoint === '/' ? '/' : `${mountpoint}/`);

/** `08:01` as /proc/PID/maps writes a device, from mountinfo's `8:1`. */
export const mapsDevice = (device: string): string =>
  device
    .split(':')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':');

/** What the scan looks for, prepared once for all processes. */
interface Search {
  mountpoint: string;
  fdMarker: string;
  mapsMarker: string;
  /** Inode numbers of unix sockets bound below the mount, to their paths. */
  sockets: ReadonlyMap<string, string>;
}

/** /proc/net/unix: `Num RefCount Protocol Flags Type St Inode Path` (unix_seq_show, net/unix/af_unix.c). */
export const boundSockets = (text: string, mountpoint: string): Map<string, string> => {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^\S+: (?:\S+ +){5}(\d+) (\/.*)$/.exec(line);
    if (match !== null && isBelow(match[2], mountpoint)) found.set(match[1], match[2]);
  }
  return found;
};

/** `flags:` of an fdinfo, in octal: how the descriptor was opened. */
const useOfInfo = (info: string): Use => {
  const flags = Number.parseInt(/^flags:\s+([0-7]+)/m.exec(info)?.[1] ?? '0', 8);
  return (flags & O_ACCMODE) === 0 ? 'reading' : 'writing';
};

const openFiles = (proc: string, search: Search): Holder['uses'] =>
  (attempt(() => readdirSync(`${proc}/fdinfo`)) ?? []).flatMap((fd) => {
    const info = attempt(() => readFileSync(`${proc}/fdinfo/${fd}`, 'latin1'));
    if (info === undefined) return [];
    const link = (): string => attempt(() => readlinkSync(`${proc}/fd/${fd}`)) ?? '?';
    if (info.includes(search.fdMarker)) return [{ use: useOfInfo(info), path: link() }];
    if (search.sockets.size === 0) return [];
    const path = search.sockets.get(/^socket:\[(\d+)\]$/.exec(link())?.[1] ?? '');
    return path === undefined ? [] : [{ use: 'socket' as const, path }];
  });

const mappedFiles = (proc: string, search: Search): string[] => {
  const lines = (attempt(() => readFileSync(`${proc}/maps`, 'utf8')) ?? '').split('\n');
  return lines.flatMap((line) => {
    if (!line.includes(search.mapsMarker)) return [];
    const slash = line.indexOf('/');
    return slash < 0 ? [] : [line.slice(slash)];
  });
};

const linkUse = (proc: string, link: string, use: Use, mountpoint: string): Holder['uses'] => {
  const path = attempt(() => readlinkSync(`${proc}/${link}`));
  return path !== undefined && isBelow(path, mountpoint) ? [{ use, path }] : [];
};

/** Each use and path once, by weight. What is executed is mapped too, and need not be said twice. */
const distinct = (uses: Holder['uses']): Holder['uses'] => {
  const executed = new Set(uses.filter(({ use }) => use === 'executing').map(({ path }) => path));
  const byText = new Map(uses.map((item) => [`${item.use} ${item.path}`, item]));
  return [...byText.values()]
    .filter(({ use, path }) => use !== 'mapped' || !executed.has(path))
    .sort((a, b) => ORDER.indexOf(a.use) - ORDER.indexOf(b.use))
    .slice(0, USES_MAX);
};

const inspect = (
  pid: number,
  search: Search,
  procRoot: string,
  nameOf: (uid: number) => string,
): Holder | undefined => {
  const proc = `${procRoot}/${pid}`;
  const uses: Holder['uses'] = [
    ...linkUse(proc, 'cwd', 'cwd', search.mountpoint),
    ...linkUse(proc, 'root', 'root', search.mountpoint),
    ...linkUse(proc, 'exe', 'executing', search.mountpoint),
    ...openFiles(proc, search),
    ...mappedFiles(proc, search).map((path) => ({ use: 'mapped' as const, path })),
  ];
  if (uses.length === 0) return undefined;
  const command = attempt(() => readFileSync(`${proc}/comm`, 'utf8').trim()) ?? '?';
  const status = attempt(() => readFileSync(`${proc}/status`, 'latin1')) ?? '';
  const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  return { pid, command, uid, user: nameOf(uid), uses: distinct(uses) };
};

/** Names from the local user table; a directory service isn't asked, since that may take as long as it likes. */
const userNames = (passwd: string): ((uid: number) => string) => {
  const names = new Map<number, string>();
  for (const line of passwd.split('\n')) {
    const [name, , uid] = line.split(':');
    if (uid !== undefined && !names.has(Number(uid))) names.set(Number(uid), name);
  }
  return (uid) => names.get(uid) ?? String(uid);
};

/** A busy machine has very many processes. */
export const SCAN_MS = 10_000;

/** All processes but this one that use something on `mount`, by pid; as many as can be looked at in `limitMs`. */
export const findHolders = (mount: MountEntry, procRoot = '/proc', limitMs = SCAN_MS): Holder[] => {
  const untilMs = performance.now() + limitMs;
  const { mountpoint, mountId, device } = mount;
  const search: Search = {
    mountpoint,
    fdMarker: `mnt_id:\t${mountId}\n`,
    mapsMarker: ` ${mapsDevice(device)} `,
    sockets: boundSockets(attempt(() => readFileSync(`${procRoot}/net/unix`, 'utf8')) ?? '', mountpoint),
  };
  const nameOf = userNames(attempt(() => readFileSync('/etc/passwd', 'utf8')) ?? '');
  return (attempt(() => readdirSync(procRoot)) ?? [])
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .sort((a, b) => a - b)
    .flatMap((pid) => (performance.now() > untilMs ? [] : (inspect(pid, search, procRoot, nameOf) ?? [])));
};

/** Mount points below that of `mount`: they keep it busy, though no process may be to blame. */
export const mountsBelow = (mount: MountEntry, mounts: readonly MountEntry[]): string[] =>
  mounts.flatMap(({ mountpoint, mountId }) =>
    mountId !== mount.mountId && mountpoint !== mount.mountpoint && isBelow(mountpoint, mount.mountpoint)
      ? [mountpoint]
      : [],
  );

/** `git (pid 12 of ann, writing /m/a), bash (pid 9 of bob, cwd /m)`, at most `max` of them. */
export const describeHolders = (holders: readonly Holder[], max = 5): string => {
  const shown = holders
    .slice(0, max)
    .map(
      ({ command, pid, user, uses }) => `${command} (pid ${pid} of ${user}, ${uses[0].use} ${uses[0].path})`,
    );
  const more = holders.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
};
