/**
 * `vnodefs fsck STORE`: examines a store, as of its last commit if it is mounted. With `--repair` it also puts right
 * what it found, after a copy has been made, or somebody has said that none is wanted.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Failure } from '../daemon/failure.js';
import { resolveStore } from '../daemon/mount-point.js';
import type { FsckReport, OnFsckProgress, Problem, RepairSession, RepairStep } from '../daemon/ports.js';
import { type CliContext, type JsonOption, printResult } from './context.js';

/** For people; `--json` has all that were listed. */
const SHOWN_MAX = 100;

interface FsckOptions extends JsonOption {
  repair?: true;
  /** A file; false: --no-backup. */
  backup?: string | false;
}

export const addFsck = (program: Command, context: CliContext): void => {
  program
    .command('fsck')
    .description('examine a store, and repair it if asked')
    .argument('<store>', 'the SQLite file')
    .option('--repair', 'put right what is wrong; what belongs nowhere goes to lost+found')
    .option('--backup <file>', 'before a repair, copy the store to this file')
    .option('--no-backup', 'repair without a copy')
    .option('--json', 'report as JSON')
    .action((store: string, options: FsckOptions) =>
      options.repair ? repair(context, store, options) : check(context, store, options),
    );
};

const progressOf = ({ terminal }: CliContext): OnFsckProgress => {
  let shown = '';
  return (step, fraction) => {
    const percent = fraction > 0 ? ` ${Math.min(99, Math.floor(fraction * 100))} %` : '';
    const text = `${step}${percent}`;
    if (text !== shown) terminal?.progress(text);
    shown = text;
  };
};

const check = async (context: CliContext, path: string, options: FsckOptions): Promise<void> => {
  if (options.backup !== undefined)
    throw new Failure('usage', '--backup and --no-backup go with --repair: without it nothing is changed');
  const store = resolveStore(path, undefined);
  const report = (await context.loadStore()).check(store, progressOf(context));
  context.terminal?.progress('');
  printReport(context, options, store, report);
  if (report.problems.length > 0)
    throw new Failure(
      'damaged',
      `${store} has ${counted(report.problems, 'error')}: repair it with 'vnodefs fsck --repair', or copy what is readable`,
    );
};

const printReport = (context: CliContext, options: JsonOption, store: string, report: FsckReport): void => {
  const { problems, counts, waiting } = report;
  const clean = problems.length === 0;
  const lines = clean ? [cleanLine(store, counts)] : problemLines(problems);
  if (waiting > 0)
    lines.push(
      `${store}-intent has ${waiting} later groups of changes, confirmed by fsync: a mount brings them in`,
    );
  printResult(context, options, { store, clean, problems, counts, waiting }, lines);
};

const cleanLine = (store: string, counts: FsckReport['counts']): string =>
  `${store} is clean (${Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ')})`;

const problemLines = (problems: readonly Problem[]): string[] =>
  cut(
    problems,
    problems.slice(0, SHOWN_MAX).map(({ kind, message }) => `${kind}: ${message}`),
  );

const cut = (all: readonly unknown[], lines: string[]): string[] =>
  all.length > lines.length ? [...lines, `… and ${all.length - lines.length} more`] : lines;

const counted = (list: readonly unknown[], what: string): string =>
  `${list.length} ${what}${list.length === 1 ? '' : 's'}`;

const repair = async (context: CliContext, path: string, options: FsckOptions): Promise<void> => {
  const store = resolveStore(path, undefined);
  const session = (await context.loadStore()).openRepair(store, progressOf(context));
  try {
    const before = session.check();
    context.terminal?.progress('');
    if (before.problems.length === 0) {
      const result = {
        store,
        clean: true,
        repaired: false,
        problems: [],
        steps: [],
        remaining: [],
        counts: before.counts,
      };
      printResult(context, options, result, [`${cleanLine(store, before.counts)}: nothing to repair`]);
      return;
    }
    const backup = await chooseBackup(context, store, options, before.problems);
    if (backup !== undefined) session.backup(backup);
    finish(context, options, store, before, backup, session);
  } finally {
    session.close();
  }
};

const finish = (
  context: CliContext,
  options: FsckOptions,
  store: string,
  before: FsckReport,
  backup: string | undefined,
  session: RepairSession,
): void => {
  const { steps, remaining, counts } = session.repair();
  context.terminal?.progress('');
  const clean = remaining.length === 0;
  const result = {
    store,
    clean,
    repaired: true,
    backup,
    problems: before.problems,
    steps,
    remaining,
    counts,
  };
  printResult(context, options, result, [
    ...(backup === undefined ? [] : [`a copy is in ${backup}`]),
    ...stepLines(steps),
    ...(clean ? [cleanLine(store, counts)] : ['still wrong:', ...problemLines(remaining)]),
  ]);
  if (!clean)
    throw new Failure(
      'damaged',
      `${store} still has ${counted(remaining, 'error')}: mount it with -o ro and copy what is readable, or restore a backup`,
    );
};

const stepLines = (steps: readonly RepairStep[]): string[] =>
  cut(
    steps,
    steps.slice(0, SHOWN_MAX).map(({ kind, message, action }) => `${kind}: ${message}: ${action}`),
  );

/** Where to copy the store first; undefined: nowhere, as was wished. Throws if nobody has said. */
const chooseBackup = async (
  context: CliContext,
  store: string,
  options: FsckOptions,
  problems: readonly Problem[],
): Promise<string | undefined> => {
  if (options.backup === false) return undefined;
  if (typeof options.backup === 'string') return resolve(options.backup);
  const { terminal } = context;
  if (terminal === undefined || options.json)
    throw new Failure(
      'damaged',
      `${store} has ${counted(problems, 'error')} and was left alone: say --backup FILE to copy it before the repair, or --no-backup`,
    );
  for (const line of problemLines(problems)) context.out(`${line}\n`);
  const file = freeName(`${store}.before-repair`);
  const answer = (await terminal.ask(`Copy the store to ${file} before the repair? [Yes/no/quit] `))
    ?.trim()
    .toLowerCase();
  if (answer === '' || answer === 'y' || answer === 'yes') return file;
  if (answer === 'n' || answer === 'no') return undefined;
  throw new Failure('damaged', `${store} has ${counted(problems, 'error')} and was left alone`);
};

const freeName = (wanted: string): string => {
  let name = wanted;
  for (let i = 2; existsSync(name); i++) name = `${wanted}-${i}`;
  return name;
};
