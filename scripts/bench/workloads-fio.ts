/**
 * Reads and writes of one file, by fio with plain read(2) and write(2) (`psync`). `invalidate=0`, since fio would
 * otherwise drop the file from the page cache at each start, and nothing would be warm; the runner drops caches
 * itself. `fallocate=none`, since not every target has it. Same seed for every target.
 */
import { join } from 'node:path';
import { parseFio, type FioResult } from './parse.js';
import type { Group, Step, StepContext } from './workload.js';

const COMMON = [
  '--name=bench',
  '--ioengine=psync',
  '--invalidate=0',
  '--fallocate=none',
  '--randrepeat=1',
  '--output-format=json',
];
const MB = 1e6;
/** Cold random reads do this part of the file, else a slow disk would take minutes. */
export const COLD_PART = 16;
/** Warm sequential reads go over the file this often, to last long enough to be measured. */
const WARM_LOOPS = 4;
const FSYNC_OPS = 1000;
export const BLOCK = 4096;

const fio = async (
  context: StepContext,
  file: string,
  direction: 'read' | 'write',
  args: readonly string[],
): Promise<FioResult> => {
  const { stdout } = await context.processes.run('fio', [
    ...COMMON,
    `--filename=${join(context.root, file)}`,
    ...args,
  ]);
  return parseFio(stdout, direction);
};

/** After the caches were dropped, fio's own pages must come back before it is timed. */
const prepare = async (context: StepContext): Promise<void> => {
  await context.processes.run('fio', ['--version']);
};

const megabytes = (name: string): Step['figure'] => ({ name, unit: 'MB/s', better: 'higher' });
const operations = (name: string): Step['figure'] => ({ name, unit: 'ops/s', better: 'higher' });

const sequential = (name: string, caches: 'cold' | 'warm'): Step => ({
  figure: megabytes(name),
  caches,
  needed: false,
  prepare,
  run: async (context) => {
    const loops = caches === 'warm' ? [`--loops=${WARM_LOOPS}`] : [];
    const args = ['--rw=read', '--bs=1M', `--size=${context.settings.sizeBytes}`, ...loops];
    return (await fio(context, 'data', 'read', args)).bytesPerSecond / MB;
  },
});

const random = (name: string, caches: 'cold' | 'warm'): Step => ({
  figure: operations(name),
  caches,
  needed: false,
  prepare,
  run: async (context) => {
    const { sizeBytes } = context.settings;
    const part = caches === 'cold' ? [`--io_size=${Math.ceil(sizeBytes / COLD_PART / BLOCK) * BLOCK}`] : [];
    const args = ['--rw=randread', '--bs=4k', `--size=${sizeBytes}`, ...part];
    return (await fio(context, 'data', 'read', args)).opsPerSecond;
  },
});

const reads: Group = {
  name: 'sequential write and reads',
  variant: {},
  usesSources: false,
  steps: [
    {
      figure: megabytes('sequential write 1 MiB, fsync at end'),
      caches: 'dropped',
      needed: true,
      prepare,
      run: async (context) => {
        const args = ['--rw=write', '--bs=1M', '--end_fsync=1', `--size=${context.settings.sizeBytes}`];
        return (await fio(context, 'data', 'write', args)).bytesPerSecond / MB;
      },
    },
    sequential('sequential read 1 MiB, cold', 'cold'),
    random('random read 4 KiB, cold', 'cold'),
    sequential('sequential read 1 MiB, warm', 'warm'),
    random('random read 4 KiB, warm', 'warm'),
  ],
};

/** A quarter of the file of the reads, laid out before, so that the random writes overwrite. */
const writtenBytes = (context: StepContext): number =>
  Math.ceil(context.settings.sizeBytes / 4 / BLOCK) * BLOCK;

const randomWrite = (name: string, args: (context: StepContext) => string[]): Step => ({
  figure: operations(name),
  caches: 'dropped',
  needed: false,
  prepare,
  run: async (context) => {
    const all = ['--rw=randwrite', '--bs=4k', `--size=${writtenBytes(context)}`, ...args(context)];
    return (await fio(context, 'data', 'write', all)).opsPerSecond;
  },
});

const writes: Group = {
  name: 'random writes',
  variant: {},
  usesSources: false,
  steps: [
    {
      caches: 'as is',
      needed: true,
      run: async (context) => {
        const args = ['--rw=write', '--bs=1M', '--end_fsync=1', `--size=${writtenBytes(context)}`];
        return (await fio(context, 'data', 'write', args)).bytesPerSecond;
      },
    },
    randomWrite('random write 4 KiB, buffered, fsync at end', (context) => [
      '--end_fsync=1',
      `--io_size=${Math.ceil(writtenBytes(context) / 2 / BLOCK) * BLOCK}`,
    ]),
    randomWrite('random write 4 KiB, fsync each', () => ['--fsync=1', `--io_size=${FSYNC_OPS * BLOCK}`]),
  ],
};

export const fioGroups: readonly Group[] = [reads, writes];
