/** The daemon of a mount, for the commands that ask it something. */
import { Failure } from '../daemon/failure.js';
import { occupantOf } from '../daemon/mount-point.js';
import type { RegistryEntry } from '../daemon/registry.js';
import type { CliContext } from './context.js';

/** Of the mount on `mountpoint` (resolved). `verb`: what its owner is to be asked for. Throws a mount failure if there is none. */
export const liveEntry = async (
  context: CliContext,
  mountpoint: string,
  verb: string,
): Promise<RegistryEntry> => {
  const occupant = await occupantOf(mountpoint, context.host, context.here);
  if (occupant === undefined)
    throw new Failure('mount', `no vnodefs is mounted on ${mountpoint}: 'vnodefs status' lists the mounts`);
  if (occupant.state === 'stale')
    throw new Failure(
      'mount',
      `the daemon of ${mountpoint} is gone: clear it with 'vnodefs umount ${mountpoint}'`,
    );
  if (occupant.registered === undefined)
    throw new Failure('mount', `${mountpoint} is another user's mount: ask its owner or root to ${verb} it`);
  return occupant.registered.entry;
};
