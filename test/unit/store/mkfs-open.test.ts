/** Making, refusing, opening and locking store files. */
import Database from 'better-sqlite3';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT_INO } from '../../../src/base/ids.js';
import { lockStore } from '../../../src/store/lock.js';
import { migrate } from '../../../src/store/migrate.js';
import { createStore } from '../../../src/store/mkfs.js';
import { openStore } from '../../../src/store/open.js';
import { openReader } from '../../../src/store/reader.js';
import { APPLICATION_ID } from '../../../src/store/schema.js';
import { StoreError } from '../../../src/store/store-error.js';
import { updateSuperblock } from '../../../src/store/superblock.js';
import { scratchDir, WriterRig } from './scratch.js';

/** The code and message of the StoreError that `work` throws. */
function refusal(work: () => unknown): { code: string; message: string } {
  try {
    work();
  } catch (error) {
    if (error instanceof StoreError) return { code: error.code, message: error.message };
    throw error;
  }
  return { code: 'none', message: '' };
}

void t.test('a new store: one private file with a root directory', (t) => {
  const root = scratchDir(t);
  const path = join(root, 'a');
  const made = createStore(path, {
    label: 'home',
    sizeLimitBytes: 1e9,
    inodeLimit: 5,
    rootUid: 7,
    rootMode: 0o1777,
  });
  t.same(readdirSync(root), ['a'], 'nothing else is left');
  t.equal(statSync(path).mode & 0o777, 0o600);
  const reader = openReader(path);
  t.same(reader.superblock, made);
  t.match(made, {
    formatVersion: 1,
    label: 'home',
    sizeLimitBytes: 1e9,
    inodeLimit: 5,
    uuid: /^[0-9a-f]{32}$/,
  });
  t.match(reader.loadInode(ROOT_INO), { mode: 0o041777, nlink: 2, uid: 7, gid: 0, parent: 1, nextCookie: 3 });
  t.match(reader.counters(), { nextIno: 2, inodeCount: 1, allocPages: 0, txg: 0 });
  reader.close();
  t.same(readdirSync(root), ['a'], 'the reader leaves no log behind');
  t.match(updateSuperblock(path, { label: 'new', inodeLimit: 0 }), {
    label: 'new',
    inodeLimit: 0,
    sizeLimitBytes: 1e9,
  });
  t.end();
});

void t.test('mkfs replaces only a store or an empty file, and only by force', (t) => {
  const root = scratchDir(t);
  const path = join(root, 'a');
  const { uuid } = createStore(path);
  t.equal(refusal(() => createStore(path)).code, 'exists');
  t.not(createStore(path, { force: true }).uuid, uuid);
  const text = join(root, 'text');
  writeFileSync(text, 'dear diary '.repeat(100));
  t.match(
    refusal(() => createStore(text, { force: true })),
    { code: 'exists', message: /not a vnodefs store/ },
  );
  t.equal(readFileSync(text, 'utf8').length, 1100, 'untouched');
  const foreign = join(root, 'foreign.sqlite');
  new Database(foreign).exec('CREATE TABLE x(y)').close();
  t.equal(refusal(() => createStore(foreign, { force: true })).code, 'exists');
  const empty = join(root, 'empty');
  writeFileSync(empty, '');
  t.equal(refusal(() => createStore(empty)).code, 'exists');
  createStore(empty, { force: true });
  mkdirSync(join(root, 'dir'));
  t.equal(refusal(() => createStore(join(root, 'dir'), { force: true })).code, 'exists');
  t.equal(refusal(() => createStore(join(root, 'none', 'a'))).code, 'not-found');
  writeFileSync(join(root, 'b-wal'), 'left over');
  t.equal(refusal(() => createStore(join(root, 'b'))).code, 'exists', "another database's log");
  createStore(join(root, 'b'), { force: true });
  t.notOk(existsSync(join(root, 'b-wal')));
  t.equal(refusal(() => createStore(join(root, 'c'), { chunkBytes: 5000 })).code, 'bad-option');
  t.equal(refusal(() => createStore(join(root, 'c'), { inlineMax: 5000 })).code, 'bad-option');
  t.equal(refusal(() => createStore(join(root, 'c'), { pageBytes: 5000 })).code, 'bad-option');
  t.notOk(
    readdirSync(root).some((name) => name.includes('.mkfs-')),
    'no temporary file is left',
  );
  t.end();
});

void t.test('what is not a usable store is refused with its reason', (t) => {
  const root = scratchDir(t);
  const open = (path: string): { code: string; message: string } => refusal(() => openReader(path).close());
  t.equal(open(join(root, 'none')).code, 'not-found');
  t.equal(open(root).code, 'not-a-store');
  const empty = join(root, 'empty');
  writeFileSync(empty, '');
  t.equal(open(empty).code, 'not-a-store');
  const text = join(root, 'text');
  writeFileSync(text, 'dear diary '.repeat(100));
  t.equal(open(text).code, 'not-sqlite');
  const foreign = join(root, 'foreign');
  new Database(foreign).exec('CREATE TABLE x(y)').close();
  t.equal(open(foreign).code, 'not-a-store');

  const newer = join(root, 'newer');
  createStore(newer);
  let db = new Database(newer);
  db.pragma('user_version = 99');
  db.close();
  t.match(open(newer), { code: 'newer-format', message: /format 99.*newer vnodefs/ });

  const cut = join(root, 'cut');
  createStore(cut);
  truncateSync(cut, statSync(cut).size / 2);
  t.match(
    refusal(() => openStore(cut, { mode: 'write', cacheKiB: 100 }).close()),
    { code: 'truncated', message: /shorter than its header/ },
  );

  const headless = join(root, 'headless');
  createStore(headless);
  db = new Database(headless);
  db.exec('DELETE FROM superblock');
  db.close();
  t.equal(open(headless).code, 'damaged');

  const tableless = join(root, 'tableless');
  db = new Database(tableless);
  db.pragma(`application_id = ${APPLICATION_ID}`);
  db.pragma('user_version = 1');
  db.close();
  t.equal(open(tableless).code, 'damaged');
  t.end();
});

void t.test('one writer: a second lock is refused, here and in another process', (t) => {
  const path = join(scratchDir(t), 'a');
  createStore(path);
  const elsewhere = (): number | null =>
    spawnSync('flock', ['-n', '-x', path, 'true'], { timeout: 10_000 }).status;
  const lock = lockStore(path);
  t.equal(refusal(() => lockStore(path)).code, 'locked');
  t.equal(
    refusal(() => createStore(path, { force: true })).code,
    'locked',
    'mkfs --force on a mounted store',
  );
  t.equal(elsewhere(), 1);
  const reader = openReader(path);
  reader.close();
  t.equal(elsewhere(), 1, 'opening and closing readers leaves it held');
  lock.release();
  lock.release();
  t.equal(elsewhere(), 0);
  {
    using again = lockStore(path);
    t.ok(again);
  }
  t.equal(elsewhere(), 0, 'released at the end of its scope');
  t.equal(refusal(() => lockStore(join(path, 'x'))).code, 'not-found');
  t.end();
});

void t.test('a lock that is closed keeps nothing open', (t) => {
  const path = join(scratchDir(t), 'a');
  createStore(path);
  const { ino } = statSync(path);
  const isOpen = (): boolean =>
    readdirSync('/proc/self/fd').some((fd) => {
      try {
        return statSync(`/proc/self/fd/${fd}`).ino === ino;
      } catch {
        return false; // the descriptor of the listing itself
      }
    });
  const lock = lockStore(path);
  t.ok(isOpen());
  lock.close();
  lock.close();
  t.notOk(isOpen());
  lockStore(path).release();
  t.ok(isOpen(), 'a lock that is only released keeps its descriptor');
  lockStore(path).close();
  t.notOk(isOpen());
  t.end();
});

void t.test('the lock does not disturb SQLite locks of this process', (t) => {
  const path = join(scratchDir(t), 'a');
  const rig = new WriterRig(path);
  const lock = lockStore(path);
  t.equal(refusal(() => lockStore(path)).code, 'locked');
  lock.release();
  const other = `const D=require('better-sqlite3');const d=new D(process.argv[1],{timeout:0});d.pragma('locking_mode=EXCLUSIVE');
    try{d.exec('BEGIN EXCLUSIVE; UPDATE counters SET txg=1; COMMIT');d.pragma('journal_mode=DELETE');
    console.log('taken')}catch(e){console.log(e.code)}`;
  const child = spawnSync(process.execPath, ['-e', other, path], { encoding: 'utf8', timeout: 20_000 });
  t.match(child.stdout, /SQLITE_BUSY/, 'another process sees the shared lock of our connection');
  rig.writer.close();
  t.end();
});

void t.test('migration: step by step, all or nothing', (t) => {
  const path = join(scratchDir(t), 'a');
  createStore(path);
  const db = openStore(path, { mode: 'write', cacheKiB: 100 });
  const step = (from: number, sql: string) => ({ from, apply: (d: Database.Database) => void d.exec(sql) });
  const good = [step(1, 'CREATE TABLE two(x)'), step(2, 'CREATE TABLE three(x)')];
  t.throws(() => migrate(db, path, [good[0], step(2, 'CREATE TABLE two(x)')], 3), { code: 'SQLITE_ERROR' });
  t.equal(db.pragma('user_version', { simple: true }), 1);
  t.throws(() => db.prepare('SELECT * FROM two'), 'rolled back');
  t.equal(refusal(() => migrate(db, path, [good[1]], 3)).code, 'damaged');
  migrate(db, path, good, 3);
  t.equal(db.pragma('user_version', { simple: true }), 3);
  t.same(db.prepare('SELECT * FROM three').all(), []);
  db.close();
  t.equal(refusal(() => openReader(path)).code, 'newer-format');
  t.end();
});
