/** scripts/soak/walk: memory is bounded by the two budgets whatever the number of files walked. See the shell script beside it. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mountAt, readMounts } from '../../src/base/mountinfo.js';
import type { MountReport } from '../../src/cli/status.js';

const CLI = fileURLToPath(new URL('../../../bin/vnodefs.js', import.meta.url));
const STEP = fileURLToPath(new URL('./walk-step.js', import.meta.url));
const SAMPLE_MS = 1_000;
/**
 * The high-water mark of memory may rise by this part of --rss in the second half of the walk, and memory still be flat: no two
 * teeth of the garbage collector's saw are alike. Marks are compared, not the halves' own largest samples: a tooth is a sixth
 * of the whole, and a half that begins with a full collection may not see its top.
 */
const FLAT_PART = 0.08;
/** What the kernel may remember beyond the vnode budget: prunes under way, directories whose entries are just going. */
const KERNEL_SLACK = 20_000;

const HELP = `usage: scripts/soak/walk [N] [options]
  N               files (default 1000000)
  --vnodes N      vnode budget of the mount (default 10000)
  --pages SIZE    page budget of the mount (default 64MiB)
  --rss MIB       the daemon's peak resident memory must stay below (default 300)
  --jobs N        processes at a time (default 4)
  --minor N       speak FUSE 7.N at most: below 45 the kernel can't be told to prune, and names are invalidated instead
  --dir DIR       where the store goes (default: the directory for temporary files)
  --json FILE     write the figures there`;

const options = (() => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      vnodes: { type: 'string', default: '10000' },
      pages: { type: 'string', default: '64MiB' },
      jobs: { type: 'string', default: '4' },
      rss: { type: 'string', default: '300' },
      minor: { type: 'string' },
      dir: { type: 'string', default: tmpdir() },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const count = Number(positionals[0] ?? '1000000');
  if (values.help || positionals.length > 1 || !(count > 0)) {
    console.log(HELP);
    process.exit(values.help ? 0 : 2);
  }
  return { ...values, count };
})();

/** MiB. */
interface Memory {
  rss: number;
  peak: number;
}
interface Sample extends Memory {
  step: string;
  seconds: number;
  kernelLookups: number;
  vnodes: number;
  pages: number;
  /** Of all FUSE mounts of this machine; undefined where /proc/slabinfo may not be read. */
  fuseInodes: number | undefined;
}

const run = (command: string, args: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (out.length < 1 << 20) out += text;
    });
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(out) : reject(new Error(`${command} ${args.join(' ')}: exit ${code}`)),
    );
  });

const vnodefs = (...args: string[]): Promise<string> => run(process.execPath, [CLI, ...args]);

const memoryOf = (pid: number): Memory => {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number =>
    Math.round(Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) / 1024);
  return { rss: field('VmRSS'), peak: field('VmHWM') };
};

const fuseInodes = (): number | undefined => {
  try {
    const line = /^fuse_inode +(\d+)/m.exec(readFileSync('/proc/slabinfo', 'utf8'));
    return line === null ? 0 : Number(line[1]);
  } catch {
    return undefined;
  }
};

const startMs = performance.now();
const samples: Sample[] = [];

const statusOf = async (mnt: string): Promise<MountReport> => {
  const { mounts } = JSON.parse(await vnodefs('status', mnt, '--json')) as { mounts: MountReport[] };
  return mounts[0];
};

const takeSample = async (step: string, mnt: string, pid: number): Promise<Sample> => {
  const { vnodes, pages, counters } = await statusOf(mnt);
  const sample: Sample = {
    step,
    seconds: Math.round((performance.now() - startMs) / 1000),
    ...memoryOf(pid),
    kernelLookups: counters?.['kernelLookups'] ?? NaN,
    vnodes: vnodes?.resident ?? NaN,
    pages: pages?.resident ?? NaN,
    fuseInodes: fuseInodes(),
  };
  samples.push(sample);
  return sample;
};

const show = ({ step, seconds, rss, peak, kernelLookups, vnodes, pages, fuseInodes }: Sample): void =>
  console.log(
    `${String(seconds).padStart(6)} s  ${step.padEnd(8)} rss ${rss} MiB (peak ${peak}), vnodes ${vnodes}, pages ${pages}, ` +
      `kernel: ${kernelLookups} lookups, ${fuseInodes ?? '?'} fuse_inodes`,
  );

/** Runs a step, sampling meanwhile; shows a sample now and then, and the last. */
const watch = async (step: string, mnt: string, pid: number, work: Promise<string>): Promise<void> => {
  let running = true;
  const done = work.finally(() => (running = false));
  done.catch(() => undefined);
  let shown = 0;
  let pauseMs = SAMPLE_MS;
  while (running) {
    await Promise.race([sleep(pauseMs), done]);
    const sample = await takeSample(step, mnt, pid);
    if (sample.seconds - shown < 30 && running) continue;
    shown = sample.seconds;
    pauseMs = Math.min(pauseMs * 1.5, 10_000);
    show(sample);
  }
  await done;
};

const largest = (of: readonly Sample[], field: (sample: Sample) => number): number =>
  of.reduce((most, sample) => Math.max(most, field(sample)), 0);

/** What isn't as it should be, one sentence each. */
const judge = (afterwards: Sample): string[] => {
  const walk = samples.filter(({ step }) => step !== 'create');
  const from = walk[0].seconds;
  const middle = (from + walk[walk.length - 1].seconds) / 2;
  const first = walk.filter(({ seconds }) => seconds <= middle);
  const peak = largest(samples, (sample) => sample.peak);
  const risen = peak - largest(first, (sample) => sample.peak);
  const remembered = afterwards.kernelLookups;
  const allowed = Number(options.vnodes) + KERNEL_SLACK;
  console.log(
    `peak ${peak} MiB, ${risen} of them in the second half of the walk; the kernel remembers at most ` +
      `${remembered} of ${options.count} files`,
  );
  const wrong: string[] = [];
  if (peak >= Number(options.rss))
    wrong.push(`the daemon's memory reached ${peak} MiB, not below ${options.rss}`);
  if (risen > Number(options.rss) * FLAT_PART)
    wrong.push(`memory's high-water mark rose by ${risen} MiB in the second half of the walk`);
  if (!(remembered <= allowed))
    wrong.push(`the kernel still holds ${remembered} lookups, more than ${allowed}`);
  return wrong;
};

const main = async (): Promise<number> => {
  const base = mkdtempSync(join(options.dir, 'vnodefs-walk-'));
  const mnt = join(base, 'mnt');
  mkdirSync(mnt);
  const { count, vnodes, pages, minor } = options;
  const experiments = ['-o', minor === undefined ? 'rehearsal' : `rehearsal,protocol=7.${minor}`];
  const budgets = ['--vnodes', vnodes, '--pages', pages, ...experiments];
  try {
    const { pid } = JSON.parse(await vnodefs('mount', join(base, 's.db'), mnt, ...budgets, '--json')) as {
      pid: number;
    };
    let wrong: string[];
    try {
      const step = (name: string): Promise<void> => watch(name, mnt, pid, inParts(name, mnt, count));
      await step('create');
      await watch('find', mnt, pid, countFiles(mnt, count));
      await step('stat');
      await step('read');
      await sleep(3_000); // the last prunes
      const afterwards = await takeSample('after', mnt, pid);
      show(afterwards);
      wrong = judge(afterwards);
      const { counters } = await statusOf(mnt);
      if (options.json !== undefined)
        writeFileSync(options.json, JSON.stringify({ options, samples, counters, wrong }, undefined, 1));
    } finally {
      await vnodefs('umount', mnt, '--timeout', '300');
    }
    for (const sentence of wrong) console.error(`walk: ${sentence}`);
    return wrong.length === 0 ? 0 : 1;
  } finally {
    if (mountAt(readMounts(), mnt) === undefined) rmSync(base, { recursive: true, force: true });
  }
};

/** The step's processes, each on its share of the files. */
const inParts = async (name: string, mnt: string, count: number): Promise<string> => {
  const jobs = Math.max(1, Number(options.jobs));
  const bounds = Array.from({ length: jobs + 1 }, (_, job) => String(Math.round((count * job) / jobs)));
  await Promise.all(
    bounds.slice(1).map((to, job) => run(process.execPath, [STEP, name, mnt, bounds[job], to])),
  );
  return '';
};

const countFiles = async (mnt: string, count: number): Promise<string> => {
  const found = Number(await run('sh', ['-c', 'find "$0" -type f | wc -l', mnt]));
  if (found !== count) throw new Error(`find saw ${found} files of ${count}`);
  return '';
};

process.exitCode = await main();
