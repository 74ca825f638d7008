/**
 * macOS as a {@link Host}, and the end of a mount there: mount(8), diskutil, lsof and stat instead of /proc and
 * fusermount3. Only the plumbing: what is asked and how the answers read is in src/base/macos. Not run by us: see
 * native-notes/macos.md.
 */
import { execFile, spawnSync } from 'node:child_process';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';
import {
  isOurMount,
  LSOF,
  lsofArguments,
  type MacHolder,
  type MacMount,
  mountedBy,
  type MacUse,
  parseLsof,
  parseMountLine,
  readUnmounted,
  unmarkedSource,
  unmountCommand,
} from '../base/macos/commands.js';
import { FUSE_TYPE, type MountEntry } from '../base/mountinfo.js';
import type { Holder, Use } from './holders.js';
import { type Host, type Probe, reasonOf, runCommand } from './host.js';

const MOUNT = '/sbin/mount';
const LIST_MS = 5_000;
const END_POLL_MS = 500;
const APPEAR_MS = 30_000;
/** Of a user whose number we don't know: nobody's registry is found under it. */
const SOMEBODY = -1;

/** Of a mount of ours `user_id=` names the owner, as Linux has it. */
const entryOf = (mount: MacMount, mountId: number, me: { uid: number; username: string }): MountEntry => {
  const by = mountedBy(mount);
  const uid = by === undefined ? 0 : by === me.username ? me.uid : SOMEBODY;
  return {
    mountId,
    device: '',
    mountpoint: mount.mountpoint,
    options: mount.options,
    fsType: isOurMount(mount) ? FUSE_TYPE : mount.fsType,
    source: unmarkedSource(mount.source),
    superOptions: [`user_id=${uid}`],
  };
};

export const entriesOf = (text: string, me: { uid: number; username: string }): MountEntry[] =>
  text.split('\n').flatMap((line, i) => {
    const mount = parseMountLine(line);
    return mount === undefined ? [] : [entryOf(mount, i + 1, me)];
  });

const useOf = ({ how, access }: MacUse): Use => {
  if (how === 'cwd') return 'cwd';
  if (how === 'rtd') return 'root';
  if (how === 'txt') return 'executing';
  return access === 'w' || access === 'u' ? 'writing' : 'reading';
};

export const holderOf = ({ pid, command, uid, user, uses }: MacHolder): Holder => ({
  pid,
  command,
  uid,
  user,
  uses: uses.map((use) => ({ use: useOf(use), path: use.path })),
});

/** A device whose daemon has gone answers ENXIO; FUSE-T's NFS server that has gone, ENOTCONN or a timeout. */
export const readMacProbe = (status: number | undefined, timedOut: boolean, stderr: string): Probe => {
  if (status === 0) return { state: 'alive' };
  if (timedOut) return { state: 'hung' };
  if (/device not configured|not connected|connection reset/i.test(stderr)) return { state: 'dead' };
  return { state: 'unreachable', reason: reasonOf(stderr) };
};

/** Both streams of a program come as its standard error: diskutil says why on either. */
const merged = (program: string, args: readonly string[]): [string, string[]] => [
  '/bin/sh',
  ['-c', 'exec "$@" 1>&2', 'sh', program, ...args],
];

const lines = (program: string, args: readonly string[]): string =>
  spawnSync(program, args, {
    cwd: '/',
    encoding: 'utf8',
    timeout: LIST_MS,
    env: { ...process.env, LC_ALL: 'C' },
  }).stdout ?? '';

export const macosHost: Host = {
  mounts: () => entriesOf(lines(MOUNT, []), userInfo()),
  probe: async (path, timeoutMs) => {
    const { status, timedOut, stderr } = await runCommand('stat', ['-f', '%d', path], timeoutMs);
    return readMacProbe(status, timedOut, stderr);
  },
  async detach(mountpoint, lazy, timeoutMs) {
    const [program, args] = merged(...unmountCommand(mountpoint, lazy));
    const { status, stderr, timedOut } = await runCommand(program, args, timeoutMs);
    return readUnmounted(timedOut ? undefined : (status ?? 1), stderr);
  },
  async flush(_mountpoint, timeoutMs) {
    // sync(8) knows no single filesystem there.
    const { status, timedOut, stderr } = await runCommand('sync', [], timeoutMs);
    if (status === 0) return '';
    return timedOut ? `no answer within ${timeoutMs / 1000} s` : reasonOf(stderr);
  },
  holders: ({ mountpoint }) =>
    parseLsof(lines(LSOF, lsofArguments(mountpoint)))
      .filter(({ pid }) => pid !== process.pid)
      .map(holderOf),
  // macFUSE has no such thing; diskutil's force does it.
  abort: () => false,
};

const listLater = promisify(execFile);

/**
 * Resolves when nothing of ours is mounted there any more: the mount table is asked twice a second. macFUSE 5.3 answers
 * INIT before the mount shows in it, so it must have been seen, or be missing for {@link APPEAR_MS}.
 */
export const mountGone = async (
  mountpoint: string,
  list: () => Promise<string> = async () => (await listLater(MOUNT, [], { timeout: LIST_MS })).stdout,
  pollMs = END_POLL_MS,
): Promise<void> => {
  let seen = false;
  for (let waitedMs = 0; ; waitedMs += pollMs) {
    await new Promise((resolve) => setTimeout(resolve, pollMs));
    // Unanswered: ask again.
    const text = await list().catch(() => undefined);
    if (text === undefined) continue;
    const mounted = entriesOf(text, userInfo()).some(
      (mount) => mount.mountpoint === mountpoint && mount.fsType === FUSE_TYPE,
    );
    if (!mounted && (seen || waitedMs >= APPEAR_MS)) return;
    seen ||= mounted;
  }
};
