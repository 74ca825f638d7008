/** From trials to what is shown: one row a figure, as a table for the terminal, as Markdown, as JSON. */
import type { Trial } from './runner.js';
import {
  formatRequests,
  formatValue,
  judge,
  median,
  medianRequests,
  timesAsGood,
  type Better,
  type RequestCounts,
  type Verdict,
} from './stats.js';
import type { Step } from './workload.js';

export const OURS = 'vnodefs';
export const RIVAL = 'bindfs';

export interface TargetResult {
  median: number;
  trials: number[];
  requests?: RequestCounts;
  /** Median; only of figures that write. */
  settleMs?: number;
}

export interface Row {
  figure: string;
  unit: string;
  better: Better;
  /** By target name; a target whose every trial failed is absent. */
  results: Record<string, TargetResult>;
  /** How many times as good as bindfs vnodefs is; undefined unless both were measured. */
  ratio?: number;
  verdict?: Verdict;
}

type Figure = NonNullable<Step['figure']>;

export const rowsOf = (figures: readonly Figure[], trials: readonly Trial[]): Row[] =>
  figures.map(({ name, unit, better }) => {
    const row: Row = { figure: name, unit, better, results: {} };
    const own = trials.filter((trial) => trial.figure === name);
    for (const target of new Set(own.map((trial) => trial.target))) {
      const mine = own.filter((trial) => trial.target === target);
      const result: TargetResult = {
        median: median(mine.map((trial) => trial.value)),
        trials: mine.map((trial) => trial.value),
      };
      const requests = mine.map((trial) => trial.requests).filter((counts) => counts !== undefined);
      if (requests.length > 0) result.requests = medianRequests(requests);
      const settled = mine.map((trial) => trial.settleMs).filter((ms) => ms !== undefined);
      if (settled.length > 0) result.settleMs = median(settled);
      row.results[target] = result;
    }
    const [ours, rival] = [row.results[OURS], row.results[RIVAL]] as (TargetResult | undefined)[];
    if (ours !== undefined && rival !== undefined) {
      row.ratio = timesAsGood(ours.median, rival.median, better);
      row.verdict = judge(ours.trials, rival.trials, better);
    }
    return row;
  });

/** `3 of 25 figures are behind bindfs (1 of them within the spread of the rounds)`. */
export const verdictLine = (rows: readonly Row[]): string => {
  const judged = rows.filter((row) => row.verdict !== undefined);
  if (judged.length === 0) return `No verdict: ${OURS} and ${RIVAL} were not both measured.`;
  const behind = judged.filter((row) => row.verdict !== 'pass');
  const unsure = behind.filter((row) => row.verdict === 'behind (in spread)').length;
  const aside = unsure > 0 ? ` (${unsure} of them within the spread of the rounds)` : '';
  const floor = behind.length === 0 ? 'the floor holds' : 'the floor (none) is broken';
  return `${behind.length} of ${judged.length} figures behind ${RIVAL}${aside}: ${floor}.`;
};

const HEADER_REQUESTS = 'FUSE requests';
/** Kinds shown in a table; JSON has them all. */
const KINDS_SHOWN = 6;

/** Header and body of the table, as text cells. Targets in the order given. */
const cellsOf = (rows: readonly Row[], targets: readonly string[]): string[][] => {
  const judged = rows.some((row) => row.verdict !== undefined);
  const counted = targets.filter((name) => rows.some((row) => row.results[name]?.requests !== undefined));
  const requestsHeader = (name: string): string =>
    counted.length > 1 ? `${HEADER_REQUESTS} (${name})` : HEADER_REQUESTS;
  const header = ['workload', 'unit', ...targets];
  if (judged) header.push(`${OURS} / ${RIVAL}`, 'verdict');
  header.push(...counted.map(requestsHeader));
  const body = rows.map((row) => {
    const result = (name: string): TargetResult | undefined => row.results[name];
    const cells = [row.figure, row.better === 'higher' ? `${row.unit} ↑` : `${row.unit} ↓`];
    for (const name of targets) cells.push(formatOptional(result(name)?.median));
    if (judged) cells.push(row.ratio === undefined ? '-' : `${row.ratio.toFixed(2)}×`, row.verdict ?? '-');
    for (const name of counted) {
      const requests = result(name)?.requests;
      cells.push(requests === undefined ? '-' : formatRequests(requests, KINDS_SHOWN));
    }
    return cells;
  });
  return [header, ...body];
};

const formatOptional = (value: number | undefined): string =>
  value === undefined ? '-' : formatValue(value);

/** Whether a column holds numbers, which are set flush right. */
const isNumeric = (header: string, targets: readonly string[]): boolean =>
  targets.includes(header) || header === `${OURS} / ${RIVAL}`;

export const textTable = (rows: readonly Row[], targets: readonly string[]): string => {
  const cells = cellsOf(rows, targets);
  const widths = cells[0].map((_, column) => Math.max(...cells.map((line) => line[column].length)));
  const lines = cells.map((line) =>
    line
      .map((cell, i) => (isNumeric(cells[0][i], targets) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd(),
  );
  lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '));
  return lines.join('\n');
};

/** The table of the README. */
export const markdownTable = (rows: readonly Row[], targets: readonly string[]): string => {
  const cells = cellsOf(rows, targets);
  const rule = cells[0].map((header) => (isNumeric(header, targets) ? '---:' : '---'));
  return [cells[0], rule, ...cells.slice(1)].map((line) => `| ${line.join(' | ')} |`).join('\n');
};
