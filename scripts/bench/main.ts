/**
 * The benchmark: `scripts/bench/run` builds and starts this. It makes a workspace on the disk under test, measures,
 * prints, and leaves no mount, process or file behind, also when it is interrupted.
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { canDropCaches, describeMachine, freeBytes, hasProgram, type Machine } from './machine.js';
import { sweep, unmountBelow, WORKSPACE_PREFIX } from './mounts.js';
import { parseOptions, type Options } from './options.js';
import { Processes } from './processes.js';
import { markdownTable, OURS, RIVAL, rowsOf, textTable, verdictLine, type Row } from './report.js';
import { BindfsTarget, Fuse2fsTarget } from './rival-targets.js';
import { runAll, selectGroups, type Failure } from './runner.js';
import { makeSources } from './source-tree.js';
import { PlainTarget, type Target } from './target.js';
import { VnodefsTarget } from './vnodefs-target.js';
import type { Group } from './workload.js';
import { callGroups } from './workloads-calls.js';
import { fioGroups } from './workloads-fio.js';
import { toolGroups } from './workloads-tools.js';

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
/** A disk needs room for fio's file, twice over in a store with its log, and for trees. */
const ROOM_FACTOR = 3;
const ROOM_BYTES = 2 ** 30;
const EXIT_INTERRUPTED = 130;

class UsageError extends Error {}

const note = (text: string): void => void process.stderr.write(`${text}\n`);

/** A line that rewrites itself, on a terminal only. */
const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

const chooseTargets = (options: Options, processes: Processes): Target[] => {
  const fuse2fs = new Fuse2fsTarget(
    processes,
    options.size * ROOM_FACTOR + ROOM_BYTES,
    hasProgram('fuse2fs') && hasProgram('mkfs.ext4'),
  );
  const known: Target[] = [
    new PlainTarget(),
    new VnodefsTarget(processes, REPOSITORY, OURS, options.vnodefsOpts),
    ...options.variant.map(
      ({ name, options: words }) => new VnodefsTarget(processes, REPOSITORY, name, words),
    ),
    new BindfsTarget(processes, options.bindfsOpts, hasProgram('bindfs')),
    fuse2fs,
  ];
  if (new Set(known.map(({ name }) => name)).size < known.length)
    throw new UsageError('Two targets have one name.');
  if (options.targets === undefined) {
    return known.filter((target) => {
      const reason = target.unavailable();
      if (reason !== undefined && target !== fuse2fs) note(`${target.name} is left out: ${reason}.`);
      return reason === undefined && target !== fuse2fs;
    });
  }
  for (const name of options.targets) {
    if (!known.some((target) => target.name === name)) throw new UsageError(`There is no target "${name}".`);
  }
  const chosen = known.filter(({ name }) => options.targets?.includes(name));
  for (const target of chosen) {
    const reason = target.unavailable();
    if (reason !== undefined) throw new UsageError(`${target.name} cannot be measured: ${reason}.`);
  }
  return chosen;
};

const chooseGroups = (options: Options): Group[] => {
  const mayDrop = canDropCaches();
  if (!mayDrop) note('Not root: caches cannot be dropped, so the cold figures are left out.');
  const groups = selectGroups(
    [...fioGroups, ...callGroups(options.files), ...toolGroups],
    (figure, step) => (options.only?.test(figure) ?? true) && (mayDrop || step.caches !== 'cold'),
  );
  if (groups.length === 0) throw new UsageError('No figure matches --only.');
  return groups;
};

const print = (
  options: Options,
  machine: Machine,
  targets: readonly Target[],
  rows: readonly Row[],
): void => {
  const names = targets.map(({ name }) => name);
  const table = options.markdown ? markdownTable(rows, names) : textTable(rows, names);
  const lines = [
    `${machine.cpus} × ${machine.cpu}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node ${machine.node}, ` +
      `on ${machine.disk}, load ${machine.load.toFixed(1)} before. Medians of ${options.rounds}. ↑ more is better, ↓ less is better.`,
    ...targets.map(({ name, about }) => `${options.markdown ? '- ' : ''}${name}: ${about}`),
    '',
    table,
    '',
    verdictLine(rows),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
};

const measure = async (options: Options, processes: Processes): Promise<number> => {
  const targets = chooseTargets(options, processes);
  const groups = chooseGroups(options);
  const needed = options.size * ROOM_FACTOR + ROOM_BYTES;
  mkdirSync(options.dir, { recursive: true });
  // The kernel's list of mounts holds no symbolic links.
  options.dir = realpathSync(options.dir);
  if (freeBytes(options.dir) < needed) {
    throw new UsageError(
      `${options.dir} has less than ${Math.ceil(needed / 2 ** 20)} MiB free: use --dir or --size.`,
    );
  }
  await sweep(processes, options.dir);
  const started = new Date();
  const machine = describeMachine(options.dir);
  if (machine.load > machine.cpus / 2) {
    note(`This machine is busy (load ${machine.load.toFixed(1)}): the figures will be unsure.`);
  }
  const workspace = mkdtempSync(join(options.dir, `${WORKSPACE_PREFIX}${process.pid}-`));
  try {
    const usesSources = groups.some((group) => group.usesSources);
    if (usesSources) progress('making the source tree');
    const sources = usesSources ? await makeSources(processes, workspace) : { tar: '', repository: '' };
    const { trials, failures } = await runAll({
      processes,
      workspace,
      targets,
      groups,
      rounds: options.rounds,
      settings: { sizeBytes: options.size, files: options.files },
      sources,
      mayDropCaches: canDropCaches(),
      onProgress: progress,
    });
    progress('');
    const figures = groups.flatMap(({ steps }) => steps.flatMap((step) => step.figure ?? []));
    const rows = rowsOf(figures, trials);
    print(options, machine, targets, rows);
    for (const failure of failures) note(describeFailure(failure));
    const seconds = Math.round((Date.now() - started.getTime()) / 1000);
    note(`Took ${Math.floor(seconds / 60)} min ${seconds % 60} s.`);
    if (options.json !== undefined) {
      const about = Object.fromEntries(targets.map((target) => [target.name, target.about]));
      const { rounds, size, files } = options;
      const report = { started, seconds, machine, rounds, size, files, rival: RIVAL, about, rows, failures };
      writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
    }
    const behind = rows.some(({ verdict }) => verdict !== undefined && verdict !== 'pass');
    return failures.length > 0 || (options.check && behind) ? 1 : 0;
  } finally {
    await unmountBelow(processes, workspace);
    rmSync(workspace, { recursive: true, force: true });
  }
};

const describeFailure = ({ figure, target, round, message }: Failure): string =>
  `FAILED in round ${round}, ${target}, at "${figure}": ${message}`;

const main = async (): Promise<number> => {
  const options = parseOptions(process.argv.slice(2));
  const processes = new Processes(options.timeout * 1000);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!processes.aborted) note(`\n${signal}: unmounting and removing what was made.`);
      processes.abort();
    });
  }
  try {
    return await measure(options, processes);
  } catch (error) {
    if (processes.aborted) return EXIT_INTERRUPTED;
    note(`bench: ${(error as Error).message}`);
    return error instanceof UsageError ? 2 : 1;
  }
};

process.exitCode = await main();
