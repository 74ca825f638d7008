/**
 * Filesystems by others, as rivals. They run in the foreground as our children, so that the end of an unmount can be
 * waited for: a server still flushing would spoil the next trial.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { unmount, waitForMount } from './mounts.js';
import type { Processes, Server } from './processes.js';
import type { MountedTarget, MountVariant, Target } from './target.js';

/**
 * The options a fair user would set. Debian's bindfs is built on libfuse 2, which sends writes 4 KiB at a time unless
 * asked for `big_writes`. Nobody touches the directory behind its back, so the kernel may keep data (`kernel_cache`)
 * and attributes as long as it likes: vnodefs rests on the same promise. `--multithreaded` is left out, since the
 * manual warns of a security hole, and `--xattr-none`, since it takes a function away.
 */
export const BINDFS_OPTIONS =
  'big_writes,kernel_cache,entry_timeout=86400,attr_timeout=86400,negative_timeout=86400';

/** libfuse 2 as well. */
const FUSE2FS_OPTIONS = 'rw,big_writes,kernel_cache';

class ServedMount implements MountedTarget {
  readonly root: string;
  readonly #processes: Processes;
  readonly #command: string[];
  #server: Server | undefined;

  /** `command` serves `root` in the foreground. */
  constructor(processes: Processes, command: string[], root: string) {
    this.#processes = processes;
    this.#command = command;
    this.root = root;
  }

  async mount(): Promise<void> {
    const [program, ...args] = this.#command;
    this.#server = this.#processes.serve(program, args);
    await waitForMount(this.root, this.#server);
  }

  async remount(): Promise<void> {
    await this.close();
    await this.mount();
  }

  /** Passes every call on, so that syncing the disk below (which the runner does) is all there is to do. */
  sync(): Promise<void> {
    return Promise.resolve();
  }

  requests(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async close(): Promise<void> {
    await unmount(this.#processes, this.root);
    await this.#server?.finish();
    this.#server = undefined;
  }
}

const openServed = async (mount: ServedMount): Promise<MountedTarget> => {
  try {
    await mount.mount();
    return mount;
  } catch (error) {
    await mount.close();
    throw error;
  }
};

/** Debian's bindfs: a passthrough in C (libfuse, high level, one thread). */
export class BindfsTarget implements Target {
  readonly name = 'bindfs';
  readonly about: string;
  readonly #options: string;
  readonly #processes: Processes;
  readonly #present: boolean;

  constructor(processes: Processes, options: string, present: boolean) {
    this.#processes = processes;
    this.#options = options;
    this.#present = present;
    this.about = `bindfs -o ${options}`;
  }

  unavailable(): string | undefined {
    return this.#present ? undefined : 'bindfs is not installed (apt-get install bindfs)';
  }

  open(place: string, variant: MountVariant): Promise<MountedTarget> {
    const source = join(place, 'source');
    const root = join(place, 'mnt');
    mkdirSync(source);
    mkdirSync(root);
    const lifetimes = variant.noLifetimes === true ? ',attr_timeout=0,entry_timeout=0' : '';
    const command = ['bindfs', '-f', '-o', this.#options + lifetimes, source, root];
    return openServed(new ServedMount(this.#processes, command, root));
  }
}

/** e2fsprogs' fuse2fs on an ext4 image: a real filesystem in a file, in C, like ours. */
export class Fuse2fsTarget implements Target {
  readonly name = 'fuse2fs';
  readonly about: string;
  readonly #imageBytes: number;
  readonly #processes: Processes;
  readonly #present: boolean;

  constructor(processes: Processes, imageBytes: number, present: boolean) {
    this.#processes = processes;
    this.#imageBytes = imageBytes;
    this.#present = present;
    this.about = `fuse2fs -o ${FUSE2FS_OPTIONS} on a new ext4 image of ${imageBytes / 2 ** 20} MiB`;
  }

  unavailable(): string | undefined {
    return this.#present ? undefined : 'fuse2fs is not installed (apt-get install fuse2fs)';
  }

  async open(place: string, variant: MountVariant): Promise<MountedTarget> {
    const image = join(place, 'image');
    const root = join(place, 'mnt');
    mkdirSync(root);
    await this.#processes.run('mkfs.ext4', ['-q', '-F', image, `${Math.ceil(this.#imageBytes / 1024)}k`]);
    const lifetimes = variant.noLifetimes === true ? ',attr_timeout=0,entry_timeout=0' : '';
    const command = ['fuse2fs', '-f', '-o', `${FUSE2FS_OPTIONS}${lifetimes}`, image, root];
    return openServed(new ServedMount(this.#processes, command, root));
  }
}
