/**
 * Load on a directory, as a process of its own: `node mount-load.js DIR STOPFILE SEED` writes files, reads them back,
 * syncs, renames and removes them until STOPFILE is there, then prints how many. Any error or difference ends it with
 * exit code 1.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Prng } from '../../src/base/prng.js';

const BYTES_MAX = 60_000;
const KEPT = 40;

const [directory, stop, seed] = process.argv.slice(2);
const random = new Prng(Number(seed));
const kept: { path: string; contents: Buffer }[] = [];

const check = ({ path, contents }: { path: string; contents: Buffer }): void => {
  if (!readFileSync(path).equals(contents)) throw new Error(`${path} has other contents`);
};

const write = (i: number): void => {
  const contents = Buffer.alloc(1 + random.int(BYTES_MAX), `load ${seed} ${i} `);
  const draft = join(directory, `draft-${i}`);
  const fd = openSync(draft, 'w');
  writeSync(fd, contents);
  if (i % 8 === 0) fsyncSync(fd);
  closeSync(fd);
  const path = join(directory, `file-${i}`);
  renameSync(draft, path);
  kept.push({ path, contents });
};

let files = 0;
for (; !existsSync(stop); files++) {
  write(files);
  check(kept[random.int(kept.length)]);
  if (kept.length > KEPT) {
    const [oldest] = kept.splice(0, 1);
    check(oldest);
    rmSync(oldest.path);
  }
  if (files === 20) writeFileSync(`${stop}.${seed}`, 'running');
}
for (const file of kept) check(file);
console.log(JSON.stringify({ files }));
