/** The fault-injecting disk itself: SQLite's WAL mode works on it between processes, it records in order, it fails as told. */
import Database from 'better-sqlite3';
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { tryRun } from '../harness/commands.js';
import { FaultDisk } from './disk.js';

await t.test(
  'WAL mode between two processes; every write and sync is recorded, the -shm file is not',
  async (t) => {
    const disk = await FaultDisk.start();
    t.teardown(() => disk.end());
    const file = join(disk.path, 'a.db');
    const db = new Database(file);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.exec('CREATE TABLE t(x)');
    await disk.takeTrace();
    fs.writeFileSync(disk.markFile, 'before');
    db.exec("INSERT INTO t VALUES ('one')");
    fs.writeFileSync(disk.markFile, 'after');
    const ops = (await disk.takeTrace()).map((record) => (record.op === 'mark' ? record.text : record.op));
    t.equal(ops[0], 'before');
    t.equal(ops.at(-1), 'after');
    t.ok(ops.includes('write') && ops.lastIndexOf('fsync') > ops.lastIndexOf('write'), ops.join(' '));
    const other = tryRun('sqlite3', [file, "INSERT INTO t VALUES ('two'); SELECT count(*) FROM t"]);
    t.equal(other.stdout.trim(), '2', other.stderr);
    t.equal(db.prepare('SELECT count(*) FROM t').pluck().get(), 2, 'the mapped -shm file is shared');

    await disk.faults({ op: 'fsync', file: 'wal', kind: 'fail', times: 1 });
    t.throws(() => db.exec("INSERT INTO t VALUES ('three')"), { code: 'SQLITE_IOERR_FSYNC' });
    db.exec("INSERT INTO t VALUES ('four')");
    await disk.command({ command: 'limit', bytes: 0 });
    t.throws(() => db.exec('INSERT INTO t VALUES (zeroblob(100000))'), { code: 'SQLITE_FULL' });
    await disk.command({ command: 'limit', bytes: null });
    await disk.faults({ op: 'write', file: 'wal', kind: 'tear', oneIn: 2, times: 1 });
    t.throws(() => db.exec('INSERT INTO t VALUES (zeroblob(100000))'), { code: 'SQLITE_IOERR_WRITE' });
    db.exec('INSERT INTO t VALUES (zeroblob(100000))');
    t.same(await disk.counts(), { 'fail fsync': 1, 'tear write': 1 });
    t.equal(db.pragma('integrity_check', { simple: true }), 'ok');
    db.close();
    const names = (await disk.takeTrace()).flatMap((record) =>
      'name' in record ? [`${record.op} ${record.name}`] : [],
    );
    t.match(names.at(-1), /unlink a.db-wal/);
  },
);
