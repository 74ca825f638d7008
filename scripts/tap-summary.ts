/**
 * Reads a run's raw TAP and prints what failed, and why, and `N passed, N failed`, counting assertions: a test point that closes
 * a subtest counts only when it failed for a reason of its own (a time-out, a wrong plan). `tap-summary FILE STATUS LEFTOVERS` exits
 * non-zero on any failure and when nothing was tested.
 */
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

export interface TapCounts {
  passed: number;
  failed: number;
  skipped: number;
  failures: Failed[];
}

export interface Failed {
  /** File > subtest > point. */
  name: string;
  /** What tap says of it: lines of YAML. */
  details: string[];
}

const SUBTEST = /^( *)# Subtest: (.*)$/;
const POINT = /^( *)(not )?ok\b(.*)$/;
/** tap indents a subtest by four spaces a level. */
const INDENT = 4;
/** Of one failure, so that a log that is cut short still says why. */
const DETAILS_MAX = 60;

export const countTap = (text: string): TapCounts => {
  const counts: TapCounts = { passed: 0, failed: 0, skipped: 0, failures: [] };
  /** By depth: the subtest that is open. */
  const subtests: string[] = [];
  /** By depth: whether points, and failed ones, were seen since the last point one level up. */
  const points: boolean[] = [];
  const failures: boolean[] = [];
  let yamlIndent = -1;
  /** The point just read, if it failed: YAML that follows is about it. */
  let last: Failed | undefined;
  for (const line of text.split('\n')) {
    const indent = line.length - line.trimStart().length;
    if (yamlIndent >= 0) {
      if (indent === yamlIndent && line.trim() === '...') yamlIndent = -1;
      else if (line.trim() !== '' && last !== undefined && last.details.length < DETAILS_MAX)
        last.details.push(line.slice(yamlIndent));
      continue;
    }
    if (line.trim() === '---') {
      yamlIndent = indent;
      continue;
    }
    const opened = SUBTEST.exec(line);
    if (opened !== null) subtests[Math.floor(opened[1].length / INDENT)] = opened[2];
    const match = POINT.exec(line);
    if (match === null) continue;
    last = undefined;
    const depth = Math.floor(match[1].length / INDENT);
    const failed = match[2] !== undefined && !/# (todo|skip)\b/i.test(match[3]);
    const isParent = points[depth + 1] === true;
    const explained = failures[depth + 1] === true;
    points.length = failures.length = depth + 1;
    points[depth] = true;
    if (failed) failures[depth] = true;
    if (failed && !(isParent && explained)) {
      counts.failed++;
      const point = match[3].replace(/^ *\d+ (- )?/, '').replace(/ # time=\S+$/, '');
      last = { name: [...subtests.slice(0, depth), point].join(' > '), details: [] };
      counts.failures.push(last);
    } else if (!failed && !isParent) {
      if (/# (todo|skip)\b/i.test(match[3])) counts.skipped++;
      else counts.passed++;
    }
  }
  return counts;
};

const main = (file: string, status: number, leftovers: number): number => {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    console.log('no test output was written');
  }
  const { passed, failed, skipped, failures } = countTap(text);
  if (/^Bail out!/m.test(text)) console.log('the run bailed out');
  const isBad = status !== 0 || leftovers !== 0 || passed === 0;
  const shownFailed = isBad ? Math.max(1, failed) : failed;
  for (const { name, details } of failures)
    console.log([`failed: ${name}`, ...details.map((line) => `    ${line}`)].join('\n'));
  if (passed === 0) console.log('no test passed');
  if (skipped > 0) console.log(`${skipped} skipped`);
  console.log(`${passed} passed, ${shownFailed} failed`);
  return shownFailed === 0 ? 0 : 1;
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.exitCode = main(process.argv[2], Number(process.argv[3]), Number(process.argv[4]));
