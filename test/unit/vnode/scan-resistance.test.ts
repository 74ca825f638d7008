/** What is used once doesn't push out what is used often: vnodes by their age, pages by their reuse. */
import t from 'tap';
import { compareScan, PlainLru } from '../../../scripts/bench/scan-policies.js';

void t.test('a scan of 25 times the hot set leaves it in memory, which a plain LRU would not', (t) => {
  const { ours, plainLru } = compareScan({ hot: 100, opens: 10, scan: 2500, vnodes: 500, pages: 800 });
  t.ok(ours.vnodes >= 0.95, `vnodes: ${ours.vnodes}`);
  t.ok(ours.pages >= 0.95, `pages: ${ours.pages}`);
  t.strictSame(plainLru, { vnodes: 0, pages: 0 });
  t.end();
});

void t.test('without a scan both keep all; the plain LRU evicts in order of use', (t) => {
  const { ours, plainLru } = compareScan({ hot: 100, opens: 2, scan: 0, vnodes: 500, pages: 800 });
  t.strictSame(ours, { vnodes: 1, pages: 1 });
  t.strictSame(plainLru, { vnodes: 1, pages: 1 });
  const lru = new PlainLru(2);
  t.strictSame(
    [1, 2, 1, 3, 1, 2].map((key) => lru.use(key)),
    [false, false, true, false, true, false],
  );
  t.end();
});
