/**
 * Waits for the kernel's write-back to have arrived. syncfs(2) of a FUSE filesystem returns when the WRITE requests are queued, not
 * when they are answered (since Linux 6.18 the kernel doesn't wait for a FUSE daemon: sync_inodes_sb, fs/fs-writeback.c), and the
 * dispatcher defers those that its memory has no room for until a commit. Whoever refuses writes from now on would refuse them.
 */
import type { EndResult } from './control-protocol.js';
import type { DispatcherStatus } from './messages.js';

/** Writes that go on by themselves (a program in a loop) never end: so many rounds without a deferred one are enough. */
const ROUNDS_MAX = 5;

interface Asked {
  sync(): Promise<EndResult>;
  status(): Promise<DispatcherStatus>;
}

/** Returns when no WRITE is deferred and none has come for a round, the store takes nothing, or `limitMs` has passed. */
export const awaitWriteBack = async (link: Asked, limitMs: number): Promise<void> => {
  const untilMs = performance.now() + limitMs;
  let writes = -1;
  for (let round = 0; round < ROUNDS_MAX && performance.now() < untilMs;) {
    const { errno } = await link.sync(); // makes room
    if (errno !== 0) return;
    const { requests, counters } = await link.status();
    const deferred = counters['deferredNow'] ?? 0;
    const now = requests['WRITE'] ?? 0;
    if (deferred === 0 && now === writes) return;
    writes = now;
    if (deferred === 0) round++;
  }
};
