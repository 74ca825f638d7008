import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  defaultLogFile,
  isPrivate,
  makeRuntimeDir,
  nameOf,
  runtimeDir,
  runtimeDirsOf,
} from '../../../src/daemon/places.js';
import { identify, isAlive, parseStat } from '../../../src/daemon/process-identity.js';
import {
  findEntry,
  listEntries,
  parseEntry,
  registryFiles,
  removeEntry,
  writeEntry,
} from '../../../src/daemon/registry.js';

const uid = process.getuid?.() ?? 0;

void t.test('who a pid is', async (t) => {
  const tail = [...Array.from({ length: 18 }, (_, i) => i), 4242, 7].join(' ');
  t.strictSame(parseStat(`12 (a ) (b) S ${tail}`), { state: 'S', startTicks: 4242 });
  const me = identify(process.pid);
  t.ok(me.startTicks > 0);
  t.ok(isAlive(me));
  t.notOk(isAlive({ ...me, startTicks: me.startTicks + 1 }), 'another process has that pid now');
  const child = spawn('true');
  const identity = identify(child.pid ?? 0);
  await once(child, 'exit');
  t.notOk(isAlive(identity));
});

void t.test('places', (t) => {
  t.equal(runtimeDir({ uid: 0, env: {} }), '/run/vnodefs');
  t.equal(runtimeDir({ uid: 5, env: { XDG_RUNTIME_DIR: '/run/user/5' } }), '/run/user/5/vnodefs');
  t.equal(runtimeDir({ uid: 5, env: {} }), '/tmp/vnodefs-5');
  t.equal(runtimeDir({ uid: 5, env: { VNODEFS_RUNTIME_DIR: '/r' } }), '/r/5');
  t.strictSame(runtimeDirsOf(5, { uid: 0, env: {} }), ['/run/user/5/vnodefs', '/tmp/vnodefs-5']);
  t.match(defaultLogFile('/mnt/data', { uid: 0, env: {} }), /^\/var\/log\/vnodefs\/data-[0-9a-f]{8}\.log$/);
  t.match(defaultLogFile('/m', { uid: 5, env: { HOME: '/h' } }), /^\/h\/\.local\/state\/vnodefs\/m-/);
  t.match(defaultLogFile('/m', { uid: 5, env: { XDG_STATE_HOME: '/x', HOME: '/h' } }), /^\/x\/vnodefs\/m-/);
  t.not(nameOf('/a/m'), nameOf('/b/m'));
  t.match(nameOf('/'), /^root-/);
  t.ok(nameOf(`/${'é x'.repeat(80)}`).length < 40);
  const dir = t.testdir({ open: {} });
  chmodSync(join(dir, 'open'), 0o777);
  t.notOk(isPrivate(join(dir, 'open'), uid));
  t.notOk(isPrivate(join(dir, 'missing'), uid));
  const made = makeRuntimeDir({ uid, env: { VNODEFS_RUNTIME_DIR: join(dir, 'new') } });
  t.equal(statSync(made).mode & 0o777, 0o700);
  t.end();
});

void t.test('entries', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vnodefs-registry-')); // short: a socket's path is below it
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const here = { uid, env: { VNODEFS_RUNTIME_DIR: dir } };
  const { file, socket } = registryFiles('/mnt/a', here);
  const place = {
    mountpoint: '/mnt/a',
    store: '/s.db',
    transport: 'kernel',
    logFile: '/l',
    socket,
    startedMs: 1,
  };
  const entry = { ...identify(process.pid), ...place };
  writeEntry(file, entry);
  t.equal(statSync(file).mode & 0o777, 0o600);
  writeFileSync(join(dir, String(uid), 'broken.json'), '{"pid":1');
  writeFileSync(join(dir, String(uid), 'other.json'), '{"pid":1}');
  t.strictSame(listEntries(uid, here), [{ entry, file }]);
  t.equal(findEntry('/mnt/a', uid, here)?.entry.pid, process.pid);
  t.equal(findEntry('/mnt/b', uid, here), undefined);
  removeEntry({ entry: { ...entry, pid: 1, startTicks: 1 }, file });
  t.ok(existsSync(file), "a living daemon's entry stays when a dead one's is removed");
  removeEntry({ entry, file });
  t.notOk(existsSync(file));
  const [dead, sibling] = [join(dir, 'dead.sock'), join(dir, 'sibling.sock')];
  for (const path of [dead, sibling, socket]) writeFileSync(path, '');
  writeEntry(file, { ...entry, startTicks: 1, socket: dead });
  writeEntry(file, entry);
  t.same(
    [dead, sibling, socket].map(existsSync),
    [false, true, true],
    "a killed daemon's socket goes with its entry",
  );
  writeEntry(file, { ...entry, socket: sibling });
  t.ok(existsSync(socket), "a living one's stays");
  removeEntry({ entry: { ...entry, socket: sibling }, file });
  const deep = { uid, env: { VNODEFS_RUNTIME_DIR: join(dir, 'd'.repeat(100)) } };
  t.throws(() => registryFiles('/mnt/a', deep), { kind: 'general', message: /too long for a socket/ });
  t.equal(parseEntry('null'), undefined);
  t.equal(parseEntry(JSON.stringify({ ...entry, pid: '1' })), undefined);
  t.end();
});
