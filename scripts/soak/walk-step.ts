/**
 * One step of scripts/soak/walk, as a process of its own: `node walk-step.js create|stat|read DIR FROM TO` does files
 * FROM to TO - 1. Every file has its own length and contents, which 'read' checks.
 */
import { closeSync, lstatSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const FILES_PER_DIRECTORY = 1000;
const LENGTH_MIN = 100;
const LENGTH_SPREAD = 900;

const lengthOf = (i: number): number => LENGTH_MIN + ((i * 7919) % LENGTH_SPREAD);
const contentsOf = (i: number): Buffer => Buffer.alloc(lengthOf(i), `file ${i} `);

const directoryOf = (root: string, i: number): string => {
  const directory = Math.floor(i / FILES_PER_DIRECTORY);
  return join(root, `d${Math.floor(directory / 100)}`, `d${directory}`);
};

const create = (root: string, from: number, to: number): void => {
  for (let i = from; i < to; i++) {
    const directory = directoryOf(root, i);
    if (i === from || i % FILES_PER_DIRECTORY === 0) mkdirSync(directory, { recursive: true });
    const fd = openSync(join(directory, `f${i}`), 'wx');
    writeSync(fd, contentsOf(i));
    closeSync(fd);
  }
};

const stat = (root: string, from: number, to: number): void => {
  for (let i = from; i < to; i++) {
    const { size } = lstatSync(join(directoryOf(root, i), `f${i}`));
    if (size !== lengthOf(i)) throw new Error(`f${i} has ${size} bytes, not ${lengthOf(i)}`);
  }
};

const read = (root: string, from: number, to: number): void => {
  for (let i = from; i < to; i++) {
    const got = readFileSync(join(directoryOf(root, i), `f${i}`));
    if (!got.equals(contentsOf(i))) throw new Error(`f${i} has other contents`);
  }
};

const steps: Record<string, ((root: string, from: number, to: number) => void) | undefined> = {
  create,
  stat,
  read,
};
const [name, root, from, to] = process.argv.slice(2);
const step = steps[name];
if (step === undefined) throw new Error(`no step ${name}`);
step(root, Number(from), Number(to));
