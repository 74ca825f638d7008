/** Whole command lines against fakes: exit code, one sentence on stderr, JSON on stdout. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { CliContext } from '../../../src/cli/context.js';
import { EXIT_CODES, ExitCode } from '../../../src/cli/exit-codes.js';
import { main } from '../../../src/cli/main.js';
import { Failure } from '../../../src/daemon/failure.js';
import type { Host } from '../../../src/daemon/host.js';
import type { MountEntry } from '../../../src/base/mountinfo.js';
import { nameOf } from '../../../src/daemon/places.js';
import type { FsckReport, StorePort } from '../../../src/daemon/ports.js';
import { identify } from '../../../src/daemon/process-identity.js';
import { listEntries, registryFiles, writeEntry } from '../../../src/daemon/registry.js';

const SUPERBLOCK = {
  formatVersion: 1,
  uuid: 'ab'.repeat(16),
  label: 'home',
  chunkBytes: 65_536,
  inlineMax: 1024,
  sizeLimitBytes: 0,
  inodeLimit: 0,
};

const entryFor = (mountpoint: string, source = '/s.db'): MountEntry => ({
  mountId: 1,
  device: '0:99',
  mountpoint,
  options: ['rw'],
  fsType: 'fuse.vnodefs',
  source,
  superOptions: [`user_id=${process.getuid?.() ?? 0}`],
});

interface Run {
  code: number;
  out: string;
  err: string;
}

interface Fakes {
  host?: Partial<Host>;
  store?: Partial<StorePort>;
  runtimeDir: string;
}

const contextOf = ({ host, store, runtimeDir }: Fakes, output: Run): CliContext => ({
  out: (text) => void (output.out += text),
  err: (text) => void (output.err += text),
  here: {
    uid: process.getuid?.() ?? 0,
    env: { VNODEFS_RUNTIME_DIR: runtimeDir, VNODEFS_LOG_DIR: runtimeDir, PATH: process.env.PATH },
  },
  host: {
    mounts: () => [],
    probe: () => Promise.resolve({ state: 'alive' }),
    detach: () => Promise.resolve({ outcome: 'done' }),
    flush: () => Promise.resolve(''),
    holders: () => [],
    abort: () => false,
    ...host,
  },
  loadStore: () =>
    Promise.resolve({
      create: () => SUPERBLOCK,
      check: () => ({ problems: [], counts: { inodes: 3 }, waiting: 0 }),
      openRepair: () => {
        throw new Failure('general', 'not in this test');
      },
      claim: () => {
        throw new Failure('general', 'not in this test');
      },
      ...store,
    }),
  loadDaemonPorts: () => Promise.reject(new Failure('general', 'not in this test')),
  script: '/nonexistent/vnodefs.js',
});

const run = async (fakes: Fakes, ...argv: string[]): Promise<Run> => {
  const output: Run = { code: -1, out: '', err: '' };
  output.code = await main(argv, contextOf(fakes, output));
  return output;
};

void t.test('usage errors: code 2 and one sentence', async (t) => {
  const fakes = { runtimeDir: t.testdir() };
  const lines: [string[], RegExp][] = [
    [[], /a command is missing: see/],
    [['mout', 's.db', 'm'], /unknown command 'mout': did you mean mount\?/],
    [['umont', 'm'], /did you mean umount\?/],
    [['mount', 's.db', 'm', '--forground'], /did you mean --foreground\?/],
    [['mount', 's.db'], /missing required argument 'mountpoint'/],
    [['mount', 's.db', 'm', '--pages', 'lots'], /--pages needs a size such as 64MiB/],
    [['mount', 's.db', 'm', '-o', 'noatme'], /did you mean noatime\?/],
    [['mkfs', 'a', 'b'], /too many arguments/],
    [['mkfs', '/tmp/a', '--inode-limit', '0'], /--inode-limit needs a whole number/],
    [['umount', '/tmp', '--timeout', 'x'], /--timeout needs seconds/],
  ];
  for (const [argv, message] of lines) {
    const { code, out, err } = await run(fakes, ...argv);
    t.equal(code, ExitCode.USAGE, argv.join(' '));
    t.match(err, message);
    t.match(err, /^vnodefs: [^\n]+\n$/);
    t.equal(out, '');
  }
});

void t.test('help and version are no errors', async (t) => {
  const fakes = { runtimeDir: t.testdir() };
  for (const argv of [['--help'], ['--version'], ['mount', '--help'], ['help', 'umount']]) {
    const { code, out, err } = await run(fakes, ...argv);
    t.equal(code, ExitCode.OK);
    t.not(out, '');
    t.equal(err, '');
  }
});

void t.test('mkfs', async (t) => {
  const dir = t.testdir();
  let seen: unknown;
  const store = {
    create: (path: string, options: object) => {
      seen = { path, ...options };
      return SUPERBLOCK;
    },
  };
  const fakes = { runtimeDir: dir, store };
  const made = await run(fakes, 'mkfs', `${dir}/s.db`, '--label', 'home', '--size-limit', '10MiB', '--force');
  t.equal(made.code, ExitCode.OK);
  t.match(made.out, /^made the store 'home' .*s\.db \(uuid abab.*at most 10MiB\)\n$/);
  const path = `${dir}/s.db`;
  t.strictSame(seen, { path, label: 'home', sizeLimitBytes: 10 * 2 ** 20, inodeLimit: 0, force: true });
  const json = await run(fakes, 'mkfs', `${dir}/s.db`, '--json');
  t.match(JSON.parse(json.out), { store: path, uuid: SUPERBLOCK.uuid });
  const nowhere = await run(fakes, 'mkfs', `${dir}/no/s.db`);
  t.equal(nowhere.code, ExitCode.STORE);
  t.match(nowhere.err, /does not exist: make it first/);
});

void t.test('fsck', async (t) => {
  const dir = t.testdir();
  const clean = await run({ runtimeDir: dir }, 'fsck', `${dir}/s.db`);
  t.match(clean, { code: ExitCode.OK, out: /is clean \(3 inodes\)/, err: '' });
  const report: FsckReport = {
    problems: [{ kind: 'link-count', message: 'inode 7 has 2 links' }],
    counts: {},
    waiting: 0,
  };
  const bad = await run({ runtimeDir: dir, store: { check: () => report } }, 'fsck', `${dir}/s.db`, '--json');
  t.equal(bad.code, ExitCode.DAMAGED);
  t.match(JSON.parse(bad.out), { clean: false, problems: report.problems });
  t.match(bad.err, /has 1 error:/);
  const inUse = await run(
    {
      runtimeDir: dir,
      store: {
        check: () => {
          throw new Failure('store-in-use', 'it is in use: unmount it first');
        },
      },
    },
    'fsck',
    `${dir}/s.db`,
  );
  t.match(inUse, { code: ExitCode.STORE_IN_USE, err: 'vnodefs: it is in use: unmount it first\n' });
});

void t.test('mount refuses what cannot be a mount point', async (t) => {
  const dir = t.testdir({ full: { file: '' }, empty: {}, deep: { er: {} }, file: '' });
  const fakes = { runtimeDir: join(dir, 'run') };
  const cases: [string, string, RegExp][] = [
    [`${dir}/s.db`, `${dir}/missing`, /does not exist: make it with mkdir/],
    [`${dir}/s.db`, `${dir}/missing/deep`, /the directory of the mount point .* does not exist/],
    [`${dir}/s.db`, `${dir}/file`, /is not a directory/],
    [`${dir}/s.db`, `${dir}/full`, /is not empty: .*-o nonempty/],
    [`${dir}/empty/s.db`, `${dir}/empty`, /lies inside the mount point/],
    [`${dir}/deep/er/s.db`, `${dir}/deep`, /not empty/],
    [`${dir}/empty/s.db`, `${dir}/empty`, /lies inside the mount point/],
  ];
  for (const [store, mountpoint, message] of cases) {
    const { code, err } = await run(fakes, 'mount', store, mountpoint);
    t.equal(code, ExitCode.MOUNT, err);
    t.match(err, message);
  }
  const own = { code: ExitCode.MOUNT, err: /lies inside the mount point .*: / };
  const log = ['--log-file', `${dir}/empty/logs/log`];
  t.match(await run(fakes, 'mount', `${dir}/s.db`, `${dir}/empty`, ...log), own);
  t.match(await run({ runtimeDir: `${dir}/empty/run` }, 'mount', `${dir}/s.db`, `${dir}/empty`), own);
  const noDirectory = await run(fakes, 'mount', `${dir}/no/s.db`, `${dir}/empty`);
  t.match(noDirectory, { code: ExitCode.STORE, err: /make it first/ });
  const mount8 = await run(fakes, `${dir}/s.db`, `${dir}/missing`, '-o', 'rw,noauto');
  t.match(mount8, { code: ExitCode.MOUNT, err: /make it with mkdir/ });
  const noDaemon = await run(fakes, 'mount', `${dir}/s.db`, `${dir}/empty`);
  t.match(noDaemon, {
    code: ExitCode.FAILURE,
    err: /the daemon ended before the mount was ready: see .*\.log/,
  });
});

void t.test('mount clears a stale mount and says so; refuses a live one', async (t) => {
  const dir = t.testdir({ m: {} });
  const m = join(dir, 'm');
  let mounted = true;
  const host: Partial<Host> = {
    mounts: () => (mounted ? [entryFor(m)] : []),
    probe: () => Promise.resolve({ state: 'dead' }),
    detach: (_, lazy) => {
      t.ok(lazy);
      mounted = false;
      return Promise.resolve({ outcome: 'done' });
    },
  };
  const stale = await run({ runtimeDir: dir, host }, 'mount', `${dir}/s.db`, m);
  t.match(stale.out, new RegExp(`^cleared the stale mount from ${m}\n`));
  const alive = { mounts: () => [entryFor(m)] };
  const live = await run({ runtimeDir: dir, host: alive }, 'mount', `${dir}/s.db`, m);
  t.match(live, { code: ExitCode.MOUNT, err: /already has a vnodefs mount: unmount it with/ });
});

void t.test('umount, sync and status of what is not mounted', async (t) => {
  const dir = t.testdir({ m: {} });
  for (const verb of ['umount', 'sync', 'status']) {
    const { code, err } = await run({ runtimeDir: dir }, verb, `${dir}/m`);
    t.equal(code, ExitCode.MOUNT);
    t.match(err, /no vnodefs is mounted on .*: 'vnodefs status' lists the mounts/);
  }
  t.match(await run({ runtimeDir: dir }, 'status'), { code: ExitCode.OK, out: 'no vnodefs is mounted\n' });
  t.equal((await run({ runtimeDir: dir }, 'status', '--json')).out, '{"mounts":[]}\n');
});

void t.test('umount: stale, busy, slow', async (t) => {
  const dir = t.testdir({ m: {}, link: t.fixture('symlink', 'm') });
  const m = join(dir, 'm');
  const mounts = (): MountEntry[] => [entryFor(m)];
  const dead: Partial<Host> = { mounts, probe: () => Promise.resolve({ state: 'dead' }) };
  const stale = await run({ runtimeDir: dir, host: dead }, 'umount', join(dir, 'link'), '--json');
  t.equal(stale.code, ExitCode.OK);
  t.strictSame(JSON.parse(stale.out), { mountpoint: m, state: 'cleared' });
  const inUse: Partial<Host> = { mounts, detach: () => Promise.resolve({ outcome: 'busy' }) };
  const busy = await run({ runtimeDir: dir, host: inUse }, 'umount', m);
  t.match(busy, { code: ExitCode.BUSY, err: /is busy: / });
  t.match(JSON.parse((await run({ runtimeDir: dir, host: inUse }, 'umount', m, '--json')).out), {
    state: 'busy',
  });
  const slow: Partial<Host> = { mounts, detach: () => Promise.resolve({ outcome: 'timed-out' }) };
  t.match(await run({ runtimeDir: dir, host: slow }, 'umount', m), {
    code: ExitCode.TIMED_OUT,
    err: /longer/,
  });
});

void t.test(
  'a registered daemon: umount waits for its end, status says when it does not answer',
  async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'vnodefs-main-')); // short: a socket's path is below it
    t.teardown(() => rmSync(dir, { recursive: true, force: true }));
    const m = join(dir, 'm');
    const uid = process.getuid?.() ?? 0;
    const here = { uid, env: { VNODEFS_RUNTIME_DIR: dir } };
    const { file, socket } = registryFiles(m, here);
    t.match(file, nameOf(m));
    const place = { mountpoint: m, store: '/s.db', transport: 'kernel', logFile: '/l', socket, startedMs: 0 };
    writeEntry(file, { ...identify(process.pid), ...place });
    const host: Partial<Host> = { mounts: () => [entryFor(m)] };
    const slow = await run({ runtimeDir: dir, host }, 'umount', m, '--timeout', '0.05');
    t.match(slow, {
      code: ExitCode.TIMED_OUT,
      err: /is detached, but its daemon \(pid \d+\) has not ended yet/,
    });
    const silent = await run({ runtimeDir: dir, host }, 'status', '--json');
    t.match(JSON.parse(silent.out), { mounts: [{ mountpoint: m, store: '/s.db', state: 'not-answering' }] });
    const detached = await run({ runtimeDir: dir }, 'status');
    t.match(detached.out, /MOUNTPOINT +STORE +PID +TRANSPORT +STATE\n.*detached\n/);
    writeEntry(file, { pid: process.pid, startTicks: 1, ...place }); // its pid is another process's by now
    const gone = await run({ runtimeDir: dir }, 'umount', m);
    t.match(gone, { code: ExitCode.OK, out: /has ended/ });
    t.strictSame(listEntries(uid, here), []);
  },
);

void t.test('a mount point is resolved through symlinks', async (t) => {
  const dir = t.testdir({ a: { m: {} } });
  symlinkSync('a', join(dir, 'b'));
  writeFileSync(join(dir, 'a', 'm', 'x'), '');
  const { err } = await run({ runtimeDir: dir }, 'mount', `${dir}/s.db`, `${dir}/b/m/`);
  t.match(err, `${dir}/a/m is not empty`);
});

void t.test('the README lists the exit codes', (t) => {
  const readme = readFileSync(new URL('../../../../README.md', import.meta.url), 'utf8');
  for (const { code, meaning } of EXIT_CODES) t.match(readme, `| ${code} | ${meaning} |`);
  t.strictSame(
    EXIT_CODES.map(({ code }) => code),
    Object.values(ExitCode),
  );
  t.end();
});
