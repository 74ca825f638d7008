/** The exerciser: `scripts/fsx` builds and starts this. */
import { writeFileSync } from 'node:fs';
import { parseOptions } from './options.js';
import { type Report, runSeeds } from './run.js';

const note = (text: string): void => void process.stderr.write(`${text}\n`);

/** A line that rewrites itself, on a terminal only. */
const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

/** Longer logs are for the file of --log only. */
const LOG_LINES_SHOWN = 40;

const show = (report: Report, logFile: string | undefined): void => {
  const { failure } = report;
  if (failure === undefined) {
    const rate = Math.round(report.operations / Math.max(report.seconds, 0.001));
    process.stdout.write(
      `no difference: ${report.operations} operations, seeds ${report.seeds.join(' ')}, ${report.seconds} s ` +
        `(${rate} operations/s), on ${report.about}\n`,
    );
    return;
  }
  const lines = [
    `DIFFERENCE on ${report.about}: seed ${failure.seed}, operation ${failure.index}: ${failure.what}`,
  ];
  if (failure.log !== undefined) {
    lines.push(`shrunk to ${failure.log.length} operations (${failure.again}):`);
    lines.push(...failure.log.slice(0, LOG_LINES_SHOWN).map((op) => JSON.stringify(op)));
    if (failure.log.length > LOG_LINES_SHOWN)
      lines.push(logFile === undefined ? '… (the rest with --log)' : `… (the rest in ${logFile})`);
  }
  process.stdout.write(`${lines.join('\n')}\n`);
};

const EXIT_INTERRUPTED = 130;
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort());

const options = parseOptions(process.argv.slice(2));
if (!options.json) note(`seeds ${options.seeds.join(' ')}, ${options.ops} operations each`);
const total = options.ops * options.seeds.length;
try {
  const report = await runSeeds(options, {
    signal: interruption.signal,
    progress: (done) => progress(`${done} of ${total} operations`),
    note: (text) => {
      progress('');
      if (!options.json) note(text);
    },
  });
  progress('');
  if (interruption.signal.aborted) note('fsx: interrupted');
  else if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else show(report, options.log);
  if (options.log !== undefined && report.failure?.log !== undefined) {
    writeFileSync(options.log, report.failure.log.map((op) => `${JSON.stringify(op)}\n`).join(''));
  }
  process.exitCode = interruption.signal.aborted ? EXIT_INTERRUPTED : report.failure === undefined ? 0 : 1;
} catch (error) {
  progress('');
  note(`fsx: ${(error as Error).message}`);
  process.exitCode = 1;
}
