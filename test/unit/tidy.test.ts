/**
 * Style that a test can check: imports flow down the layers, native modules stay where they belong, files stay
 * small.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** From the top: a folder imports itself and those after it. */
const LAYERS = ['cli', 'daemon', 'fuse', 'vfs', 'syncer', 'vnode', 'store', 'base'];
const ONLY_IN: Readonly<Record<string, string>> = { 'better-sqlite3': 'store', koffi: 'base' };
const LINES_MAX = 500;
const COLUMNS_MAX = 140;

const filesBelow = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((name) => /\.(ts|js)$/.test(name));

const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** Module names of all static and dynamic imports. */
const importsOf = (text: string): string[] =>
  [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]);

const sources = filesBelow('src');
const everything = [...sources, ...filesBelow('test'), ...filesBelow('scripts'), ...filesBelow('bin')];

void t.test('imports between the folders of src only flow down', (t) => {
  t.ok(sources.length > 10, 'the sources were found');
  const wrong: string[] = [];
  for (const file of sources) {
    const layer = LAYERS.indexOf(file.split('/')[1]);
    if (layer < 0) wrong.push(`${file}: not in a known folder`);
    for (const module of importsOf(read(file)).filter((name) => name.startsWith('.'))) {
      const target = join(file, '..', module);
      if (!target.startsWith('src/')) wrong.push(`${file} imports ${module}`);
      else if (LAYERS.indexOf(target.split('/')[1]) < layer)
        wrong.push(`${file} imports ${module}, which is above it`);
    }
  }
  t.strictSame(wrong, []);
  t.end();
});

void t.test('native modules are imported in one folder each', (t) => {
  const wrong = sources.flatMap((file) =>
    importsOf(read(file)).flatMap((name) =>
      ONLY_IN[name] === undefined || file.startsWith(`src/${ONLY_IN[name]}/`)
        ? []
        : [`${file} imports ${name}`],
    ),
  );
  t.strictSame(wrong, []);
  t.end();
});

void t.test('files and lines are short, names are kebab-case, nothing is left to do', (t) => {
  const todo = new RegExp(['TO', 'DO|FIX', 'ME|X', 'XX'].join(''));
  const wrong: string[] = [];
  for (const file of everything) {
    const lines = read(file).split('\n');
    if (lines.length > LINES_MAX) wrong.push(`${file} has ${lines.length} lines`);
    if (!/^[a-z0-9-]+(\.test|\.d)?\.(ts|js)$/.test(file.split('/').at(-1) ?? '')) wrong.push(`${file}: name`);
    lines.forEach((line, i) => {
      if (line.length > COLUMNS_MAX) wrong.push(`${file}:${i + 1} has ${line.length} columns`);
      if (todo.test(line)) wrong.push(`${file}:${i + 1} says it is not done`);
    });
  }
  t.strictSame(wrong, []);
  t.end();
});

void t.test('the executable only calls the command line', (t) => {
  const lines = read('bin/vnodefs.js').trimEnd().split('\n');
  t.ok(lines.length <= 5);
  t.equal(lines[0], '#!/usr/bin/env node');
  t.end();
});
