/** open(2) and setxattr(2) flags of Darwin (sys/fcntl.h, sys/xattr.h) in the numbers of the core, which are Linux's. */

const OPEN_FLAGS: readonly (readonly [darwin: number, linux: number])[] = [
  [0x0004, 0o4000], // O_NONBLOCK
  [0x0008, 0o2000], // O_APPEND
  [0x0080, 0o4010000], // O_SYNC
  [0x0200, 0o100], // O_CREAT
  [0x0400, 0o1000], // O_TRUNC
  [0x0800, 0o200], // O_EXCL
  [0x400000, 0o10000], // O_DSYNC
];
const O_ACCMODE = 3;

/** Flags without a meaning for the core are left out. */
export const linuxOpenFlags = (darwin: number): number => {
  let linux = darwin & O_ACCMODE;
  for (const [theirs, ours] of OPEN_FLAGS) if ((darwin & theirs) !== 0) linux |= ours;
  return linux;
};

const XATTR_CREATE = 2;
const XATTR_REPLACE = 4;

/** XATTR_CREATE is 2 and XATTR_REPLACE 4 on Darwin; 1 there is XATTR_NOFOLLOW, which the kernel has dealt with. */
export const linuxXattrFlags = (darwin: number): number =>
  (darwin & XATTR_CREATE ? 1 : 0) | (darwin & XATTR_REPLACE ? 2 : 0);

/** Darwin's dev_t has 8 bits of major and 24 of minor; stored is the kernel's new_encode_dev form (12 and 20 bits). */
export const linuxRdev = (darwin: number): number => {
  const [major, minor] = [darwin >>> 24, darwin & 0xffffff];
  return ((minor & 0xff) | (major << 8) | ((minor & 0xfff00) << 12)) >>> 0;
};
export const darwinRdev = (linux: number): number => {
  const [major, minor] = [(linux >>> 8) & 0xfff, (linux & 0xff) | ((linux >>> 12) & 0xfff00)];
  return ((major << 24) | minor) >>> 0;
};
