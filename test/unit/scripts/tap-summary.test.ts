import t from 'tap';
import { countTap } from '../../../scripts/tap-summary.js';

const tap = (text: string): string => text.replaceAll(/^ {6}/gm, '');

void t.test('counts assertions, not the points that close subtests', (t) => {
  const counts = countTap(
    tap(`TAP version 14
      # Subtest: a.test.js
          # Subtest: one
              ok 1 - x
              ok 2 - y
              1..2
          ok 1 - one # time=1ms
          ok 2 - z
          1..2
      ok 1 - a.test.js # time=2ms
      1..1
      `),
  );
  t.strictSame(counts, { passed: 3, failed: 0, skipped: 0, failures: [] });
  t.end();
});

void t.test('a failure counts once; a parent failing by itself counts too', (t) => {
  const counts = countTap(
    tap(`TAP version 14
      # Subtest: a.test.js
          not ok 1 - x
            ---
            ok: this is not a point
            ...
          1..1
      not ok 1 - a.test.js
      # Subtest: b.test.js
          ok 1 - y
      not ok 2 - b.test.js # timeout
      not ok 3 - later # todo
      ok 4 - elsewhere # SKIP no device
      `),
  );
  t.strictSame(counts, {
    passed: 1,
    failed: 2,
    skipped: 2,
    failures: [
      { name: 'a.test.js > x', details: ['ok: this is not a point'] },
      { name: 'b.test.js # timeout', details: [] },
    ],
  });
  t.end();
});

void t.test('nothing', (t) => {
  t.strictSame(countTap(''), { passed: 0, failed: 0, skipped: 0, failures: [] });
  t.end();
});
