/** The benchmark's arithmetic, its parsers and its table: what decides the verdict, tested without a mount. */
import t from 'tap';
import { resolve } from 'node:path';
import { parseOptions } from '../../../scripts/bench/options.js';
import {
  parseDiscards,
  parseFio,
  parseMountInfo,
  parseMountOptions,
  parseSize,
  parseStatus,
} from '../../../scripts/bench/parse.js';
import { markdownTable, rowsOf, textTable, verdictLine } from '../../../scripts/bench/report.js';
import { selectGroups, type Trial } from '../../../scripts/bench/runner.js';
import {
  formatRequests,
  formatValue,
  judge,
  median,
  medianRequests,
  requestDelta,
  rotate,
  timesAsGood,
} from '../../../scripts/bench/stats.js';
import type { Group, Step } from '../../../scripts/bench/workload.js';

void t.test('medians', (t) => {
  t.equal(median([3]), 3);
  t.equal(median([30, 4, 100]), 30, 'numbers are sorted as numbers');
  t.equal(median([1, 2, 3, 10]), 2.5);
  t.throws(() => median([]), RangeError);
  t.end();
});

void t.test('better is higher for rates and lower for times', (t) => {
  t.equal(timesAsGood(200, 100, 'higher'), 2);
  t.equal(timesAsGood(200, 100, 'lower'), 0.5);
  t.equal(judge([10, 11, 12], [10, 11, 12], 'lower'), 'pass', 'equal is not behind');
  t.equal(judge([20, 21, 22], [10, 11, 12], 'higher'), 'pass');
  t.equal(judge([20, 21, 22], [10, 11, 12], 'lower'), 'behind');
  t.equal(judge([9, 10, 12], [10, 11, 12], 'higher'), 'behind (in spread)');
  t.equal(judge([1], [2], 'higher'), 'behind');
  t.end();
});

void t.test('requests are differenced, and taken as medians over the rounds', (t) => {
  t.same(requestDelta({ READ: 5, LOOKUP: 2 }, { READ: 9, LOOKUP: 2, WRITE: 1 }), { READ: 4, WRITE: 1 });
  t.same(medianRequests([{ READ: 4 }, { READ: 6, WRITE: 1 }, { READ: 5 }]), { READ: 5 });
  t.equal(formatRequests({}), 'none');
  t.equal(formatRequests({ A: 1, READ: 12_000, B: 3, C: 1 }, 2), 'READ 12,000, B 3, +2 kinds (2)');
  t.end();
});

void t.test('values show three digits', (t) => {
  const shown = [0, 0.0421, 0.625, 5, 56.28, 99.96, 999.6, 1234, 708_432].map(formatValue);
  t.same(shown, ['0', '0.0421', '0.625', '5.00', '56.3', '100', '1,000', '1,230', '708,000']);
  t.end();
});

void t.test('targets take turns', (t) => {
  t.same(
    [0, 1, 2, 3].map((by) => rotate(['a', 'b', 'c'], by).join('')),
    ['abc', 'bca', 'cab', 'abc'],
  );
  t.same(rotate([], 1), []);
  t.end();
});

void t.test('fio', (t) => {
  const job = { error: 0, read: { bw_bytes: 0, iops: 0 }, write: { bw_bytes: 386_794_605, iops: 368.8 } };
  const output = `note: something\n${JSON.stringify({ jobs: [job] })}`;
  t.same(parseFio(output, 'write'), { bytesPerSecond: 386_794_605, opsPerSecond: 368.8 });
  t.throws(() => parseFio(output, 'read'), /measured nothing/);
  t.throws(() => parseFio('fio: no such file', 'read'), /no JSON/);
  t.throws(() => parseFio(JSON.stringify({ jobs: [{ ...job, error: 5 }] }), 'write'), /error 5/);
  t.throws(() => parseFio('{"jobs":[]}', 'write'), /no job/);
  t.end();
});

void t.test('vnodefs status', (t) => {
  const status = { mounts: [{ mountpoint: '/m', pid: 12, requests: { GETATTR: 3 } }] };
  t.same(parseStatus(JSON.stringify(status)), { pid: 12, requests: { GETATTR: 3 } });
  t.throws(() => parseStatus('{"mounts":[]}'), /no mount/);
  t.throws(() => parseStatus('{"mounts":[{"pid":1}]}'), /no requests/);
  t.end();
});

void t.test('mountinfo', (t) => {
  const line = '93 28 0:52 / /tmp/a\\040b rw,nosuid - fuse.bindfs /x rw,user_id=0\n';
  const shared = '28 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/root rw\n';
  t.same(parseMountInfo(line + shared), [
    { mountpoint: '/tmp/a b', deviceMajor: 0, deviceMinor: 52, type: 'fuse.bindfs' },
    { mountpoint: '/', deviceMajor: 254, deviceMinor: 0, type: 'ext4' },
  ]);
  t.end();
});

void t.test('diskstats', (t) => {
  const stats = ' 253 0 vda 1 2 3 4 5 6 7 8 0 10 11 77 13 14 15 16 17\n 7 0 loop0 1 2 3 4 5 6 7 8 0 10 11\n';
  t.equal(parseDiscards(stats, { deviceMajor: 253, deviceMinor: 0 }), 77);
  t.equal(parseDiscards(stats, { deviceMajor: 7, deviceMinor: 0 }), 0, 'kernels before 4.18 print none');
  t.equal(parseDiscards(stats, { deviceMajor: 0, deviceMinor: 50 }), 0);
  t.end();
});

void t.test('sizes and mount options', (t) => {
  t.same(['4096', '64K', '512MiB', '1G'].map(parseSize), [4096, 65_536, 2 ** 29, 2 ** 30]);
  t.throws(() => parseSize('512MB'), /like 512MiB/);
  t.same(parseMountOptions(''), { list: [], words: [] });
  t.same(parseMountOptions('writeback=off,noatime'), { list: ['writeback=off', 'noatime'], words: [] });
  t.same(parseMountOptions('--pages 64MiB -o a=1 -o b'), { list: ['a=1', 'b'], words: ['--pages', '64MiB'] });
  t.throws(() => parseMountOptions('--pages 1 -o'), /followed/);
  t.end();
});

const figures = [
  { name: 'write', unit: 'MB/s', better: 'higher' },
  { name: 'null', unit: 'µs', better: 'lower' },
  { name: 'unmeasured', unit: 'ms', better: 'lower' },
] as const;
const trial = (figure: string, target: string, round: number, value: number): Trial => ({
  figure,
  target,
  round,
  value,
  ...(target === 'vnodefs' ? { requests: { WRITE: round }, settleMs: 10 * round } : {}),
});
const trials = [1, 2, 3].flatMap((round) => [
  trial('write', 'plain', round, 300 + round),
  trial('write', 'vnodefs', round, 200 + round),
  trial('write', 'bindfs', round, 100 + round),
  trial('null', 'vnodefs', round, 80 + round),
  trial('null', 'bindfs', round, 40 + round),
]);

void t.test('rows', (t) => {
  const [write, nothing, unmeasured] = rowsOf(figures, trials);
  t.same(write.results.vnodefs, {
    median: 202,
    trials: [201, 202, 203],
    requests: { WRITE: 2 },
    settleMs: 20,
  });
  t.equal(write.verdict, 'pass');
  t.equal(write.ratio, 202 / 102);
  t.equal(nothing.verdict, 'behind');
  t.equal(nothing.ratio, 42 / 82);
  t.same(unmeasured.results, {});
  t.equal(unmeasured.verdict, undefined);
  t.equal(
    verdictLine([write, nothing, unmeasured]),
    '1 of 2 figures behind bindfs: the floor (none) is broken.',
  );
  t.equal(verdictLine([write]), '0 of 1 figures behind bindfs: the floor holds.');
  t.match(verdictLine([unmeasured]), /No verdict/);
  t.end();
});

void t.test('tables', (t) => {
  const rows = rowsOf(figures, trials);
  const targets = ['plain', 'vnodefs', 'bindfs'];
  t.same(markdownTable(rows, targets).split('\n'), [
    '| workload | unit | plain | vnodefs | bindfs | vnodefs / bindfs | verdict | FUSE requests |',
    '| --- | --- | ---: | ---: | ---: | ---: | --- | --- |',
    '| write | MB/s ↑ | 302 | 202 | 102 | 1.98× | pass | WRITE 2 |',
    '| null | µs ↓ | - | 82.0 | 42.0 | 0.51× | behind | WRITE 2 |',
    '| unmeasured | ms ↓ | - | - | - | - | - | - |',
  ]);
  const text = textTable(rows, targets).split('\n');
  t.equal(text.length, 5);
  t.equal(text[2].indexOf('302'), text[0].indexOf('plain') + 2, 'numbers are flush right');
  t.end();
});

void t.test('--only keeps the steps that the wanted ones need', (t) => {
  const step = (name: string, needed: boolean): Step => ({
    figure: { name, unit: 'ms', better: 'lower' },
    caches: 'as is',
    needed,
    run: () => Promise.resolve(1),
  });
  const steps = [step('write', true), step('read', false), step('random', false), step('remove', false)];
  const groups: Group[] = [
    { name: 'a', variant: {}, usesSources: false, steps },
    { name: 'b', variant: {}, usesSources: false, steps: [step('other', true)] },
  ];
  const selected = selectGroups(groups, (figure) => figure === 'random');
  t.equal(selected.length, 1);
  t.same(
    selected[0].steps.map((each) => each.figure?.name),
    [undefined, 'random'],
  );
  t.end();
});

void t.test('--dir chooses the folder, whatever the default is', (t) => {
  t.equal(parseOptions(['--dir', '/somewhere']).dir, '/somewhere');
  t.equal(parseOptions(['--dir', 'here']).dir, resolve('here'));
  t.end();
});
