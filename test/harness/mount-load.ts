/** Load on a directory of a mount, by a process of its own: see test/support/mount-load.ts. */
import { fileURLToPath } from 'node:url';
import { type Running, type RunOptions, start } from './commands.js';

const LOAD = fileURLToPath(new URL('../support/mount-load.js', import.meta.url));

/** It ends once the file `stop` is there; `stop`.`seed` says that it is at work. */
export const startLoad = (directory: string, stop: string, seed: number, options?: RunOptions): Running =>
  start(process.execPath, [LOAD, directory, stop, String(seed)], options);
