/** SQLite in WAL mode on the mount (shared memory, locks, fsync): two processes write at once. */
import { join } from 'node:path';
import t from 'tap';
import { run, start } from '../harness/commands.js';
import { fullSize, mountStore, REPOSITORY } from '../harness/mount.js';

const TRANSACTIONS = fullSize ? 10_000 : 1_000;
const DEADLINE_MS = 600_000;

const WRITER = `
import Database from 'better-sqlite3';
const [file, who, count] = process.argv.slice(1);
const db = new Database(file, { timeout: 60000 });
db.pragma('journal_mode = WAL');
db.pragma('synchronous = NORMAL');
const insert = db.prepare('insert into t (who, n, body) values (?, ?, ?)');
const total = db.prepare('update totals set n = n + 1 where who = ?');
const one = db.transaction((n) => { insert.run(who, n, who.repeat(1 + (n % 400))); total.run(who); });
for (let n = 0; n < Number(count); n++) one.immediate(n);
db.close();
`;

await t.test('two writers in WAL mode', async (ct) => {
  const mounted = mountStore(ct);
  const file = join(mounted.mnt, 'app.db');
  const schema =
    'pragma journal_mode=wal; create table t (id integer primary key, who, n, body); create index i on t (who, n); ' +
    "create table totals (who primary key, n); insert into totals values ('a', 0), ('b', 0);";
  run('sqlite3', [file, schema]);
  const writers = ['a', 'b'].map((who) =>
    start(process.execPath, ['--input-type=module', '-e', WRITER, '--', file, who, String(TRANSACTIONS)], {
      cwd: REPOSITORY,
      timeoutMs: DEADLINE_MS,
    }),
  );
  for (const result of await Promise.all(writers.map(({ done }) => done)))
    ct.equal(result.status, 0, result.stderr);
  const check = (path: string, what: string): void => {
    const ask = (sql: string): string => run('sqlite3', [path, sql], { timeoutMs: DEADLINE_MS }).trim();
    ct.equal(ask('pragma integrity_check'), 'ok', what);
    ct.equal(
      ask('select count(*), count(distinct who || n), sum(length(body)) > 0 from t'),
      `${2 * TRANSACTIONS}|${2 * TRANSACTIONS}|1`,
    );
    ct.equal(ask('select group_concat(n) from totals'), `${TRANSACTIONS},${TRANSACTIONS}`);
    ct.equal(ask('pragma journal_mode'), 'wal');
  };
  check(file, 'at once');
  mounted.carryElsewhere();
  check(join(mounted.mnt, 'app.db'), 'in the carried store');
  mounted.fsck();
});

await t.test('rollback journal and a large transaction', (ct) => {
  const mounted = mountStore(ct);
  const ask = (sql: string): string =>
    run('sqlite3', [join(mounted.mnt, 'j.db'), sql], { timeoutMs: DEADLINE_MS }).trim();
  const fill = 'with recursive c(n) as (select 1 union all select n + 1 from c where n < 20000)';
  ask(
    `pragma journal_mode=delete; create table t (n, b); ${fill} insert into t select n, randomblob(200) from c;`,
  );
  ask('begin; update t set b = zeroblob(300); rollback; vacuum;');
  ct.equal(ask('select count(*) from t where length(b) = 200'), '20000');
  mounted.carryElsewhere();
  ct.equal(ask('pragma integrity_check'), 'ok');
  ct.equal(ask('select count(*) from t where length(b) = 200'), '20000');
  mounted.fsck();
  ct.end();
});
