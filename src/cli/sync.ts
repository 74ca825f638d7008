/** `vnodefs sync MOUNTPOINT`: returns when everything written so far is durable. */
import type { Command } from 'commander';
import { askOnce } from '../daemon/control-client.js';
import { Failure } from '../daemon/failure.js';
import { resolveMountPoint } from '../daemon/mount-point.js';
import { type CliContext, type JsonOption, printResult } from './context.js';
import { liveEntry } from './live-entry.js';
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
  const entry = await liveEntry(context, mountpoint, 'sync');
  const unflushed = await context.host.flush(mountpoint, timeoutMs); // the kernel's dirty pages first
  if (unflushed !== '')
    throw new Failure('general', `${mountpoint} was not written back (${unflushed}): see ${entry.logFile}`);
  const { errno, reason } = await askOnce(entry.socket, 'sync', timeoutMs);
  if (errno !== 0)
    throw new Failure('general', `${mountpoint} could not be saved (${reason}): see ${entry.logFile}`);
  printResult(context, options, { mountpoint, synced: true }, [`everything on ${mountpoint} is on disk`]);
};
