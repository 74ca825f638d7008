/**
 * How the end of a mount is known: the binding tells nobody. libfuse's descriptor of /dev/fuse, found among ours after
 * mounting, polls as POLLERR once the kernel has let go of the connection (fs/fuse/dev.c, fuse_dev_poll): in an orderly
 * unmount, a lazy one when the last file is closed, or an abort.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { F_DUPFD_CLOEXEC, POLLERR, POLLHUP, syscalls } from '../../base/syscalls.js';

const DEVICE = '/dev/fuse';

/** The descriptors of this process that are FUSE devices. */
export const fuseDescriptors = (): Set<number> => {
  const found = new Set<number>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) === DEVICE) found.add(Number(name));
    } catch {
      // closed meanwhile: the listing's own descriptor
    }
  }
  return found;
};

/**
 * A descriptor of the connection made since `before` was taken: our own, which libfuse closing its own leaves alone.
 * Undefined if there is none. Never closed: it lives until the process ends, and doesn't keep the connection alive
 * after an unmount.
 */
const newFuseDescriptor = (before: ReadonlySet<number>): number | undefined => {
  for (const fd of fuseDescriptors()) {
    if (before.has(fd)) continue;
    const own = syscalls().fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return own < 0 ? undefined : own;
  }
  return undefined;
};

/** Waits on a thread of libuv's pool. */
const connectionEnd = async (fd: number): Promise<void> => {
  for (;;) {
    const events = await syscalls().pollAsync(fd, 0);
    if ((events & (POLLERR | POLLHUP)) !== 0) return;
  }
};

/** Resolves when the connection made since `before` was taken has ended. Throws at once if there is none. */
export const deviceEnd = (before: ReadonlySet<number>): Promise<void> => {
  const fd = newFuseDescriptor(before);
  if (fd === undefined) throw new Error('the descriptor of libfuse’s device was not found');
  return connectionEnd(fd);
};
