/**
 * What comes through fuse-native 2.2.6 over libfuse 2.9: see native-notes/fuse-native.md for the reason of each.
 */
import type { TransportCapabilities } from '../../vfs/capabilities.js';

/** Inode numbers are passed in 32 bits. */
export const INO_MAX = 0xffff_ffff;

export interface NativeSituation {
  /** Others than the mounter may come: then nobody knows who asks. */
  allowOther: boolean;
}

export const nativeCapabilities = ({ allowOther }: NativeSituation): TransportCapabilities => ({
  newFileOwner: allowOther ? 'directory' : 'mounter',
  timeStepNs: 1_000_000,
  timesBeforeEpoch: false,
  singleTimes: false,
  birthTimes: false,
  inoMax: INO_MAX,
  byteNames: false,
  xattrs: true,
  acls: false,
  linkedNames: false,
  unlinkedParents: false,
  holes: false,
  fallocate: false,
  copyRange: false,
  tmpfile: false,
  renameFlags: false,
  ioctls: false,
  locks: true,
  writebackCache: false,
  protocols: false,
  interrupts: false,
  cutsOff: false, // the descriptor is libfuse's own threads'
  invalidation: false,
  prune: false,
  stableCookies: false,
});
