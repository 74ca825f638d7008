import t from 'tap';
import { parseMount8 } from '../../../src/cli/mount8.js';

const VERBS = ['mkfs', 'mount', 'umount', 'status', 'sync', 'fsck', 'help'];
const parse = (line: string): ReturnType<typeof parseMount8> => parseMount8(line.split(' '), VERBS);

t.test('the forms of mount(8) and mount.fuse3(8)', (t) => {
  t.strictSame(parse('/srv/s.db /m -o rw,noauto,user'), {
    store: '/srv/s.db',
    mountpoint: '/m',
    options: ['rw,noauto,user'],
    fake: false,
  });
  t.strictSame(parse('/srv/s.db /m -n -s -v -t fuse.vnodefs -o ro -oallow_other'), {
    store: '/srv/s.db',
    mountpoint: '/m',
    options: ['ro', 'allow_other'],
    fake: false,
  });
  t.match(parse('s.db m'), { store: 's.db', mountpoint: 'm', options: [] });
  t.match(parse('store m -o rw'), { store: 'store' });
  t.match(parse('/s /m -sfr'), { options: ['ro'], fake: true });
  t.end();
});

t.test('what is not of that form', (t) => {
  for (const line of [
    'mount s.db m',
    'mout s.db m',
    'umont m',
    'status',
    '--version',
    'help mount',
    '/only-a-store',
  ])
    t.equal(parse(line), undefined, line);
  t.throws(() => parse('/s.db /m --pages'), { kind: 'usage', message: /vnodefs mount/ });
  t.throws(() => parse('/s.db /m -o'), { kind: 'usage', message: /needs a value/ });
  t.end();
});
