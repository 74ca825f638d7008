/** What is recorded and replayed: ordinary programs, each with the barriers that it needs, small enough to crash everywhere. */
import type { Workload } from './crash-record.js';

const PRELUDE = `
const fs = require('node:fs');
const { execFileSync } = require('node:child_process');
const body = (n, seed) => Buffer.from(Array.from({ length: n }, (_, i) => 1 + ((i * 7 + (i >> 8) + seed) % 255)));
const sync = (path) => { const fd = fs.openSync(path, 'r'); fs.fsyncSync(fd); fs.closeSync(fd); };
const put = (path, data, flags = 'w') => {
  const fd = fs.openSync(path, flags); fs.writeSync(fd, data); fs.fsyncSync(fd); fs.closeSync(fd);
};
let state = 12345;
const rnd = (n) => { state = (Math.imul(state, 1103515245) + 12345) >>> 0; return (state >>> 8) % n; };
const again = (work) => {
  for (;;) { try { return work(); } catch (e) { if (e.code !== 'EIO' && e.code !== 'ENOSPC') throw e; nap(50); } }
};
const nap = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
`;
const node = (text: string): { node: string } => ({ node: PRELUDE + text });
/** renameat2(2) has no function in Node and no common program. */
const PYTHON_EXCHANGE = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def exchange(a, b):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), 2) != 0: raise OSError(ctypes.get_errno(), a)
for d in ('one', 'two'): os.mkdir(d)
for i in range(4):
    for d in ('one', 'two'):
        with open(f'{d}/f{i}', 'w') as f:
            f.write(f'{d} {i} ' * (50 + 700 * i)); f.flush(); os.fsync(f.fileno())
for i in range(12):
    exchange(f'one/f{i % 4}', f'two/f{(i * 3) % 4}')
    if i % 3 == 0: exchange('one', 'two')
    fd = os.open('one' if i % 2 else '.', os.O_RDONLY); os.fsync(fd); os.close(fd)
`;

export const WORKLOADS: readonly Workload[] = [
  {
    name: 'atomic save',
    sessions: [
      node(`
for (let i = 0; i < 25; i++) {
  put('file.tmp', body(500 + rnd(9000), i));
  fs.renameSync('file.tmp', 'file-' + (i % 3));
  if (i % 2) sync('.');
}`),
    ],
  },
  {
    name: 'git commit',
    sessions: [
      {
        shell: `
git init -q -b main . && git config user.name t && git config user.email t@localhost && git config core.fsync all
git config core.fsyncMethod fsync; git config gc.auto 0
for i in 1 2 3; do
  mkdir -p d$i; for f in a b c; do seq $i 40 > d$i/$f; done
  git add -A && git commit -qm "commit $i"
done
git repack -adq`,
      },
    ],
  },
  {
    name: 'sqlite on the mount',
    sessions: [
      {
        shell: `
sqlite3 delete.db "pragma journal_mode = delete; create table t(x, y);" > /dev/null
sqlite3 wal.db "pragma journal_mode = wal; create table t(x, y);" > /dev/null
for i in 1 2 3 4 5; do
  sqlite3 delete.db "insert into t values ($i, hex(randomblob(600)))"
  sqlite3 wal.db "insert into t values ($i, hex(randomblob(600))); insert into t values ($i, 'more')"
done`,
      },
    ],
  },
  {
    name: 'append log',
    sessions: [
      node(`
const fd = fs.openSync('log', 'a');
for (let i = 0; i < 60; i++) {
  fs.writeSync(fd, ('line ' + i + ' ').repeat(1 + rnd(120)) + '\\n');
  if (i % 3 === 0) fs.fdatasyncSync(fd); else if (i % 3 === 1) fs.fsyncSync(fd);
}`),
    ],
  },
  {
    name: 'directory trees',
    sessions: [
      node(`
for (let i = 0; i < 14; i++) {
  const path = 'a' + (i % 3) + '/b' + (i % 2) + '/c' + i + '/d';
  fs.mkdirSync(path, { recursive: true });
  fs.writeFileSync(path + '/leaf', 'leaf ' + i);
  if (i % 4 === 3) sync(path);
  if (i % 5 === 4) { fs.renameSync('a' + (i % 3) + '/b' + (i % 2), 'moved-' + i); sync('.'); }
}
fs.rmSync('a0', { recursive: true, force: true }); sync('.');
fs.rmSync('moved-4', { recursive: true, force: true }); nap(40); sync('.');`),
    ],
  },
  {
    name: 'hard links',
    sessions: [
      node(`
fs.mkdirSync('d');
for (let i = 0; i < 16; i++) {
  put('f' + i, body(100 + i * 600, i));
  for (let k = 0; k < 3; k++) fs.linkSync('f' + i, 'd/l' + i + '-' + k);
  if (i % 2) fs.unlinkSync('f' + i);
  if (i % 3 === 0) { sync('d/l' + i + '-1'); fs.unlinkSync('d/l' + i + '-0'); fs.renameSync('d/l' + i + '-1', 'd/l' + i + '-2'); }
}
sync('d');`),
    ],
  },
  { name: 'rename exchange', sessions: [{ shell: `python3 - <<'END'\n${PYTHON_EXCHANGE}END\n` }] },
  {
    name: 'truncate and extend',
    sessions: [
      node(`
const fd = fs.openSync('f', 'w+');
for (let i = 0; i < 40; i++) {
  const size = rnd(300000);
  if (i % 4 === 0) fs.ftruncateSync(fd, size);
  else if (i % 4 === 3) execFileSync('fallocate', ['-p', '-o', String(size), '-l', '40000', 'f']);
  else fs.writeSync(fd, body(1 + rnd(20000), i), 0, undefined, size);
  if (i % 3 === 2) fs.fsyncSync(fd);
}`),
    ],
  },
  {
    name: 'overwriting in place',
    sessions: [
      node(`
put('big', body(700000, 1));
const fd = fs.openSync('big', 'r+');
for (let i = 0; i < 30; i++) {
  fs.writeSync(fd, body(1 + rnd(9000), i), 0, undefined, rnd(690000));
  if (i % 2) fs.fdatasyncSync(fd);
}
execFileSync('cp', ['big', 'copy']); sync('copy');
fs.writeSync(fd, body(5000, 9), 0, undefined, 100000); fs.fsyncSync(fd);`),
    ],
  },
  {
    name: 'attributes',
    sessions: [
      node(`
for (let i = 0; i < 24; i++) {
  const path = 'f' + (i % 5);
  if (i < 5) put(path, 'x');
  fs.chmodSync(path, 0o600 + rnd(64)); fs.chownSync(path, rnd(5), rnd(5));
  execFileSync('setfattr', ['-n', 'user.k' + rnd(3), '-v', 'v'.repeat(rnd(900)), path]);
  if (i % 5 === 4) { fs.symlinkSync('t'.repeat(1 + rnd(300)), 'l' + i); sync('.'); }
  if (i % 2) sync(path);
}`),
    ],
  },
  {
    name: 'unlinked while open',
    sessions: [
      node(`
const open = [];
for (let i = 0; i < 24; i++) {
  const fd = fs.openSync('t' + i, 'w+'); fs.writeSync(fd, body(3000 + rnd(30000), i));
  if (i % 2) fs.unlinkSync('t' + i);
  open.push(fd);
  if (i % 3 === 2) { fs.fsyncSync(open[rnd(open.length)]); fs.closeSync(open.shift()); }
}
nap(40); sync('.');`),
    ],
  },
  {
    name: 'remounts',
    sessions: Array.from({ length: 4 }, (_, i) =>
      node(`
fs.mkdirSync('s${i}'); for (let k = 0; k < 6; k++) put('s${i}/f' + k, body(rnd(30000), ${i}));
if (${i} > 0) fs.rmSync('s${i - 1}', { recursive: true });
fs.writeFileSync('last', 'session ${i}');`),
    ),
  },
  {
    name: 'syncs that fail',
    // Groups committed without a sync are in the log when a sync fails: the host may have lost them, though reading shows them.
    faults: [{ op: 'fsync', file: 'wal', kind: 'fail', oneIn: 2, after: 1, times: 10 }],
    sessions: [
      node(`
for (let i = 0; i < 24; i++) {
  again(() => fs.writeFileSync('f' + (i % 7), body(1000 + rnd(40000), i)));
  nap(25);
  if (i % 3 === 2) again(() => sync('f' + (i % 7)));
}`),
    ],
  },
  {
    name: 'writes that fail',
    faults: [
      { op: 'write', file: 'any', kind: 'tear', oneIn: 60, after: 40, times: 5 },
      { op: 'write', file: 'any', kind: 'fail', errno: 'ENOSPC', oneIn: 60, after: 60, times: 5 },
      { op: 'fsync', file: 'main', kind: 'fail', times: 2 },
    ],
    sessions: [
      node(`
for (let i = 0; i < 30; i++) {
  again(() => fs.writeFileSync('f' + (i % 9), body(1000 + rnd(60000), i)));
  if (i % 2) again(() => sync('f' + (i % 9)));
  if (i % 5 === 4) again(() => fs.renameSync('f' + (i % 9), 'g' + (i % 3)));
}`),
    ],
  },
  {
    name: 'everything at once',
    sessions: [
      node(`
const names = ['a', 'b', 'c', 'd'];
const path = () => Array.from({ length: 1 + rnd(3) }, () => names[rnd(4)]).join('/');
for (let i = 0; i < 350; i++) {
  try {
    const p = path();
    switch (rnd(10)) {
      case 0: case 1: fs.mkdirSync(p); break;
      case 2: case 3: fs.writeFileSync(p, body(rnd(rnd(5) ? 6000 : 90000), i)); break;
      case 4: fs.renameSync(p, path()); break;
      case 5: fs.linkSync(p, path()); break;
      case 6: fs.unlinkSync(p); break;
      case 7: fs.truncateSync(p, rnd(100000)); break;
      case 8: rnd(2) ? fs.rmdirSync(p) : fs.symlinkSync(p, path()); break;
      default: sync(p);
    }
  } catch (error) {
    if (!error.code) throw error;
  }
}`),
    ],
  },
];
