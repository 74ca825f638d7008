/**
 * The `-o` list that the binding hands to libfuse 2.9 (lib/fuse.c and lib/mount.c there name the options). The binding
 * has fields for some of them only, so all go through this one string.
 */
import { linuxPlatform, type Platform } from './platform.js';
import { MountError } from '../kernel/mount-error.js';

export interface NativeMountOptions {
  mountpoint: string;
  /** The source column of /proc/mounts: the store's path. */
  fsname: string;
  allowOther: boolean;
  readOnly: boolean;
  nosuid: boolean;
  nodev: boolean;
  noexec: boolean;
  noatime: boolean;
  attrTtlMs: number;
  entryTtlMs: number;
  /** Root may ask for set-user-id programs and devices; fusermount gives them to nobody else. */
  asRoot: boolean;
  platform: Platform;
}

/**
 * Each name of a file is an inode of its own to the kernel (libfuse counts nodes by path), so what one name changes
 * shows through the others only when these attributes expire.
 */
export const ATTR_TTL_MAX_MS = 1_000;
/** fuse_thread_t has `char mnt[1024]` and `char mntopts[1024]`: what doesn't fit would be cut off silently. */
export const FIELD_BYTES = 1024;

/** libfuse splits at commas that no backslash precedes (lib/fuse_opt.c). */
const escapeOption = (text: string): string => text.replace(/[\\,]/g, '\\$&');

const seconds = (ms: number): string => String(ms / 1000);

/** Throws MountError where something is too long for the binding. */
export const optionString = (options: NativeMountOptions): string => {
  const list = [
    'default_permissions',
    'use_ino',
    `fsname=${escapeOption(options.platform.source(options.fsname))}`,
    `attr_timeout=${seconds(Math.min(options.attrTtlMs, ATTR_TTL_MAX_MS))}`,
    `entry_timeout=${seconds(options.entryTtlMs)}`,
    `negative_timeout=${seconds(options.entryTtlMs)}`,
  ];
  list.push(...options.platform.options(options.mountpoint));
  if (options.allowOther) list.push('allow_other');
  if (options.readOnly) list.push('ro');
  if (options.noexec) list.push('noexec');
  if (options.noatime) list.push('noatime');
  if (options.asRoot && options.platform === linuxPlatform) {
    // Whether the directory must be empty has been judged before; fusermount3 doesn't know the word.
    list.push('nonempty');
    // libfuse sets nosuid and nodev unless told otherwise. Where callers are unknown a new file may get an owner who did not
    // make it: no set-user-id program may come of that.
    if (!options.nosuid && !options.allowOther) list.push('suid');
    if (!options.nodev && !options.allowOther) list.push('dev');
  }
  const text = `-o${list.join(',')}`;
  requireRoom('the mount options', text);
  requireRoom('the mount point', options.mountpoint);
  return text;
};

const requireRoom = (what: string, text: string): void => {
  if (Buffer.byteLength(text) >= FIELD_BYTES)
    throw new MountError(
      'unsupported',
      `With fuse-native ${what} must be shorter than ${FIELD_BYTES} bytes: use a shorter path, or --transport kernel.`,
    );
};
