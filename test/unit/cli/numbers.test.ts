import t from 'tap';
import { formatSize, parseCount, parseSeconds, parseSize } from '../../../src/cli/numbers.js';

t.test('sizes', (t) => {
  const good: [string, number][] = [
    ['4096', 4096],
    ['64MiB', 64 * 2 ** 20],
    ['1GiB', 2 ** 30],
    ['512KiB', 2 ** 19],
    ['10MB', 10_000_000],
    ['1.5G', 1.5 * 2 ** 30],
    ['2 tib', 2 ** 41],
    ['0', 0],
    ['7B', 7],
  ];
  for (const [text, bytes] of good) t.equal(parseSize(text, '--pages'), bytes, text);
  for (const text of ['', 'MiB', '-1', '12Q', '1e3', '64MiBs', '0x10', '9007199254740993', '1,5G'])
    t.throws(
      () => parseSize(text, '--pages'),
      { name: 'Failure', kind: 'usage', message: /^--pages needs/ },
      text,
    );
  t.end();
});

t.test('sizes for people', (t) => {
  t.strictSame([0, 1023, 1024, 2 ** 28, 1.5 * 2 ** 40].map(formatSize), [
    '0B',
    '1023B',
    '1KiB',
    '256MiB',
    '1.5TiB',
  ]);
  t.end();
});

t.test('counts and seconds', (t) => {
  t.equal(parseCount('100000', '--vnodes', 16), 100_000);
  for (const text of ['', '15', '1.5', '-3', 'many'])
    t.throws(() => parseCount(text, '--vnodes', 16), {
      kind: 'usage',
      message: /--vnodes needs a whole number/,
    });
  t.equal(parseSeconds('5', '--sync-interval', 10, 3_600_000), 5_000);
  t.equal(parseSeconds('0.05', '--sync-interval', 10, 3_600_000), 50);
  for (const text of ['', '0', '5s', '-1', '3601'])
    t.throws(() => parseSeconds(text, '--sync-interval', 10, 3_600_000), {
      kind: 'usage',
      message: /needs seconds/,
    });
  t.end();
});
