/** The command line of the exerciser. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { LENGTH_MAX } from './file-ops.js';

export interface Options {
  tree: boolean;
  /** Where to work; undefined for a mount of its own. */
  dir: string | undefined;
  mountArgs: string[];
  /** Added to the environment of the daemon; NAME=VALUE. */
  daemonEnv: Record<string, string>;
  ops: number;
  seeds: number[];
  jobs: number;
  processes: number;
  files: number;
  size: number;
  io: 'mixed' | 'buffered' | 'direct' | 'mapped';
  dropCaches: boolean;
  wholeEvery: number;
  replay: string | undefined;
  log: string | undefined;
  shrink: boolean;
  shrinkSeconds: number;
  json: boolean;
}

/** So small that hardly anything stays in memory, and commits all the time. */
export const SMALL_MOUNT = '--pages 1MiB --vnodes 64 --sync-interval 0.05';
const PAGE_BYTES = 4096;
const SEEDS_MAX = 10_000;

const positive = (text: string): number => {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('It must be a whole number above 0.');
  return Number(text);
};

/** `1-10`, `3`, `1,5,9`, or a mixture. */
export const parseSeeds = (text: string): number[] => {
  const seeds = text.split(',').flatMap((part) => {
    const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part);
    if (match === null) throw new InvalidArgumentError('Write seeds as 7, 1-10 or 1,5,9.');
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (last < first || last - first >= SEEDS_MAX)
      throw new InvalidArgumentError(`The range ${part} is empty or too long.`);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  if (new Set(seeds).size < seeds.length) throw new InvalidArgumentError('A seed is given twice.');
  return seeds;
};

const size = (text: string): number => {
  const match = /^([1-9]\d{0,8})(KiB|MiB)?$/.exec(text);
  const bytes =
    match === null ? 0 : Number(match[1]) * (match[2] === 'MiB' ? 1 << 20 : match[2] === 'KiB' ? 1024 : 1);
  if (bytes < LENGTH_MAX || bytes > 1 << 30 || bytes % PAGE_BYTES !== 0)
    throw new InvalidArgumentError('It must be between 128KiB and 1GiB, in whole pages of 4KiB.');
  return bytes;
};

const variable = (text: string, before: Record<string, string>): Record<string, string> => {
  const match = /^(\w+)=(.*)$/s.exec(text);
  if (match === null) throw new InvalidArgumentError('Write it as NAME=VALUE.');
  return { ...before, [match[1]]: match[2] };
};

const words = (text: string): string[] => text.split(' ').filter((word) => word !== '');

/** Prints and exits by itself for --help and for a mistake (exit code 2). */
export const parseOptions = (args: readonly string[]): Options => {
  const program = new Command('scripts/fsx')
    .description(
      'Exercises a filesystem with random operations, and compares with a model in memory: file data, or with --tree names, ' +
        'links and attributes. Works on a vnodefs mount of its own with next to no memory, or on any directory.',
    )
    .option('--tree', 'names, links, renames and attributes instead of file data', false)
    .option('--dir <folder>', 'work in this folder instead of a mount of its own')
    .option('--mount-args <words>', 'for `vnodefs mount`', words, words(SMALL_MOUNT))
    .option('--daemon-env <name=value>', 'for the environment of the daemon (may be repeated)', variable, {})
    .option('--ops <n>', 'operations for each seed', positive, 100_000)
    .option('--seeds <list>', 'such as 7, 1-10 or 1,5,9', parseSeeds, [Date.now() % 1_000_000])
    .option('--jobs <n>', 'seeds at the same time, in one folder', positive, 1)
    .option('--processes <n>', 'that take turns on the same files', positive, 2)
    .option('--files <n>', 'under test at once, of each seed', positive, 3)
    .option('--size <bytes>', 'largest size of a file, as 512KiB', size, 512 << 10)
    .addOption(
      new Option('--io <kind>', 'how to read and write')
        .choices(['mixed', 'buffered', 'direct', 'mapped'])
        .default('mixed'),
    )
    .option('--drop-caches', "empty the machine's caches now and then (root only)", false)
    .option('--whole-every <n>', 'compare everything after so many operations', positive, 5_000)
    .option('--replay <log>', 'perform the operations of this log')
    .option('--log <file>', 'where to write the shrunk log of a difference')
    .option('--no-shrink', 'report a difference as it is')
    .option('--shrink-seconds <n>', 'spend no longer on making the log short', positive, 300)
    .option('--json', 'print the result as JSON', false)
    .addHelpText(
      'after',
      '\nExit codes: 0 no difference, 1 a difference or a failure, 2 wrong use, 130 interrupted.',
    )
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  const options = program.parse([...args], { from: 'user' }).opts<Options>();
  if (options.dropCaches && process.getuid?.() !== 0) program.error('--drop-caches needs root.');
  if (options.replay !== undefined && options.seeds.length > 1)
    program.error('--replay takes one seed only.');
  return options;
};
