/** What must not leak, and what nobody else may do: the control socket, the log, the store's permissions, and shells. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { byteName, ROOT_INO } from '../../src/base/ids.js';
import { ControlServer } from '../../src/daemon/control-server.js';
import { makeRuntimeDir, runtimeDir } from '../../src/daemon/places.js';
import { Opcode } from '../../src/fuse/kernel/protocol.js';
import * as s from '../../src/fuse/kernel/structs.js';
import { Repair } from '../../src/store/repair.js';
import { InProcessCore } from '../harness/test-core.js';
import { body, FakeKernel } from '../support/fake-kernel.js';
import { soundStore } from './store/sound-store.js';
import { scratchDir } from './store/scratch.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

void t.test('no user path reaches a shell: programs are started by name with a list of arguments', (t) => {
  const files = ['src', 'bin'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
      join(root, folder, name),
    ),
  );
  const sources = files.filter((file) => /\.(ts|js)$/.test(file));
  t.ok(sources.length > 50);
  for (const file of sources) {
    const text = readFileSync(file, 'utf8');
    const imported = /import \{([^}]*)\} from 'node:child_process'/.exec(text)?.[1] ?? '';
    const names = imported.split(',').map((name) => name.trim().replace(/^type /, ''));
    const allowed = ['', 'spawn', 'spawnSync', 'execFile', 'ChildProcess']; // execFile starts no shell either
    t.strictSame(
      names.filter((name) => !allowed.includes(name)),
      [],
      file,
    );
    t.notMatch(
      text,
      /\bshell:|require\(['"]child_process|import\(['"](node:)?child_process|from 'child_process'/,
    );
  }
  t.end();
});

void t.test('the control socket lies where only its owner can go', async (t) => {
  const here = { uid: process.getuid?.() ?? 0, env: { VNODEFS_RUNTIME_DIR: scratchDir(t) } };
  const directory = makeRuntimeDir(here);
  t.equal(directory, runtimeDir(here));
  t.equal(statSync(directory).mode & 0o777, 0o700, 'nobody else can reach what is in it (unix(7))');
  const never = (): Promise<never> => Promise.reject(new Error('not here'));
  const server = new ControlServer(new Proxy({}, { get: () => never }) as never);
  await server.listen(join(directory, 's.sock'));
  t.ok(statSync(join(directory, 's.sock')).isSocket());
  await server.close();
});

void t.test('a store, and a copy of one, is readable by its owner only', (t) => {
  const dir = scratchDir(t);
  const store = join(dir, 's.db');
  soundStore(store);
  t.equal(statSync(store).mode & 0o777, 0o600);
  const repair = new Repair(store);
  repair.backup(join(dir, 'copy'));
  repair.close();
  t.equal(statSync(join(dir, 'copy')).mode & 0o777, 0o600);
  t.end();
});

void t.test(
  'what is logged holds neither file data nor attribute values, even when requests fail oddly',
  (t) => {
    const MARK = 'never-log-this-text';
    const core = new InProcessCore();
    const broken = new Proxy(core.vfs, {
      get: (fs, key) => {
        if (key === 'write' || key === 'setxattr') return () => [].at(0)!['boom'];
        const value: unknown = Reflect.get(fs, key, fs);
        return typeof value === 'function'
          ? (...args: unknown[]): unknown => Reflect.apply(value, fs, args)
          : value;
      },
    });
    const kernel = new FakeKernel(broken, core.pool.buffer as SharedArrayBuffer);
    kernel.init();
    const data = Buffer.from(MARK);
    kernel.ask(Opcode.WRITE, 1, body(s.writeIn, { size: data.length }), data);
    kernel.ask(Opcode.SETXATTR, 1, body(s.setxattrIn, { size: data.length }), Buffer.from('user.a\0'), data);
    t.equal(kernel.logged.length, 2, 'both failures were logged');
    t.notMatch(kernel.logged.join('\n'), MARK);
    kernel.close();
    core.close();
    t.end();
  },
);

void t.test('names that no file may have are refused by the core itself', (t) => {
  const core = new InProcessCore();
  const caller = { uid: 0, gid: 0, pid: 1 };
  const kernel = new FakeKernel(core.vfs, core.pool.buffer as SharedArrayBuffer);
  kernel.init();
  const head = body(s.mkdirIn, { mode: 0o755 });
  for (const name of ['\0', '.\0', '..\0', 'a/b\0', 'unterminated', '/\0'])
    t.equal(kernel.ask(Opcode.MKDIR, 1, head, Buffer.from(name)).errno, 22, JSON.stringify(name));
  t.equal(kernel.ask(Opcode.MKDIR, 1, head, Buffer.from(`${'x'.repeat(256)}\0`)).errno, 36);
  const made = core.vfs.getattr(caller, ROOT_INO, undefined);
  t.equal(made.size, 0, 'nothing was made');
  core.vfs.vrele(made);
  t.throws(() => core.vfs.lookup(caller, ROOT_INO, byteName('nothing')));
  kernel.close();
  core.close();
  t.end();
});
