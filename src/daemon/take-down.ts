/**
 * The end of a mount whose daemon doesn't answer (stopped, or hung beyond its own watchdog), from outside: detached,
 * the connection cut, the process killed. The store then holds what was committed: a state after some prefix of the
 * operations.
 */
import { isOurs, mountAt, type MountEntry } from '../base/mountinfo.js';
import { Failure } from './failure.js';
import type { Host } from './host.js';
import { isAlive } from './process-identity.js';
import type { RegistryEntry } from './registry.js';
import type { Phase, UnmountReport } from './unmount-report.js';

const DETACH_MS = 3_000;
const GONE_MS = 5_000;
const POLL_MS = 20;
const LOOK_MS = 2_000;

const mountOf = (entry: RegistryEntry, host: Host): MountEntry | undefined => {
  const mount = mountAt(host.mounts(), entry.mountpoint);
  return mount !== undefined && isOurs(mount) ? mount : undefined;
};

/** Takes the mount of `entry`, and its daemon with all its mounts, away. Throws a Failure if the daemon survives. */
export const takeDown = async (entry: RegistryEntry, host: Host): Promise<UnmountReport> => {
  const mount = mountOf(entry, host);
  const cutOff = mount === undefined ? [] : host.holders(mount, LOOK_MS);
  const phases: Phase[] = [];
  const startMs = performance.now();
  if (mount !== undefined) {
    // While it is mounted: its number may be another mount's as soon as it isn't.
    host.abort(mount.device);
    const detached = await host.detach(entry.mountpoint, true, DETACH_MS);
    const trouble = detached.outcome === 'failed' ? detached.reason : '';
    phases.push({ name: 'detach', ms: Math.round(performance.now() - startMs), trouble });
  }
  const killMs = performance.now();
  try {
    if (isAlive(entry)) process.kill(entry.pid, 'SIGKILL');
  } catch (error) {
    throw new Failure('general', `the daemon (pid ${entry.pid}) could not be ended (${String(error)})`);
  }
  while (isAlive(entry)) {
    if (performance.now() > killMs + GONE_MS)
      throw new Failure('timed-out', `the daemon (pid ${entry.pid}) was killed, but is not gone yet`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  phases.push({ name: 'finish', ms: Math.round(performance.now() - killMs), trouble: '' });
  return {
    mountpoint: entry.mountpoint,
    store: entry.store,
    mode: 'force',
    outcome: 'unmounted',
    holders: [],
    mountsBelow: [],
    cutOff,
    flushed: { files: 0, bytes: 0 },
    dropped: [],
    droppedMore: 0,
    phases,
    errno: 5,
    reason: 'the daemon did not answer and was killed: what it had not committed is lost',
  };
};
