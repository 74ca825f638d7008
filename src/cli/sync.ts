/** `vnodefs sync MOUNTPOINT`: returns when everything written so far is durable. */
import type { Command } from 'commander';
import { askOnce } from '../daemon/control-client.js';
import { Failure } from '../daemon/failure.js';
import { occupantOf, resolveMountPoint, type Occupant } from '../daemon/mount-point.js';
import type { RegistryEntry } from '../daemon/registry.js';
import { type CliContext, type JsonOption, printResult } from './context.js';
import { parseSeconds } from './numbers.js';

interface SyncOptions extends JsonOption {
  timeout: string;
}

export const addSync = (program: Command, context: CliContext): void => {
  program
    .command('sync')
    .description('write everything of a mount to disk')
    .argument('<mountpoint>', 'where it is mounted')
    .option('--timeout <seconds>', 'give up waiting after this long', '60')
    .option('--json', 'report as JSON')
    .action((mountpoint: string, options: SyncOptions) => sync(context, mountpoint, options));
};

const sync = async (context: CliContext, path: string, options: SyncOptions): Promise<void> => {
  const timeoutMs = parseSeconds(options.timeout, '--timeout', 0, 86_400_000);
  const mountpoint = resolveMountPoint(path);
  const entry = liveEntry(mountpoint, await occupantOf(mountpoint, context.host, context.here));
  const unflushed = await context.host.flush(mountpoint, timeoutMs); // the kernel's dirty pages first
  if (unflushed !== '')
    throw new Failure('general', `${mountpoint} was not written back (${unflushed}): see ${entry.logFile}`);
  const { errno, reason } = await askOnce(entry.socket, 'sync', timeoutMs);
  if (errno !== 0)
    throw new Failure('general', `${mountpoint} could not be saved (${reason}): see ${entry.logFile}`);
  printResult(context, options, { mountpoint, synced: true }, [`everything on ${mountpoint} is on disk`]);
};

const liveEntry = (mountpoint: string, occupant: Occupant | undefined): RegistryEntry => {
  if (occupant === undefined)
    throw new Failure('mount', `no vnodefs is mounted on ${mountpoint}: 'vnodefs status' lists the mounts`);
  if (occupant.state === 'stale')
    throw new Failure(
      'mount',
      `the daemon of ${mountpoint} is gone: clear it with 'vnodefs umount ${mountpoint}'`,
    );
  if (occupant.registered === undefined)
    throw new Failure('mount', `${mountpoint} is another user's mount: ask its owner or root to sync it`);
  return occupant.registered.entry;
};
