/**
 * One of the programs of scripts/soak/wal: `node wal-step.js write|requests|sync|read PATH JSON`, until its input ends.
 * Prints a line of JSON a second: what it did, and how long that took.
 *
 *   write     random writes of 4 KiB in a file, an fdatasync after every `syncEvery` (0: never)
 *   requests  names that aren't there, looked up: each is one request, which the kernel can't answer
 *   sync      4 KiB and fsync, over and over
 *   read      a read transaction on a store, held for `holdMs`, then none for `pauseMs`
 */
import Database from 'better-sqlite3';
import { closeSync, fdatasyncSync, fsyncSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Prng } from '../../src/base/prng.js';

export interface StepOptions {
  seed: number;
  fileBytes: number;
  syncEvery: number;
  everyMs: number;
  holdMs: number;
  pauseMs: number;
}
/** Times in milliseconds. `state`: of the reader. */
export interface StepLine {
  count: number;
  times: number[];
  state: string;
}

const PAGE = 4096;
const WINDOW_MS = 1000;
/** Of a window; a loop that does more is sampled. */
const TIMES_MAX = 2000;

const [step, path, json] = process.argv.slice(2);
const options = JSON.parse(json) as StepOptions;
const random = new Prng(options.seed);
const line: StepLine = { count: 0, times: [], state: '' };
let running = true;
process.stdin.on('end', () => (running = false)).resume();

const timed = (work: () => void): void => {
  const from = performance.now();
  work();
  const ms = performance.now() - from;
  line.count++;
  if (line.times.length < TIMES_MAX) line.times.push(ms);
  else line.times[random.int(TIMES_MAX)] = ms;
};

/** Repeats `work`, telling every second. */
const loop = async (work: () => void, everyMs: number): Promise<void> => {
  let told = performance.now();
  while (running) {
    work();
    const now = performance.now();
    if (now - told >= WINDOW_MS) {
      told = now;
      process.stdout.write(`${JSON.stringify(line)}\n`);
      line.count = 0;
      line.times = [];
    }
    await (everyMs > 0 ? sleep(everyMs) : new Promise(setImmediate));
  }
};

const write = async (): Promise<void> => {
  const fd = openSync(path, 'w+');
  ftruncateSync(fd, options.fileBytes);
  const bytes = Buffer.alloc(PAGE);
  let writes = 0;
  await loop(() => {
    for (let i = 0; i < 16; i++) {
      bytes.writeUInt32LE(++writes, 0);
      bytes.writeUInt32LE(random.int(2 ** 31), 100);
      const offset = random.int(options.fileBytes / PAGE) * PAGE;
      if (options.syncEvery === 0) timed(() => writeSync(fd, bytes, 0, PAGE, offset));
      else {
        writeSync(fd, bytes, 0, PAGE, offset);
        if (writes % options.syncEvery === 0) timed(() => fdatasyncSync(fd));
      }
    }
  }, 0);
  closeSync(fd);
};

const requests = (): Promise<void> => {
  let n = 0;
  return loop(
    () => timed(() => void statSync(`${path}/none-${n++}`, { throwIfNoEntry: false })),
    options.everyMs,
  );
};

const sync = (): Promise<void> => {
  const fd = openSync(path, 'w+');
  const bytes = Buffer.alloc(PAGE, 7);
  return loop(() => {
    bytes.writeUInt32LE(random.int(2 ** 31), 0);
    writeSync(fd, bytes, 0, PAGE, 0);
    timed(() => fsyncSync(fd));
  }, options.everyMs);
};

const read = async (): Promise<void> => {
  const db = new Database(path, { readonly: true, timeout: 10_000 });
  const sum = db.prepare('SELECT count(*), total(length(data)) FROM chunk LIMIT 1').raw();
  let untilMs = 0;
  await loop(() => {
    const now = performance.now();
    if (now < untilMs) return;
    if (db.inTransaction) {
      db.exec('COMMIT');
      line.state = 'away';
      untilMs = now + options.pauseMs;
    } else {
      db.exec('BEGIN');
      timed(() => void sum.get());
      line.state = 'holds';
      untilMs = performance.now() + options.holdMs;
    }
  }, 20);
  db.close();
};

const steps: Record<string, (() => Promise<void>) | undefined> = { write, requests, sync, read };
await steps[step]?.();
