/** `vnodefs mkfs STORE`: makes an empty store. */
import type { Command } from 'commander';
import { resolveStore } from '../daemon/mount-point.js';
import { type CliContext, type JsonOption, printResult } from './context.js';
import { formatSize, parseCount, parseSize } from './numbers.js';

interface MkfsOptions extends JsonOption {
  label?: string;
  sizeLimit?: string;
  inodeLimit?: string;
  force?: true;
}

export const addMkfs = (program: Command, context: CliContext): void => {
  program
    .command('mkfs')
    .description('make an empty store')
    .argument('<store>', 'the SQLite file to make')
    .option('--label <text>', 'a name for people')
    .option('--size-limit <bytes>', 'most file data it may hold, such as 10GiB')
    .option('--inode-limit <n>', 'most files, directories and links it may hold')
    .option('--force', 'replace a store that is already there: everything in it is lost')
    .option('--json', 'report as JSON')
    .action((store: string, options: MkfsOptions) => mkfs(context, store, options));
};

const mkfs = async (context: CliContext, path: string, options: MkfsOptions): Promise<void> => {
  const store = resolveStore(path, undefined);
  const settings = {
    label: options.label ?? '',
    sizeLimitBytes: options.sizeLimit === undefined ? 0 : parseSize(options.sizeLimit, '--size-limit'),
    inodeLimit: options.inodeLimit === undefined ? 0 : parseCount(options.inodeLimit, '--inode-limit', 1),
    force: options.force === true,
  };
  const superblock = (await context.loadStore()).create(store, settings);
  const limit = settings.sizeLimitBytes === 0 ? '' : `, at most ${formatSize(settings.sizeLimitBytes)}`;
  const label = superblock.label === '' ? '' : ` '${superblock.label}'`;
  printResult(context, options, { store, ...superblock }, [
    `made the store${label} ${store} (uuid ${superblock.uuid}${limit})`,
  ]);
};
