/** `vnodefs fsck STORE`: examines a store that isn't mounted. Changes nothing. */
import type { Command } from 'commander';
import { Failure } from '../daemon/failure.js';
import { resolveStore } from '../daemon/mount-point.js';
import { type CliContext, type JsonOption, printResult } from './context.js';

/** For people; `--json` always has them all. */
const PROBLEMS_SHOWN_MAX = 100;

export const addFsck = (program: Command, context: CliContext): void => {
  program
    .command('fsck')
    .description('examine a store that is not mounted, changing nothing')
    .argument('<store>', 'the SQLite file')
    .option('--json', 'report as JSON')
    .action((store: string, options: JsonOption) => fsck(context, store, options));
};

const fsck = async (context: CliContext, path: string, options: JsonOption): Promise<void> => {
  const store = resolveStore(path, undefined);
  const { problems, counts } = (await context.loadStore()).check(store);
  const shown = problems.slice(0, PROBLEMS_SHOWN_MAX).map(({ kind, message }) => `${kind}: ${message}`);
  if (problems.length > shown.length) shown.push(`… and ${problems.length - shown.length} more`);
  const looked = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
  const verdict = problems.length === 0 ? [`${store} is clean (${looked.join(', ')})`] : shown;
  printResult(context, options, { store, clean: problems.length === 0, problems, counts }, verdict);
  if (problems.length > 0)
    throw new Failure(
      'damaged',
      `${store} has ${problems.length} ${problems.length === 1 ? 'error' : 'errors'}: copy what is readable to a new store`,
    );
};
