/** The command line of the benchmark. */
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { parseMountOptions, parseSize } from './parse.js';
import { BINDFS_OPTIONS } from './rival-targets.js';

export interface Options {
  rounds: number;
  /** Of fio's file, in bytes. */
  size: number;
  files: number;
  /** Names; undefined for all that can run. */
  targets: string[] | undefined;
  only: RegExp | undefined;
  /** The folder, on the disk under test, in which to work. */
  dir: string;
  /** Of one trial, in seconds. */
  timeout: number;
  vnodefsOpts: string;
  bindfsOpts: string;
  /** Further targets, measured beside: vnodefs with other options. */
  variant: { name: string; options: string }[];
  json: string | undefined;
  markdown: boolean;
  check: boolean;
}

/** For commander: what `parse` throws is said of the option, as wrong use. */
export const refuse =
  <T>(parse: (text: string) => T) =>
  (text: string): T => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };

export const positive = refuse((text) => {
  if (!/^[1-9]\d*$/.test(text)) throw new Error('It must be a whole number above 0.');
  return Number(text);
});

const mountOptions = refuse((text) => {
  parseMountOptions(text);
  return text;
});

const variant = (text: string, before: Options['variant']): Options['variant'] => {
  const match = /^([\w-]+)=(.*)$/s.exec(text);
  if (match === null) throw new InvalidArgumentError('Write it as NAME=MOUNT-OPTIONS.');
  return [...before, { name: match[1], options: mountOptions(match[2]) }];
};

/** Prints and exits by itself for --help and for a mistake (exit code 2). */
export const parseOptions = (args: readonly string[]): Options => {
  const program = new Command('scripts/bench/run')
    .description(
      'Measures vnodefs beside a plain directory and bindfs on the same disk, in one run, targets interleaved.',
    )
    .option('--rounds <n>', 'trials of each figure; the median is shown', positive, 3)
    .option('--size <bytes>', "size of fio's file, as 512MiB", refuse(parseSize), 512 * 2 ** 20)
    .option('--files <n>', 'files to create, stat, list and unlink', positive, 10_000)
    .option(
      '--targets <names>',
      'of plain, vnodefs, bindfs, fuse2fs and the variants, with commas between',
      (s) => s.split(','),
    )
    .option(
      '--only <regex>',
      'only figures whose name matches',
      refuse((text) => new RegExp(text)),
    )
    .option(
      '--dir <folder>',
      'work in this folder, which chooses the disk',
      (text) => resolve(text),
      tmpdir(),
    )
    .option('--timeout <seconds>', 'limit of one trial', positive, 120)
    .option(
      '--vnodefs-opts <words>',
      'more words for "vnodefs mount", such as "-o writeback=off"',
      mountOptions,
      '',
    )
    .option('--bindfs-opts <options>', 'options for "bindfs -o"', BINDFS_OPTIONS)
    .option(
      '--variant <name=words>',
      'another target: vnodefs with these words (may be repeated)',
      variant,
      [],
    )
    .option('--json <file>', 'write everything measured, every trial, to this file')
    .option('--markdown', 'print the table as Markdown', false)
    .option('--check', 'exit with 1 when a figure is behind bindfs', false)
    .addHelpText(
      'after',
      '\nExit codes: 0 measured, 1 a trial failed (or --check), 2 wrong use, 130 interrupted.',
    )
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  return program.parse([...args], { from: 'user' }).opts<Options>();
};
