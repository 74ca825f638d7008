/**
 * The npm package fuse-native, an optional dependency: only what we use of it, and why it can't be used where that is
 * so.
 *
 * Written against version 2.2.6 (2020, the last one): besides its documented interface the session relies on the names
 * of its handlers (`_op_…`), of `_fuseOptions` and of `_handlers`. So any other version is refused.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadLibrary } from '../../base/syscalls.js';
import { MountError } from '../kernel/mount-error.js';

/** What the C side calls for each request: `locals` is its fuse_thread_locals_t. */
export type NativeHandler = (locals: Uint8Array, op: number, ...args: unknown[]) => void;
/** Answers the request; after the current tick. */
export type NativeSignal = (result: number, ...extra: unknown[]) => void;

export interface FuseInstance {
  mount(done: (error: Error | null) => void): void;
  _fuseOptions: () => string;
  _handlers: (NativeHandler | undefined)[];
  [operation: `_op_${string}`]: (signal: NativeSignal, ...args: unknown[]) => void;
}

export type FuseClass = new (
  mountpoint: string,
  operations: Record<string, unknown>,
  options: { timeout: false },
) => FuseInstance;

export const VERSION = '2.2.6';

const unusable = (reason: string, cause?: unknown): MountError =>
  new MountError(
    'unsupported',
    `The transport fuse-native can't be used: ${reason}. Use --transport kernel, or install it as the README says.`,
    { cause },
  );

/** The first line, without the path of the file that could not be loaded. */
const shortReason = (error: unknown): string => {
  const { code, message } = error as { code?: string; message?: string };
  if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND')
    return 'the package fuse-native is not installed';
  const line = (message ?? String(error)).split('\n')[0];
  const missing = /^(\S+\.(?:so[.\d]*|dylib)): cannot open shared object file/.exec(line);
  if (missing !== null) return `its library ${missing[1]} is missing (package libfuse2)`;
  if (/No native build was found/.test(line))
    return `it has no build for ${process.platform} on ${process.arch}`;
  return line.replace(/\.$/, '');
};

/**
 * The package brings a libfuse 2.9 of its own, which the dynamic linker wouldn't find: loaded first, it is what the
 * binding gets when it asks for libfuse.so.2. So no libfuse2 need be installed.
 */
const preloadLibfuse = (packageDir: string): void => {
  const library = join(packageDir, 'prebuilds', `${process.platform}-${process.arch}`, 'libfuse.so');
  if (existsSync(library)) loadLibrary(library);
};

/** Throws MountError `unsupported` with one sentence. `from`: where to look for the package; tests point elsewhere. */
export const loadBinding = (from: string = import.meta.url): FuseClass => {
  const require = createRequire(from);
  try {
    const packageFile = require.resolve('fuse-native/package.json');
    const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string };
    if (version !== VERSION) throw new Error(`its version ${version} is not ${VERSION}`);
    preloadLibfuse(dirname(packageFile));
    return require('fuse-native') as FuseClass;
  } catch (error) {
    throw unusable(shortReason(error), error);
  }
};
