/** scripts/soak/fsck: how long fsck takes, by the number of files. See the shell script beside it. `--check STORE`: the child. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { byteName, type Ino, ROOT_INO } from '../../src/base/ids.js';
import { checkStore } from '../../src/store/fsck.js';
import { createStore } from '../../src/store/mkfs.js';
import type { Attributes } from '../../src/vfs/api.js';
import { InProcessCore } from '../../test/harness/test-core.js';

const FILES_PER_DIRECTORY = 1000;
const COMMIT_EVERY = 5000;
/** The time a file in the largest store against that in the smallest: caches and tree depths cost something, a square would be ten. */
const GROWTH_MAX = 2;
const CALLER = { uid: 1000, gid: 100, pid: 1 };
const O_RDWR = 2;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    check: { type: 'string' },
  },
});

interface Figures {
  findings: string[];
  inodes: number;
  dirents: number;
  chunks: number;
  seconds: number;
  cpuSeconds: number;
  rssMiB: number;
}

/** Prints the Figures of one store. */
const check = (store: string): void => {
  const started = performance.now();
  const { findings, inodes, dirents, chunks } = checkStore(store);
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  const figures: Figures = {
    findings: findings.map(({ message }) => message).slice(0, 5),
    ...{ inodes, dirents, chunks },
    seconds: (performance.now() - started) / 1000,
    cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
    rssMiB: Math.round(maxRSS / 1024),
  };
  console.log(JSON.stringify(figures));
};

/** Every tenth file has its data in a chunk, every 50th a second name, every 40th an attribute; every 30th entry is a symlink. */
const fill = (core: InProcessCore, files: number): void => {
  const { vfs } = core;
  const inoOf = (vp: Attributes): Ino => {
    const { ino } = vp;
    vfs.vrele(vp);
    return ino;
  };
  const data = new Uint8Array(6000).fill(97);
  const plain = { fromCache: false, killSuidgid: false };
  let dir: Ino = ROOT_INO;
  let top: Ino = ROOT_INO;
  for (let i = 0; i < files; i++) {
    if (i % (100 * FILES_PER_DIRECTORY) === 0)
      top = inoOf(vfs.mkdir(CALLER, ROOT_INO, byteName(`top-${i}`), 0o755, 0));
    if (i % FILES_PER_DIRECTORY === 0) dir = inoOf(vfs.mkdir(CALLER, top, byteName(`dir-${i}`), 0o755, 0));
    if (i % 30 === 29) inoOf(vfs.symlink(CALLER, dir, byteName(`link-${i}`), Buffer.from(`file-${i - 1}`)));
    else {
      const { vp, open } = vfs.create(CALLER, dir, byteName(`file-${i}`), 0o644, O_RDWR, 0o022);
      const ino = inoOf(vp);
      vfs.write(CALLER, ino, open.fh, 0, data.subarray(0, i % 10 === 0 ? 6000 : 1 + (i % 700)), plain);
      vfs.release(open.fh);
      if (i % 50 === 0) inoOf(vfs.link(CALLER, ino, dir, byteName(`name-${i}`)));
      if (i % 40 === 0) vfs.setxattr(CALLER, ino, byteName('user.soak'), data.subarray(0, 20), 0, false);
    }
    if (i % COMMIT_EVERY === 0) core.sync();
  }
  core.sync();
};

const make = (store: string, files: number): void => {
  createStore(store);
  const core = new InProcessCore({ store, pages: 65_536, vnodesMax: 50_000 });
  try {
    fill(core, files);
  } finally {
    core.abandon();
  }
};

const measure = (dir: string, files: number): Figures => {
  const store = join(dir, `${files}.db`);
  const started = performance.now();
  make(store, files);
  const made = (performance.now() - started) / 1000;
  const script = fileURLToPath(import.meta.url);
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--check', store], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`fsck of ${files} files: exit ${status}: ${stderr}`);
  const figures = JSON.parse(stdout) as Figures;
  const { seconds, cpuSeconds, rssMiB, inodes, dirents, chunks } = figures;
  console.log(
    `${files} files (${inodes} inodes, ${dirents} names, ${chunks} chunks, ${Math.round(statSync(store).size / 2 ** 20)} MiB, made in ` +
      `${made.toFixed(0)} s): ${seconds.toFixed(1)} s, processor ${cpuSeconds.toFixed(1)} s, ` +
      `${((cpuSeconds / files) * 1e6).toFixed(1)} µs a file, ${rssMiB} MiB; ${figures.findings.length} findings`,
  );
  rmSync(store);
  return figures;
};

const main = (): number => {
  const counts = positionals.length > 0 ? positionals.map(Number) : [100_000, 300_000, 1_000_000];
  if (!counts.every((n) => n > 0)) throw new Error('usage: scripts/soak/fsck [N…] [--dir DIR] [--json FILE]');
  const dir = mkdtempSync(join(options.dir, 'vnodefs-fsck-'));
  try {
    const all = counts.map((files) => ({ files, ...measure(dir, files) }));
    if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(all, null, 1));
    const each = all.map(({ files, cpuSeconds }) => cpuSeconds / files);
    const growth = each[each.length - 1] / each[0];
    console.log(`a file in the last store takes ${growth.toFixed(2)} times as long as one in the first`);
    return all.every(({ findings }) => findings.length === 0) && growth <= GROWTH_MAX ? 0 : 1;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

if (options.check !== undefined) check(options.check);
else process.exitCode = main();
