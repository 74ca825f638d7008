/** Many small files, and a request that does nothing: loops of system calls, each in a Node child (raw-calls.ts). */
import { fileURLToPath } from 'node:url';
import { median, type Better } from './stats.js';
import type { Caches, Group, Step, StepContext } from './workload.js';

const PROGRAM = fileURLToPath(new URL('raw-calls.js', import.meta.url));
/** Round trips of the request that does nothing, in one process. */
const NULL_REQUESTS = 5_000;
/**
 * Processes in one trial of it. A round trip takes several times as long when client and server happen to sit on two
 * cores, and one process stays as it was placed: only several of them, and their median, give a steady figure.
 */
const NULL_PROCESSES = 5;

/** Seconds that the loop took. */
const rawCalls = async (context: StepContext, operation: string, count: number): Promise<number> => {
  const args = [PROGRAM, operation, context.root, String(count)];
  const { stdout } = await context.processes.run(process.execPath, args);
  return (JSON.parse(stdout) as { ns: number }).ns / 1e9;
};

const perSecond = (name: string, operation: string, caches: Caches, needed = false): Step => ({
  figure: { name, unit: 'ops/s', better: 'higher' satisfies Better },
  caches,
  needed,
  run: async (context) => {
    const { files } = context.settings;
    return files / (await rawCalls(context, operation, files));
  },
});

const list = (name: string, caches: Caches): Step => ({
  figure: { name, unit: 'ms', better: 'lower' },
  caches,
  needed: false,
  run: async (context) => (await rawCalls(context, 'list', context.settings.files)) * 1e3,
});

const manyFiles = (files: number): Group => {
  const many = files.toLocaleString('en-US');
  return {
    name: 'many files',
    variant: {},
    usesSources: false,
    steps: [
      perSecond(`create ${many} files`, 'create', 'dropped', true),
      perSecond(`stat ${many} files, cold`, 'stat', 'cold'),
      perSecond(`stat ${many} files, warm`, 'stat', 'warm'),
      list(`list ${many} entries, cold`, 'cold'),
      list(`list ${many} entries, warm`, 'warm'),
      perSecond(`unlink ${many} files`, 'unlink', 'as is'),
    ],
  };
};

/** How long the server polls is an option of ours alone: the rival is measured twice alike. */
const nothing = (pollUs: number): Group => ({
  name: `nothing, polling ${pollUs} µs`,
  variant: { noLifetimes: true, pollUs },
  usesSources: false,
  steps: [
    {
      figure: { name: `request that does nothing, poll_us=${pollUs}`, unit: 'µs', better: 'lower' },
      caches: 'as is',
      needed: false,
      run: async (context) => {
        const micros: number[] = [];
        for (let i = 0; i < NULL_PROCESSES; i++) {
          micros.push(((await rawCalls(context, 'fstat', NULL_REQUESTS)) / NULL_REQUESTS) * 1e6);
        }
        return median(micros);
      },
    },
  ],
});

export const callGroups = (files: number): readonly Group[] => [manyFiles(files), nothing(50), nothing(0)];
