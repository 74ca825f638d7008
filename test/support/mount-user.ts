/**
 * Somebody who uses a mount: `node mount-user.js KIND DIRECTORY [BYTES]`. Prints a line of JSON for whatever happens:
 *
 *   {"ready":true}      it uses the mount now
 *   {"acked":N}         fsync returned 0 for its Nth record in DIRECTORY/log
 *   {"saw":"EIO"}       what its next use met: an error's name, or "ok"
 *   {"closed":"ok"}     what close(2) then said
 *
 * It goes on to that next use when a line comes on standard input; writers in a loop go on by themselves until they
 * meet an error. Never touches the mount before it has said what it saw.
 */
import { spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

const [kind = '', directory = '.', bytesText = '0'] = process.argv.slice(2);
const bytes = Number(bytesText);
const RECORD = 4096;

const say = (what: object): void => void writeSync(1, `${JSON.stringify(what)}\n`);
const nameOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : String(error);
const outcome = (act: () => void): string => {
  try {
    act();
    return 'ok';
  } catch (error) {
    return nameOf(error);
  }
};
const at = (name: string): string => join(directory, name);

/** Uses `fd` once more when told, then closes it. */
const thenUse = (fd: number | undefined, use: () => void): void => {
  say({ ready: true });
  process.stdin.once('data', () => {
    say({ saw: outcome(use) });
    if (fd !== undefined) say({ closed: outcome(() => closeSync(fd)) });
    process.exit(0);
  });
};

const record = (number: number): Buffer => Buffer.alloc(RECORD, `${number} `);
const append = (fd: number, number: number): void => {
  writeSync(fd, record(number), 0, RECORD, number * RECORD);
};
/** What tests look for at the end: everything acknowledged is there. */
const logSynced = (fd: number, number: number): void => {
  append(fd, number);
  fsyncSync(fd);
  say({ acked: number + 1 });
};

/** Writes records for ever, `perSync` of them for each fsync. */
const writeForEver = (fd: number, perSync: number): void => {
  try {
    for (let number = 1; ; number++) {
      if (number % perSync === 0) logSynced(fd, number);
      else append(fd, number);
      if (number === perSync) say({ ready: true });
    }
  } catch (error) {
    say({ saw: nameOf(error) });
    say({ closed: outcome(() => closeSync(fd)) });
  }
};

const mapDirty = (): void => {
  const libc = koffi.load('libc.so.6');
  const mmap = libc.func(
    'void *mmap(void *at, size_t length, int protection, int flags, int fd, int64_t offset)',
  );
  const msync = libc.func('int msync(void *at, size_t length, int flags)');
  const memset = libc.func('void *memset(void *at, int byte, size_t length)');
  const fd = openSync(at('mapped'), 'w+');
  ftruncateSync(fd, bytes);
  const address = mmap(null, bytes, 3, 1, fd, 0) as unknown;
  memset(address, 0x6d, bytes);
  closeSync(fd); // the mapping is all that is left
  thenUse(undefined, () => {
    if (msync(address, bytes, 4) !== 0) {
      throw Object.assign(new Error('msync'), { code: getSystemErrorName(-koffi.errno()) });
    }
  });
};

/** A child that must not outlive us. */
const child = (program: string, args: string[]): ReturnType<typeof spawn> => {
  const started = spawn(program, args, { stdio: 'ignore' });
  process.on('exit', () => started.kill('SIGKILL'));
  return started;
};

/** One process has a lock, another waits for it. What the first sees is that both go on. */
const waitForLock = (): void => {
  const lockFile = at('lock');
  const owner = child('sh', ['-c', 'exec 9>>"$0"; flock 9; exec sleep 600', lockFile]);
  setTimeout(() => {
    const waiter = child('sh', ['-c', 'exec 9>>"$0"; exec flock 9', lockFile]);
    setTimeout(() => {
      say({ ready: true });
      process.stdin.once('data', () => {
        const waits = waiter.exitCode === null && waiter.signalCode === null;
        waiter.once('exit', (code) => {
          say({ saw: waits && code === 0 ? 'ok' : `waits: ${waits}, exit ${code}` });
          process.exit(0);
        });
        owner.kill('SIGKILL'); // now the waiter must get the lock
      });
    }, 300);
  }, 200);
};

const execute = (): void => {
  copyFileSync('/bin/sleep', at('program'));
  const running = child(at('program'), ['600']);
  setTimeout(() => {
    thenUse(undefined, () => {
      if (running.exitCode !== null || running.signalCode !== null)
        throw Object.assign(new Error('ended'), { code: String(running.signalCode ?? running.exitCode) });
    });
  }, 150);
};

/** Only its root directory is on the mount. */
const changeRoot = (): void => {
  const chroot = koffi.load('libc.so.6').func('int chroot(const char *path)');
  if (chroot(directory) !== 0) throw new Error('chroot failed');
  thenUse(undefined, () => void readdirSync('/'));
};

/** A server listens on a socket bound there. */
const bindSocket = (): void => {
  const server = createServer();
  server.listen(at('socket'), () => thenUse(undefined, () => void server.close()));
};

const openReader = (): void => {
  const fd = openSync(at('seed'), 'r');
  readSync(fd, Buffer.alloc(16), 0, 16, 0);
  // Far beyond what was read: the kernel's cache doesn't have it.
  thenUse(fd, () => void readSync(fd, Buffer.alloc(16), 0, 16, fstatSync(fd).size - 16));
};

const KINDS: Record<string, () => void> = {
  'open-reader': openReader,
  'first-close': openReader,
  root: changeRoot,
  socket: bindSocket,
  'open-writer': () => {
    const fd = openSync(at('log'), 'r+');
    logSynced(fd, 1);
    thenUse(fd, () => {
      append(fd, 2);
      fsyncSync(fd);
    });
  },
  'dirty-pages': () => {
    const fd = openSync(at('big'), 'w');
    const piece = Buffer.alloc(1 << 20, 'dirty');
    for (let done = 0; done < bytes; done += piece.length) writeSync(fd, piece);
    thenUse(fd, () => fsyncSync(fd));
  },
  'dirty-mmap': mapDirty,
  cwd: () => {
    process.chdir(directory);
    thenUse(undefined, () => void readdirSync('.'));
  },
  executable: execute,
  unlinked: () => {
    const fd = openSync(at('gone'), 'w+');
    writeSync(fd, 'x');
    unlinkSync(at('gone'));
    thenUse(fd, () => {
      writeSync(fd, 'y');
      fsyncSync(fd);
    });
  },
  'lock-waiter': waitForLock,
  'tight-loop': () => writeForEver(openSync(at('log'), 'r+'), 64),
  'fsync-in-flight': () => writeForEver(openSync(at('log'), constants.O_RDWR), 1),
};

// Once a file has been closed on a mount, the kernel asks the daemon at no further close(2): until then one on a mount that has
// ended meets ENOTCONN (fuse_flush, fs/fuse/file.c).
if (kind !== 'first-close') closeSync(openSync(at('log'), 'r'));

process.stdin.on('end', () => process.exit(0));
KINDS[kind]();
