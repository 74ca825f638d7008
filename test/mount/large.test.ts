/**
 * Large and odd, through the kernel: very many entries in one directory, very many links to one file, the longest
 * paths, very deep directories. CI runs small sizes; VNODEFS_FULL=1 those of the README. The figures are printed, none
 * is asserted.
 */
import * as fs from 'node:fs';
import { chdir } from 'node:process';
import t, { type Test } from 'tap';
import { Prng } from '../../src/base/prng.js';
import { run } from '../harness/commands.js';
import {
  COHERENT_NAMES,
  fullSize,
  mountStore,
  onPlainDirectory,
  TEST_CAPABILITIES,
} from '../harness/mount.js';
import { codeOf, O } from '../harness/posix-client.js';
import { RealClient } from '../harness/real-client.js';

t.setTimeout(fullSize ? 7_200_000 : 300_000);

const ENTRIES = fullSize ? 1_000_000 : 4_000;
const LINKS = fullSize ? 65_000 : 1_000;
const DEPTH = fullSize ? 1_000 : 200;
const SLICES = 10;
const LOOKUPS = Math.min(ENTRIES, 20_000);
const LIST_BYTES = 1 << 16;

const nameOf = (i: number): string => `entry-${i.toString().padStart(8, '0')}`;

/** Does `step(i)` for 0 <= i < count; prints operations a second for each tenth. */
const inSlices = (ct: Test, what: string, count: number, step: (i: number) => void): void => {
  const rates: number[] = [];
  for (let slice = 0; slice < SLICES; slice++) {
    const [from, to] = [Math.floor((count * slice) / SLICES), Math.floor((count * (slice + 1)) / SLICES)];
    const start = performance.now();
    for (let i = from; i < to; i++) step(i);
    rates.push(Math.round(((to - from) / (performance.now() - start)) * 1000));
  }
  ct.comment(`${what}: ${count}, operations a second by tenths: ${rates.join(' ')}`);
};

/** Lists the directory by getdents; how many times each entry came. */
const listed = (client: RealClient, dir: string): Uint8Array => {
  const seen = new Uint8Array(ENTRIES);
  const fd = client.open(dir, O.RDONLY | O.DIRECTORY);
  for (;;) {
    const entries = client.getdents(fd, LIST_BYTES);
    if (entries.length === 0) break;
    for (const { name } of entries) if (name[0] === 0x65) seen[Number(name.toString('latin1', 6))]++;
  }
  client.close(fd);
  return seen;
};

await t.test(`${ENTRIES} entries in one directory: create, look up, list, remove`, (ct) => {
  const mounted = mountStore(ct);
  const client = new RealClient('mount', mounted.mnt, TEST_CAPABILITIES);
  const dir = `${mounted.mnt}/large`;
  fs.mkdirSync(dir);
  inSlices(ct, 'create', ENTRIES, (i) => fs.closeSync(fs.openSync(`${dir}/${nameOf(i)}`, 'wx')));
  ct.equal(fs.statSync(dir).size, onPlainDirectory ? fs.statSync(dir).size : ENTRIES);
  let start = performance.now();
  let seen = listed(client, dir);
  ct.comment(`list, just made: ${Math.round(performance.now() - start)} ms`);
  ct.ok(
    seen.every((times) => times === 1),
    'each entry listed once',
  );
  mounted.remount();
  start = performance.now();
  seen = listed(client, dir);
  ct.comment(`list after a new mount: ${Math.round(performance.now() - start)} ms`);
  ct.ok(
    seen.every((times) => times === 1),
    'each entry listed once by the next mount',
  );
  mounted.remount();
  const prng = new Prng(4);
  inSlices(ct, 'look up at random after a new mount', LOOKUPS, () => {
    fs.lstatSync(`${dir}/${nameOf(prng.int(ENTRIES))}`);
  });
  ct.equal(
    codeOf(() => fs.lstatSync(`${dir}/absent`)),
    'ENOENT',
  );
  inSlices(ct, 'remove', ENTRIES, (i) => fs.unlinkSync(`${dir}/${nameOf(i)}`));
  ct.same(fs.readdirSync(dir), []);
  fs.rmdirSync(dir);
  mounted.fsck();
  ct.end();
});

await t.test(`${LINKS} links to one file`, (ct) => {
  const mounted = mountStore(ct, { args: COHERENT_NAMES });
  const file = `${mounted.mnt}/file`;
  fs.writeFileSync(file, 'one file');
  fs.mkdirSync(`${mounted.mnt}/links`);
  inSlices(ct, 'link', LINKS - 1, (i) => fs.linkSync(file, `${mounted.mnt}/links/${nameOf(i)}`));
  ct.equal(fs.statSync(file).nlink, LINKS);
  if (fullSize) {
    ct.equal(
      codeOf(() => fs.linkSync(file, `${mounted.mnt}/one-too-many`)),
      'EMLINK',
    );
  }
  mounted.remount();
  ct.equal(fs.readFileSync(`${mounted.mnt}/links/${nameOf(LINKS - 2)}`, 'latin1'), 'one file');
  inSlices(ct, 'unlink', LINKS - 1, (i) => fs.unlinkSync(`${mounted.mnt}/links/${nameOf(i)}`));
  ct.equal(fs.statSync(file).nlink, 1);
  mounted.fsck();
  ct.end();
});

await t.test('paths of PATH_MAX bytes', (ct) => {
  const mounted = mountStore(ct);
  const name = 'p'.repeat(255);
  chdir(mounted.mnt);
  try {
    // Relative: 15 times 256 bytes, then what is left of 4,095; PATH_MAX counts the NUL.
    let dir = '';
    for (let i = 0; i < 15; i++) {
      dir += `${name}/`;
      fs.mkdirSync(dir);
    }
    const longest = dir + 'f'.repeat(4095 - dir.length);
    fs.writeFileSync(longest, 'far');
    ct.equal(fs.readFileSync(longest, 'latin1'), 'far');
    ct.equal(
      codeOf(() => fs.writeFileSync(`${longest}f`, '')),
      'ENAMETOOLONG',
    );
    fs.symlinkSync(longest, 'link');
    ct.equal(fs.readFileSync('link', 'latin1'), 'far', 'through a symbolic link of 4,095 bytes');
  } finally {
    chdir('/');
  }
  mounted.remount();
  ct.equal(fs.readdirSync(mounted.mnt).length, 2);
  run('rm', ['-rf', `${mounted.mnt}/${name}`]);
  mounted.fsck();
  ct.end();
});

await t.test(`directories ${DEPTH} deep`, (ct) => {
  const mounted = mountStore(ct);
  const start = performance.now();
  chdir(mounted.mnt);
  try {
    for (let i = 0; i < DEPTH; i++) {
      fs.mkdirSync('a-directory');
      chdir('a-directory');
    }
    fs.writeFileSync('deep', 'down here');
    for (let i = 0; i < DEPTH; i++) chdir('..');
    ct.equal(fs.statSync('.').ino, fs.statSync(mounted.mnt).ino, '.. leads all the way back');
  } finally {
    chdir('/');
  }
  mounted.remount();
  const found = run('find', ['.', '-name', 'deep'], { cwd: mounted.mnt }).trim();
  ct.equal(found.split('/').length - 2, DEPTH);
  run('rm', ['-r', `${mounted.mnt}/a-directory`]);
  ct.comment(`made, found, removed: ${Math.round(performance.now() - start)} ms`);
  mounted.fsck();
  ct.end();
});
