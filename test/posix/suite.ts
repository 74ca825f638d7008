/**
 * The posix suite: families of cases, each run in a fresh directory of whatever target is given. A case states POSIX
 * and Linux behaviour; where the oracle (ext4) disagrees, the reason stands in the case.
 */
import type { Test } from 'tap';
import {
  at,
  errorCode,
  type Flag,
  missing,
  O,
  type Path,
  type PosixClient,
} from '../harness/posix-client.js';
import { families } from './families.js';

export interface CaseContext {
  t: Test;
  fs: PosixClient;
  /** The fresh directory. */
  dir: string;
  /** A path in it. */
  p(name: string): string;
  p(name: Buffer): Path;
}

export interface PosixCase {
  name: string;
  /** Skipped, saying so, on a target without this. */
  needs?: Flag | readonly Flag[];
  /** Skipped on these targets, for the reason given. */
  not?: Partial<Record<PosixClient['target'], string>>;
  run(c: CaseContext): void;
}
export interface Family {
  name: string;
  /** Of all its cases. */
  needs?: Flag;
  cases: PosixCase[];
}

/** Expects an errno. */
export const fails = (c: CaseContext, code: string, work: () => unknown, message?: string): void => {
  let got = 'no error';
  try {
    work();
  } catch (error) {
    got = errorCode(error);
  }
  c.t.equal(got, code, message ?? `${code} from ${String(work).slice(6, 90)}`);
};

export const exists = (c: CaseContext, path: Path): boolean => {
  try {
    c.fs.lstat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
};

/** Opens, works, closes. */
export const withFd = <T>(c: CaseContext, path: Path, flags: number, work: (fd: number) => T): T => {
  const fd = c.fs.open(path, flags, 0o644);
  try {
    return work(fd);
  } finally {
    c.fs.close(fd);
  }
};

/** Makes or replaces the whole file. */
export const put = (c: CaseContext, path: Path, data: string | Uint8Array = ''): void => {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  withFd(c, path, O.WRONLY | O.CREAT | O.TRUNC, (fd) => {
    for (let done = 0; done < bytes.length;) done += c.fs.write(fd, bytes.subarray(done));
  });
};

export const readAll = (c: CaseContext, path: Path): Buffer =>
  withFd(c, path, O.RDONLY, (fd) => {
    const parts: Buffer[] = [];
    for (;;) {
      const part = c.fs.read(fd, 1 << 20);
      if (part.length === 0) return Buffer.concat(parts);
      parts.push(part);
    }
  });

export const text = (c: CaseContext, path: Path): string => readAll(c, path).toString('latin1');

/** Bytes that differ at every place and never are 0. */
export const pattern = (length: number, seed = 1): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = 1 + ((i * 7 + (i >> 8) * 13 + (i >> 16) * 3 + seed * 31) % 255);
  return bytes;
};

export const same = (c: CaseContext, got: Buffer, wanted: Buffer, message: string): void => {
  if (got.equals(wanted)) {
    c.t.pass(message);
    return;
  }
  let i = 0;
  while (i < got.length && i < wanted.length && got[i] === wanted[i]) i++;
  c.t.fail(
    `${message}: lengths ${got.length}/${wanted.length}, first difference at ${i}: ${got[i]}/${wanted[i]}`,
  );
};

export const names = (c: CaseContext, path: Path): string[] =>
  c.fs
    .readdir(path)
    .map((name) => name.toString('latin1'))
    .sort();

/** Time passes: file times come from a coarse clock (4 ms at HZ=250, 10 ms at HZ=100). */
export const tick = (): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 12);
};

const removeTree = (fs: PosixClient, path: Path): void => {
  for (const name of fs.readdir(path)) {
    const child = at(path, name);
    if ((fs.lstat(child).mode & 0o170000) === 0o040000) removeTree(fs, child);
    else fs.unlink(child);
  }
  fs.rmdir(path);
};

const skipReason = (family: Family, one: PosixCase, fs: PosixClient): string | false => {
  const reason = one.not?.[fs.target];
  if (reason !== undefined) return reason;
  const lacking = missing(fs.capabilities, [family.needs ?? [], one.needs ?? []].flat());
  return lacking.length > 0 ? `${fs.target} lacks ${lacking.join(', ')}` : false;
};

/** Runs every family against the target. Environment: VNODEFS_CASE=text runs only cases whose name contains it. */
export const runPosixSuite = async (t: Test, fs: PosixClient): Promise<void> => {
  const only = process.env['VNODEFS_CASE'] ?? '';
  fs.umask(0o022);
  for (const family of families) {
    const cases = family.cases.filter((one) => `${family.name}: ${one.name}`.includes(only));
    if (cases.length === 0) continue;
    await t.test(family.name, async (ft) => {
      for (const [i, one] of cases.entries()) {
        const dir = `${fs.root}/${family.name.replaceAll(/\W+/g, '-')}-${i}`;
        await ft.test(one.name, { skip: skipReason(family, one, fs) }, (ct) => {
          fs.mkdir(dir);
          const p = ((name: string | Buffer) => at(dir, name)) as CaseContext['p'];
          one.run({ t: ct, fs, dir, p });
          fs.umask(0o022);
          removeTree(fs, dir);
          ct.end();
        });
      }
    });
  }
};
