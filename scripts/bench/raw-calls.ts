/**
 * A trial of system calls, run as a child process: `node raw-calls.js OPERATION FOLDER COUNT`. It times only the
 * calls, in this process, and prints `{"ns":N}` on stdout: the time of the whole loop.
 *
 * stat is called through koffi as statx(2) with the basic mask: Node's own would ask for the birth time as well,
 * which makes the kernel send STATX instead of GETATTR (fs/fuse/dir.c, fuse_update_get_attr), and costs
 * microseconds of its own.
 */
import { closeSync, mkdirSync, openSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;
/** Round trips before the timed ones, for the caches and the compiler. */
const WARM_UP_CALLS = 1000;

const statx = koffi
  .load('libc.so.6')
  .func('int statx(int dirfd, const void *path, int flags, unsigned int mask, void *out)') as (
  dirfd: number,
  path: Uint8Array,
  flags: number,
  mask: number,
  out: Uint8Array,
) => number;

const cString = (text: string): Buffer => Buffer.from(`${text}\0`);
const out = Buffer.alloc(STATX_BYTES);

const timed = (calls: () => void): bigint => {
  const start = process.hrtime.bigint();
  calls();
  return process.hrtime.bigint() - start;
};

const pathsIn = (folder: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => join(folder, 'many', `file-${String(i).padStart(6, '0')}`));

const operations: Record<string, (folder: string, count: number) => bigint> = {
  create: (folder, count) => {
    mkdirSync(join(folder, 'many'));
    const paths = pathsIn(folder, count);
    return timed(() => {
      for (const path of paths) closeSync(openSync(path, 'wx', 0o644));
    });
  },
  stat: (folder, count) => {
    const paths = pathsIn(folder, count).map(cString);
    return timed(() => {
      for (const path of paths) {
        if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, out) !== 0) throw new Error('statx failed');
      }
    });
  },
  list: (folder, count) => {
    let entries = 0;
    const time = timed(() => (entries = readdirSync(join(folder, 'many')).length));
    if (entries !== count) throw new Error(`listed ${entries} entries of ${count}`);
    return time;
  },
  unlink: (folder, count) => {
    const paths = pathsIn(folder, count);
    return timed(() => {
      for (const path of paths) unlinkSync(path);
    });
  },
  /** `count` times the same question about an open file. */
  fstat: (folder, count) => {
    const fd = openSync(join(folder, 'one'), 'a+');
    const empty = cString('');
    const ask = (calls: number): void => {
      for (let i = 0; i < calls; i++) {
        if (statx(fd, empty, AT_EMPTY_PATH, STATX_BASIC_STATS, out) !== 0) throw new Error('statx failed');
      }
    };
    ask(WARM_UP_CALLS);
    return timed(() => ask(count));
  },
};

const [name, folder, count] = process.argv.slice(2);
process.stdout.write(JSON.stringify({ ns: Number(operations[name](folder, Number(count))) }));
