/**
 * A tree like that of a middling project: some 4,000 text files in some 400 folders, sizes spread as sources are
 * (most are small, a few large), the same for every run. Made once, as a tar and as a git repository, on the disk
 * under test but outside the targets.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Prng } from '../../src/base/prng.js';
import { gitEnvironment } from './git-environment.js';
import type { Processes } from './processes.js';
import type { Sources } from './workload.js';

/** A word that only one file in {@link MARKED_EVERY} holds. */
export const MARKER = 'needleInTheTree';

const SEED = 20260101;
const FOLDERS = 400;
const FILES = 4000;
const MARKED_EVERY = 100;
/** Parameters of the log-normal distribution of sizes: a median of 4 KiB, a mean of about 8 KiB. */
const MEDIAN_BYTES = 4096;
const SIGMA = 1.2;
const BYTES_MAX = 256 * 1024;
const SYLLABLES = 'ra to ne vi ku el san dor mi pha qu ix lo ber ty gen os ha wen ju'.split(' ');
const ENDINGS = ['.ts', '.ts', '.c', '.h', '.md', '.json', '.py'];

const wordOf = (prng: Prng): string =>
  Array.from({ length: 2 + prng.int(3) }, () => prng.pick(SYLLABLES)).join('');

/** A standard normal deviate (Box and Muller). */
const normal = (prng: Prng): number =>
  Math.sqrt(-2 * Math.log(1 - prng.next())) * Math.cos(2 * Math.PI * prng.next());

const textOf = (prng: Prng, words: readonly string[], bytes: number): string => {
  const lines: string[] = [];
  for (let length = 0; length < bytes;) {
    const line = `${' '.repeat(2 * prng.int(4))}${prng.pick(words)} = ${prng.pick(words)}(${prng.pick(words)}, ${prng.int(1e6)});`;
    lines.push(line);
    length += line.length + 1;
  }
  return `${lines.join('\n')}\n`;
};

/** Writes the tree into `folder`, which must not exist. */
export const generateTree = (folder: string, files = FILES): void => {
  const prng = new Prng(SEED);
  const words = Array.from({ length: 2000 }, () => wordOf(prng));
  mkdirSync(folder);
  const folders = [folder];
  for (let i = 1; i < FOLDERS; i++) {
    const path = join(prng.pick(folders), `${prng.pick(words)}-${i}`);
    mkdirSync(path);
    folders.push(path);
  }
  for (let i = 0; i < files; i++) {
    const bytes = Math.min(BYTES_MAX, Math.round(MEDIAN_BYTES * Math.exp(SIGMA * normal(prng))));
    const marked = i % MARKED_EVERY === 0 ? `// ${MARKER}\n` : '';
    const name = `${prng.pick(words)}-${i}${prng.pick(ENDINGS)}`;
    writeFileSync(join(prng.pick(folders), name), marked + textOf(prng, words, bytes));
  }
};

/** Makes both forms of the tree in the existing folder `place`. */
export const makeSources = async (processes: Processes, place: string): Promise<Sources> => {
  const repository = join(place, 'repository');
  const tree = join(place, 'tree');
  const tar = join(place, 'tree.tar');
  generateTree(tree);
  await processes.run('tar', ['-cf', tar, '-C', place, 'tree']);
  const env = gitEnvironment();
  const git = (...args: string[]) => processes.run('git', ['-C', tree, ...args], { env });
  await git('init', '-q');
  await git('add', '-A');
  await git('commit', '-q', '-m', 'tree');
  await git('repack', '-q', '-a', '-d');
  await processes.run('git', ['clone', '-q', '--bare', tree, repository], { env });
  rmSync(tree, { recursive: true });
  return { tar, repository };
};
