/** Whether the optional package fuse-native is there. It isn't where it could not be installed, and tests of it say so. */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

/** Its folder. */
export const nativePackage = ((): string | undefined => {
  try {
    return dirname(createRequire(import.meta.url).resolve('fuse-native/package.json'));
  } catch {
    return undefined;
  }
})();

/** For a test's `skip`. */
export const withoutNative = nativePackage === undefined ? 'fuse-native is not installed' : false;

export const NATIVE: readonly string[] = ['--transport', 'fuse-native'];
