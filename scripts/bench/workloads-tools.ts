/**
 * What people do with a tree of source files: tar, grep, cp, git, rm, each a process timed from its start to its
 * exit. They are left to buffer as they do; what is still to be written then shows in the time to settle (JSON).
 */
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { gitEnvironment } from './git-environment.js';
import { MARKER } from './source-tree.js';
import type { Caches, Group, Step, StepContext } from './workload.js';

interface Tool {
  name: string;
  caches: Caches;
  needed?: boolean;
  /** The program, then its arguments. */
  command: (context: StepContext) => string[];
  /** Files outside the target that must be in memory, else their disk reads would be measured. */
  source?: (context: StepContext) => string;
  /** Runs in one trial, one after another; the figure is their mean. For what is too short to time once. */
  repeat?: number;
  /** Throws when the output shows that the work was not done. */
  check?: (stdout: string) => void;
}

const tool = ({ name, caches, needed = false, command, source, repeat = 1, check }: Tool): Step => ({
  figure: { name, unit: 'ms', better: 'lower' },
  caches,
  needed,
  prepare: async (context) => {
    await context.processes.run(command(context)[0], ['--version']);
    if (source !== undefined) {
      await context.processes.run('find', [source(context), '-type', 'f', '-exec', 'cat', '{}', '+']);
    }
  },
  run: async (context) => {
    const [program, ...args] = command(context);
    let total = 0;
    for (let i = 0; i < repeat; i++) {
      const { stdout, wallMs } = await context.processes.run(program, args, { env: gitEnvironment() });
      check?.(stdout);
      total += wallMs;
    }
    return total / repeat;
  },
});

const grep = (caches: 'cold' | 'warm'): Step =>
  tool({
    name: `grep -r, ${caches}`,
    caches,
    repeat: caches === 'warm' ? 5 : 1,
    command: ({ root }) => ['grep', '-rlF', MARKER, join(root, 'tree')],
    check: (stdout) => {
      if (stdout === '') throw new Error('grep found nothing');
    },
  });

const gitStatus = (caches: 'cold' | 'warm'): Step =>
  tool({
    name: `git status, ${caches}`,
    caches,
    repeat: caches === 'warm' ? 5 : 1,
    command: ({ root }) => ['git', '-C', join(root, 'clone'), 'status', '--porcelain'],
    check: (stdout) => {
      if (stdout !== '') throw new Error(`git status is not clean: ${stdout.slice(0, 200)}`);
    },
  });

/**
 * git reads again, whatever stat says, each file whose mtime lies in the same second as the index was written ("racy"
 * entries: git's Documentation/technical/racy-git). The faster the clone, the more of them there are: 2,400 of 4,000 on
 * a plain directory against 200 on a slow target. So every target gets an index written a second after its files, and
 * git status is about stat.
 */
const settleIndex: Step = {
  caches: 'as is',
  needed: true,
  run: async ({ processes, root }) => {
    await setTimeout(1100);
    await processes.run('git', ['-C', join(root, 'clone'), 'status', '--porcelain'], {
      env: gitEnvironment(),
    });
    return 0;
  },
};

const sourceTree: Group = {
  name: 'source tree',
  variant: {},
  usesSources: true,
  steps: [
    tool({
      name: 'tar extract',
      caches: 'dropped',
      needed: true,
      command: ({ root, sources }) => ['tar', '-xf', sources.tar, '-C', root],
      source: ({ sources }) => sources.tar,
    }),
    grep('cold'),
    grep('warm'),
    tool({
      name: 'cp -a',
      caches: 'as is',
      needed: true,
      command: ({ root }) => ['cp', '-a', join(root, 'tree'), join(root, 'copy')],
    }),
    tool({
      name: 'git clone',
      caches: 'dropped',
      needed: true,
      // Without --no-hardlinks only the plain directory, on the repository's own disk, could link objects.
      command: ({ root, sources }) => [
        'git',
        'clone',
        '-q',
        '--no-hardlinks',
        sources.repository,
        join(root, 'clone'),
      ],
      source: ({ sources }) => sources.repository,
    }),
    settleIndex,
    gitStatus('cold'),
    gitStatus('warm'),
    tool({ name: 'rm -rf', caches: 'as is', command: ({ root }) => ['rm', '-rf', join(root, 'copy')] }),
  ],
};

export const toolGroups: readonly Group[] = [sourceTree];
