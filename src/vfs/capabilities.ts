/**
 * What a transport can carry between the kernel and the core. Each transport declares its own; the vfs, the status and
 * the tests ask these, never a transport's name.
 */
export interface TransportCapabilities {
  /**
   * Who owns a new file: the `caller`, who is known; the `mounter`, since nobody else may come; or, callers being
   * unknown and various, the owner of the `directory` in which it is made.
   */
  readonly newFileOwner: 'caller' | 'mounter' | 'directory';
  /** The smallest step in which times are told and shown, in nanoseconds. */
  readonly timeStepNs: number;
  /** Times before 1970 show as they are. */
  readonly timesBeforeEpoch: boolean;
  /** One of atime and mtime can be set alone (utimensat's UTIME_OMIT). */
  readonly singleTimes: boolean;
  readonly birthTimes: boolean;
  /** The largest inode number that can be shown. */
  readonly inoMax: number;
  /** Names, paths and symlink targets that aren't UTF-8. */
  readonly byteNames: boolean;
  readonly xattrs: boolean;
  /** POSIX ACLs, checked by the kernel; their default entries come before the caller's umask. */
  readonly acls: boolean;
  /** All names of a file are one inode to the kernel: one page cache and one set of attributes. */
  readonly linkedNames: boolean;
  /** An open file stays usable when its directory is gone too. */
  readonly unlinkedParents: boolean;
  /** SEEK_DATA and SEEK_HOLE find holes. */
  readonly holes: boolean;
  readonly fallocate: boolean;
  /** copy_file_range(2) and reflinks reach the core. */
  readonly copyRange: boolean;
  readonly tmpfile: boolean;
  /** RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT. */
  readonly renameFlags: boolean;
  /** ioctl(2): the flags of chattr(1). */
  readonly ioctls: boolean;
  /** record and flock locks (the kernel's own, for one host). */
  readonly locks: boolean;
  readonly writebackCache: boolean;
  /** An older version of the kernel's protocol can be asked for. */
  readonly protocols: boolean;
  /** A request that waits can be interrupted by a signal. */
  readonly interrupts: boolean;
  /** The kernel can be told to drop pages, attributes or names. */
  readonly invalidation: boolean;
  /** The kernel can be asked to forget inodes (FUSE_NOTIFY_PRUNE), and says which it forgets. */
  readonly prune: boolean;
  /**
   * The kernel's connection of one mount can be cut while the daemon goes on with others: whoever used that mount gets
   * ENOTCONN, otherwise EIO.
   */
  readonly cutsOff: boolean;
  /** Cookies of readdir are the core's own, stable for as long as the directory lives. */
  readonly stableCookies: boolean;
}
