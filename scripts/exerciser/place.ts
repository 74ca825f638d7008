/** Where the exerciser works: a mount of its own, or a directory somebody else answers for. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MountedStore } from '../../test/harness/mount.js';

export interface Place {
  readonly dir: string;
  readonly about: string;
  /** Empties every cache there is between the files and us. */
  remount(): void;
  /** Throws if the filesystem itself is found damaged. Nothing may be asked of the place afterwards but dispose. */
  check(): void;
  dispose(): void;
}

class OwnMount implements Place {
  readonly #mounted: MountedStore;
  readonly about: string;

  constructor(args: readonly string[], env: Record<string, string>) {
    this.about = `vnodefs mount ${args.join(' ')}`;
    this.#mounted = new MountedStore({ args, env });
    try {
      this.#mounted.mount();
    } catch (error) {
      this.#mounted.dispose();
      throw error;
    }
  }
  get dir(): string {
    return this.#mounted.mnt;
  }
  remount(): void {
    this.#mounted.remount();
  }
  check(): void {
    this.#mounted.fsck();
  }
  dispose(): void {
    this.#mounted.dispose();
  }
}

class Folder implements Place {
  readonly dir: string;
  readonly about: string;
  constructor(parent: string) {
    this.dir = mkdtempSync(join(realpathSync(parent), 'fsx-'));
    this.about = parent;
  }
  remount(): void {
    // Somebody else's filesystem stays mounted.
  }
  check(): void {
    // Nor is it ours to examine.
  }
  dispose(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export const openPlace = (
  dir: string | undefined,
  mountArgs: readonly string[],
  env: Record<string, string>,
): Place => (dir === undefined ? new OwnMount(mountArgs, env) : new Folder(dir));
