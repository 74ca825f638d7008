/**
 * A mixed load whose result can be checked whatever became of it: four programs, each of which does everything in an
 * order known beforehand, and writes down, outside the mount, how far barriers have confirmed it. Errors (a full or
 * failing disk) are answered by trying again.
 */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Running, start } from '../harness/commands.js';

const COMMON = `
const fs = require('node:fs');
const nap = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
// ENOENT: it was moved by an attempt before.
const move = (from, to) => { try { fs.renameSync(from, to); } catch (e) { if (e.code !== 'ENOENT') throw e; } };
const run = (dir, progress, program) => {
let errors = 0;
const again = (work) => {
  for (;;) {
    try { return work(); } catch (error) {
      if (error.code !== 'EIO' && error.code !== 'ENOSPC') throw error;
      fs.writeFileSync(progress + '.errors', error.code + ' ' + ++errors);
      nap(20);
    }
  }
};
const confirm = (n) => { fs.writeFileSync(progress + '.new', String(n)); fs.renameSync(progress + '.new', progress); };
const syncDir = (path) => { const fd = fs.openSync(path, 'r'); try { fs.fsyncSync(fd); } finally { fs.closeSync(fd); } };
const put = (path, text, sync) => {
  const fd = fs.openSync(path, 'w');
  try { fs.writeSync(fd, text); if (sync) fs.fsyncSync(fd); } finally { fs.closeSync(fd); }
};
return program({ again, confirm, syncDir, put, dir });
};
`;

/** Of file n, of version n: between nothing and 24,000 bytes that tell n. */
const CONTENT = `(n) => (n + ' ').repeat(n % 7 === 0 ? 4000 : n % 50)`;
const contentOf = (n: number): string => `${n} `.repeat(n % 7 === 0 ? 4000 : n % 50);
const LINE = `(n) => 'line ' + n + ' ' + 'x'.repeat((n * 37) % 300) + '\\n'`;
const lineOf = (n: number): string => `line ${n} ${'x'.repeat((n * 37) % 300)}\n`;

const PROGRAMS = {
  /** Files one after the other; now and then a barrier, which covers all before. */
  files: `function* ({ again, confirm, syncDir, put, dir }) {
const contentOf = ${CONTENT};
again(() => fs.mkdirSync(dir + '/files'));
for (let n = 0; ; n++) {
  const sync = n % 40 === 0;
  again(() => put(dir + '/files/f' + n, contentOf(n), sync));
  if (sync) confirm(n);
  yield;
}
}`,
  /** A log; what an error may have lost is written again. */
  log: `function* ({ again, confirm, syncDir, put, dir }) {
const lineOf = ${LINE};
let fd = again(() => fs.openSync(dir + '/log', 'w'));
let [at, pending] = [0, ""];
for (let n = 0; ; n++) {
  pending += lineOf(n);
  if (n % 5 === 0) {
    again(() => { fs.writeSync(fd, pending, at); fs.fdatasyncSync(fd); });
    at += pending.length; pending = '';
    confirm(n);
  }
  yield;
}
}`,
  /** Atomic saves: never torn, never older than confirmed. */
  save: `function* ({ again, confirm, syncDir, put, dir }) {
const contentOf = ${CONTENT};
again(() => fs.mkdirSync(dir + '/save'));
for (let n = 1; ; n++) {
  again(() => put(dir + '/save/doc.new', 'version ' + n + '\\n' + contentOf(n), true));
  again(() => move(dir + '/save/doc.new', dir + '/save/doc'));
  if (n % 3 === 0) { again(() => syncDir(dir + '/save')); confirm(n); }
  yield;
}
}`,
  /** Moves between directories: each file is in one place. */
  moves: `function* ({ again, confirm, syncDir, put, dir }) {
for (const d of ['one', 'two']) again(() => fs.mkdirSync(dir + '/' + d));
for (let i = 0; i < 20; i++) again(() => put(dir + '/one/m' + i, 'moved ' + i, true));
again(() => syncDir(dir + '/one'));
confirm(0);
for (let n = 1; ; n++) {
  const i = n % 20;
  const [from, to] = Math.floor(n / 20) % 2 ? ['two', 'one'] : ['one', 'two'];
  again(() => move(dir + '/' + from + '/m' + i, dir + '/' + to + '/m' + i));
  if (n % 10 === 0) { again(() => syncDir(dir + '/' + to)); confirm(n); }
  yield;
}
}`,
} as const;

/**
 * The kernel tells a failed write-back to whoever closes the file next, once, even a reader (fs/fuse/file.c,
 * fuse_flush, by filemap_check_errors): that is no failure of reading.
 */
const readText = (path: string): string => {
  const fd = openSync(path, 'r');
  const text = readFileSync(fd, 'latin1');
  try {
    closeSync(fd);
  } catch (error) {
    if (!['EIO', 'ENOSPC'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
  return text;
};

type Program = keyof typeof PROGRAMS;
const NAMES = Object.keys(PROGRAMS) as Program[];

export class MixedLoad {
  readonly #dir: string;
  readonly #progress: string;
  readonly #running: Running[] = [];

  /** Works in `dir` (made here, in the mount), keeps its progress in `progress` (made here, elsewhere). */
  constructor(dir: string, progress: string) {
    this.#dir = dir;
    this.#progress = progress;
  }

  /** `together`: one process that takes a step of each program in turn; else a process each. */
  start(timeoutMs: number, together = false): void {
    mkdirSync(this.#progress, { recursive: true });
    mkdirSync(this.#dir);
    const call = (name: Program): string =>
      `run(${JSON.stringify(this.#dir)}, ${JSON.stringify(join(this.#progress, name))}, ${PROGRAMS[name]})`;
    const groups = together ? [NAMES] : NAMES.map((name) => [name]);
    for (const names of groups) {
      const text = `${COMMON}const all = [${names.map(call).join(', ')}]; for (;;) for (const one of all) one.next();`;
      this.#running.push(start(process.execPath, ['-e', text], { timeoutMs }));
    }
  }

  /** Ends the programs, unless something else did. */
  async stop(): Promise<void> {
    for (const { pid } of this.#running) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
    await Promise.all(this.#running.map(({ done }) => done));
  }

  /** How far a program's barriers have confirmed it; -1: not at all. */
  confirmed(name: Program): number {
    const path = join(this.#progress, name);
    return existsSync(path) ? Number(readFileSync(path, 'utf8')) : -1;
  }
  /** Each program has done something that a barrier confirmed. */
  get begun(): boolean {
    return NAMES.every((name) => this.confirmed(name) >= 0);
  }
  /** Programs that got an error so far. */
  get troubled(): string[] {
    return NAMES.filter((name) => existsSync(join(this.#progress, `${name}.errors`)));
  }

  /** What is wrong with what is there now. `dir`: where the mount is by now. */
  check(dir = this.#dir): string[] {
    if (!existsSync(dir))
      return NAMES.filter((n) => this.confirmed(n) >= 0).map((n) => `${n}: everything is gone`);
    return [
      ...this.#checkFiles(dir),
      ...this.#checkLog(dir),
      ...this.#checkSave(dir),
      ...this.#checkMoves(dir),
    ];
  }

  #checkFiles(dir: string): string[] {
    const wrong: string[] = [];
    const confirmed = this.confirmed('files');
    const names = existsSync(join(dir, 'files')) ? readdirSync(join(dir, 'files')) : [];
    if (names.length <= confirmed) wrong.push(`files: ${names.length} of more than ${confirmed}`);
    for (let n = 0; n < names.length; n++) {
      const path = join(dir, 'files', `f${n}`);
      const found = existsSync(path) ? readText(path) : undefined;
      const last = n === names.length - 1 && n > confirmed;
      if (found === contentOf(n) || (last && found !== undefined && contentOf(n).startsWith(found))) continue;
      wrong.push(`files: f${n} has ${found?.length} bytes, confirmed ${confirmed}, ${names.length} there`);
    }
    return wrong;
  }

  #checkLog(dir: string): string[] {
    const confirmed = this.confirmed('log');
    const path = join(dir, 'log');
    const found = existsSync(path) ? readText(path) : '';
    let promised = 0;
    let expected = '';
    for (let n = 0; expected.length < found.length || n <= confirmed; n++) {
      expected += lineOf(n);
      if (n === confirmed) promised = expected.length;
    }
    if (found.length < promised) return [`log: ${found.length} bytes of ${promised}`];
    return expected.startsWith(found) ? [] : ['log: not what was written'];
  }

  #checkSave(dir: string): string[] {
    const confirmed = this.confirmed('save');
    const path = join(dir, 'save/doc');
    if (!existsSync(path)) return confirmed > 0 ? ['save: the document is gone'] : [];
    const found = readText(path);
    const version = Number(/^version (\d+)\n/.exec(found)?.[1] ?? 'NaN');
    if (found !== `version ${version}\n${contentOf(version)}`) return [`save: torn, ${found.length} bytes`];
    return version >= confirmed ? [] : [`save: version ${version}, confirmed ${confirmed}`];
  }

  #checkMoves(dir: string): string[] {
    if (this.confirmed('moves') < 0) return [];
    const wrong: string[] = [];
    for (let i = 0; i < 20; i++) {
      const places = ['one', 'two'].filter((d) => existsSync(join(dir, d, `m${i}`)));
      if (places.length !== 1) wrong.push(`moves: m${i} is in ${places.length} places`);
      else if (readText(join(dir, places[0], `m${i}`)) !== `moved ${i}`) wrong.push(`moves: m${i}`);
    }
    return wrong;
  }
}
