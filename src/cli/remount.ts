/** `vnodefs remount MOUNTPOINT -o ro|rw`: the daemon does it, see src/daemon/remount.ts. */
import { type Command, Option } from 'commander';
import { askOnce } from '../daemon/control-client.js';
import { Failure } from '../daemon/failure.js';
import { occupantOf, resolveMountPoint } from '../daemon/mount-point.js';
import type { RemountReport } from '../daemon/remount.js';
import { type CliContext, type JsonOption, printResult } from './context.js';
import { liveEntry } from './live-entry.js';
import { applyOptionList, defaultMountOptions } from './mount-options.js';
import type { Mount8Call } from './mount8.js';

interface RemountOptions extends JsonOption {
  options?: string;
}

/** Longer than the daemon takes for the kernel's write-back and a commit. */
const ANSWER_MS = 90_000;

export const addRemount = (program: Command, context: CliContext): void => {
  program
    .command('remount')
    .description('make a mount read-only, or writable again')
    .argument('<mountpoint>', 'where it is mounted')
    .addOption(new Option('-o, --options <ro|rw>', 'which of the two'))
    .option('--json', 'report as JSON')
    .action((mountpoint: string, options: RemountOptions) => remount(context, mountpoint, options));
};

const parse = (options: string | undefined): boolean => {
  if (options === 'ro') return true;
  if (options === 'rw') return false;
  const given = options === undefined ? '' : `, not '${options}'`;
  throw new Failure(
    'usage',
    `remount takes -o ro or -o rw${given}: for other options unmount it and mount it again`,
  );
};

const describe = ({ mountpoint, readOnly, kernel }: RemountReport): string => {
  const what = `${mountpoint} is ${readOnly ? 'read-only' : 'writable'} now`;
  return kernel ? what : `${what} (/proc/mounts shows what it was mounted with: only root can change that)`;
};

/** Throws a Failure with nothing changed; busy while files are open for writing. */
export const remount = async (context: CliContext, path: string, options: RemountOptions): Promise<void> => {
  const readOnly = parse(options.options);
  const mountpoint = resolveMountPoint(path);
  const entry = await liveEntry(context, mountpoint, 'remount');
  const report = await askOnce(entry.socket, 'remount', ANSWER_MS, { readOnly });
  printResult(context, options, report, [describe(report)]);
};

/**
 * `mount -o remount,ro MOUNTPOINT` with a line of fstab: mount(8) gives all options of the line again. Those that are
 * ours count from the next mount; a flag of the kernel's that the mount hasn't got is refused, since only ro and rw can
 * be changed.
 */
export const remountAsMount8 = async (
  context: CliContext,
  { mountpoint: path, options }: Mount8Call,
): Promise<void> => {
  const parsed = defaultMountOptions();
  for (const list of options)
    applyOptionList(
      parsed,
      list
        .split(',')
        .filter((name) => name !== 'remount')
        .join(','),
    );
  const mountpoint = resolveMountPoint(path);
  const inForce = (await occupantOf(mountpoint, context.host, context.here))?.mount.options;
  const { flags } = parsed;
  const missing = (['nosuid', 'nodev', 'noexec', 'noatime'] as const).find(
    (name) => flags[name] && inForce !== undefined && !inForce.includes(name),
  );
  if (missing !== undefined)
    throw new Failure(
      'usage',
      `only ro and rw can be changed by a remount: unmount ${mountpoint} and mount it again with ${missing}`,
    );
  await remount(context, mountpoint, { options: flags.readOnly ? 'ro' : 'rw' });
};
