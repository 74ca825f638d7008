/** What the kernel's own protocol carries: everything. Features of single kernels are negotiated (negotiate.ts). */
import type { TransportCapabilities } from '../../vfs/capabilities.js';

export const kernelCapabilities = (): TransportCapabilities => ({
  newFileOwner: 'caller',
  timeStepNs: 1,
  timesBeforeEpoch: true,
  singleTimes: true,
  birthTimes: true,
  inoMax: Number.MAX_SAFE_INTEGER,
  byteNames: true,
  xattrs: true,
  acls: true,
  linkedNames: true,
  unlinkedParents: true,
  holes: true,
  fallocate: true,
  copyRange: true,
  tmpfile: true,
  renameFlags: true,
  ioctls: true,
  locks: true,
  writebackCache: true,
  protocols: true,
  interrupts: true,
  invalidation: true,
  prune: true,
  stableCookies: true,
});
