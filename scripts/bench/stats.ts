/**
 * The arithmetic of the benchmark: medians, comparisons that know which direction is better, counts of requests.
 * Pure functions, no I/O, so that the verdict can be tested without a mount.
 */

/** Whether a larger value of a figure is the better one (a rate) or the worse one (a time). */
export type Better = 'higher' | 'lower';

/** FUSE requests by opcode name. */
export type RequestCounts = Record<string, number>;

/** The middle value; of an even number the mean of the two in the middle. Throws RangeError when there is none. */
export const median = (values: readonly number[]): number => {
  if (values.length === 0) throw new RangeError('median of no values');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** How many times as good `value` is as `reference`: 2 is twice the rate or half the time; above 1 is better. */
export const timesAsGood = (value: number, reference: number, better: Better): number =>
  better === 'higher' ? value / reference : reference / value;

/**
 * - `pass`: the median is at least as good as the rival's.
 * - `behind`: it is worse, and so is every trial than every trial of the rival.
 * - `behind (in spread)`: it is worse, but the trials of the two overlap, so that noise may have decided. It counts
 *   as behind; the words only say that more rounds are needed to be sure.
 */
export type Verdict = 'pass' | 'behind' | 'behind (in spread)';

/** Requires at least one trial of each. */
export const judge = (trials: readonly number[], rival: readonly number[], better: Better): Verdict => {
  if (timesAsGood(median(trials), median(rival), better) >= 1) return 'pass';
  const overlap = Math.min(...trials) <= Math.max(...rival) && Math.min(...rival) <= Math.max(...trials);
  return overlap ? 'behind (in spread)' : 'behind';
};

/** What happened between two snapshots of the daemon's counters; kinds that did not occur are left out. */
export const requestDelta = (before: RequestCounts, after: RequestCounts): RequestCounts => {
  const delta: RequestCounts = {};
  for (const [kind, count] of Object.entries(after)) {
    const difference = count - (before[kind] ?? 0);
    if (difference !== 0) delta[kind] = difference;
  }
  return delta;
};

/** The median of each kind over the rounds (a kind missing from a round counts as 0 there); zeros are left out. */
export const medianRequests = (rounds: readonly RequestCounts[]): RequestCounts => {
  const medians: RequestCounts = {};
  for (const kind of new Set(rounds.flatMap((round) => Object.keys(round)))) {
    const count = Math.round(median(rounds.map((round) => round[kind] ?? 0)));
    if (count !== 0) medians[kind] = count;
  }
  return medians;
};

/** `items` starting at `by`, for giving each target a different place in each round. */
export const rotate = <T>(items: readonly T[], by: number): T[] => {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
};

/** Three significant digits, with thousands separated: `1,230`, `56.3`, `0.042`. */
export const formatValue = (value: number): string => {
  if (value === 0) return '0';
  const rounded = Number(value.toPrecision(3));
  if (Math.abs(rounded) >= 100) return Math.round(rounded).toLocaleString('en-US');
  return rounded.toFixed(Math.max(0, 2 - Math.floor(Math.log10(Math.abs(rounded)))));
};

/** The most frequent kinds first: `WRITE 512, CREATE 1, +2 kinds (3)`; `none` when there were none. */
export const formatRequests = (counts: RequestCounts, kindsMax = Infinity): string => {
  const entries = Object.entries(counts).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  if (entries.length === 0) return 'none';
  const shown = entries.slice(0, kindsMax).map(([kind, count]) => `${kind} ${count.toLocaleString('en-US')}`);
  const rest = entries.slice(kindsMax);
  if (rest.length > 0) {
    const sum = rest.reduce((total, [, count]) => total + count, 0);
    shown.push(`+${rest.length} kinds (${sum.toLocaleString('en-US')})`);
  }
  return shown.join(', ');
};
