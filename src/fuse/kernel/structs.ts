/**
 * Every structure of the /dev/fuse protocol that we send or receive, version 7.45 (include/uapi/linux/fuse.h, whose
 * names are kept without their `fuse_` prefix). The tests check each size against the published ones.
 */
import { layout } from './layout.js';

const attrFields = {
  ino: 'u64',
  size: 'u64',
  blocks: 'u64',
  atime: 'i64',
  mtime: 'i64',
  ctime: 'i64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  rdev: 'u32',
  blksize: 'u32',
  flags: 'u32',
} as const;

export const inHeader = layout({
  len: 'u32',
  opcode: 'u32',
  unique: 'u64',
  nodeid: 'u64',
  uid: 'u32',
  gid: 'u32',
  pid: 'u32',
  totalExtlen: 'u16',
  padding: 'u16',
});
export const outHeader = layout({ len: 'u32', error: 'i32', unique: 'u64' });

export const attr = layout(attrFields);
export const entryOut = layout({
  nodeid: 'u64',
  generation: 'u64',
  entryValid: 'u64',
  attrValid: 'u64',
  entryValidNsec: 'u32',
  attrValidNsec: 'u32',
  ...attrFields,
});
export const attrOut = layout({ attrValid: 'u64', attrValidNsec: 'u32', dummy: 'u32', ...attrFields });

export const statxIn = layout({
  getattrFlags: 'u32',
  reserved: 'u32',
  fh: 'u64',
  sxFlags: 'u32',
  sxMask: 'u32',
});
/** statx_out with its statx; the 14 spare words at the end are part of it. */
export const statxOut = layout({
  attrValid: 'u64',
  attrValidNsec: 'u32',
  flags: 'u32',
  spare0: 'u64',
  spare1: 'u64',
  mask: 'u32',
  blksize: 'u32',
  attributes: 'u64',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  mode: 'u16',
  spare2: 'u16',
  ino: 'u64',
  size: 'u64',
  blocks: 'u64',
  attributesMask: 'u64',
  atime: 'i64',
  atimensec: 'u32',
  reserved0: 'i32',
  btime: 'i64',
  btimensec: 'u32',
  reserved1: 'i32',
  ctime: 'i64',
  ctimensec: 'u32',
  reserved2: 'i32',
  mtime: 'i64',
  mtimensec: 'u32',
  reserved3: 'i32',
  rdevMajor: 'u32',
  rdevMinor: 'u32',
  devMajor: 'u32',
  devMinor: 'u32',
  spare3: 'u64',
  spare4: 'u64',
  spare5: 'u64',
  spare6: 'u64',
  spare7: 'u64',
  spare8: 'u64',
  spare9: 'u64',
  spare10: 'u64',
  spare11: 'u64',
  spare12: 'u64',
  spare13: 'u64',
  spare14: 'u64',
  spare15: 'u64',
  spare16: 'u64',
});

export const forgetIn = layout({ nlookup: 'u64' });
export const forgetOne = layout({ nodeid: 'u64', nlookup: 'u64' });
export const batchForgetIn = layout({ count: 'u32', dummy: 'u32' });
export const getattrIn = layout({ getattrFlags: 'u32', dummy: 'u32', fh: 'u64' });
export const setattrIn = layout({
  valid: 'u32',
  padding: 'u32',
  fh: 'u64',
  size: 'u64',
  lockOwner: 'u64',
  atime: 'i64',
  mtime: 'i64',
  ctime: 'i64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  unused4: 'u32',
  uid: 'u32',
  gid: 'u32',
  unused5: 'u32',
});
export const mknodIn = layout({ mode: 'u32', rdev: 'u32', umask: 'u32', padding: 'u32' });
export const mkdirIn = layout({ mode: 'u32', umask: 'u32' });
export const renameIn = layout({ newdir: 'u64' });
export const rename2In = layout({ newdir: 'u64', flags: 'u32', padding: 'u32' });
export const linkIn = layout({ oldnodeid: 'u64' });
export const openIn = layout({ flags: 'u32', openFlags: 'u32' });
export const createIn = layout({ flags: 'u32', mode: 'u32', umask: 'u32', openFlags: 'u32' });
export const openOut = layout({ fh: 'u64', openFlags: 'u32', backingId: 'i32' });
export const releaseIn = layout({ fh: 'u64', flags: 'u32', releaseFlags: 'u32', lockOwner: 'u64' });
export const flushIn = layout({ fh: 'u64', unused: 'u32', padding: 'u32', lockOwner: 'u64' });
export const readIn = layout({
  fh: 'u64',
  offset: 'u64',
  size: 'u32',
  readFlags: 'u32',
  lockOwner: 'u64',
  flags: 'u32',
  padding: 'u32',
});
export const writeIn = layout({
  fh: 'u64',
  offset: 'u64',
  size: 'u32',
  writeFlags: 'u32',
  lockOwner: 'u64',
  flags: 'u32',
  padding: 'u32',
});
export const writeOut = layout({ size: 'u32', padding: 'u32' });
/** kstatfs; the six spare words at the end are part of it. */
export const statfsOut = layout({
  blocks: 'u64',
  bfree: 'u64',
  bavail: 'u64',
  files: 'u64',
  ffree: 'u64',
  bsize: 'u32',
  namelen: 'u32',
  frsize: 'u32',
  padding: 'u32',
  spare0: 'u32',
  spare1: 'u32',
  spare2: 'u32',
  spare3: 'u32',
  spare4: 'u32',
  spare5: 'u32',
});
export const fsyncIn = layout({ fh: 'u64', fsyncFlags: 'u32', padding: 'u32' });
/** Before SETXATTR_EXT only its first two fields. */
export const setxattrIn = layout({ size: 'u32', flags: 'u32', setxattrFlags: 'u32', padding: 'u32' });
export const SETXATTR_IN_COMPAT_BYTES = 8;
export const getxattrIn = layout({ size: 'u32', padding: 'u32' });
export const getxattrOut = layout({ size: 'u32', padding: 'u32' });
/** lk_in with its file_lock. */
export const lkIn = layout({
  fh: 'u64',
  owner: 'u64',
  start: 'u64',
  end: 'u64',
  type: 'u32',
  pid: 'u32',
  lkFlags: 'u32',
  padding: 'u32',
});
export const lkOut = layout({ start: 'u64', end: 'u64', type: 'u32', pid: 'u32' });
export const accessIn = layout({ mask: 'u32', padding: 'u32' });

/** What every kernel since 7.6 sends; 7.36 added flags2 and reserved words. */
export const initIn = layout({ major: 'u32', minor: 'u32', maxReadahead: 'u32', flags: 'u32' });
export const initInExt = layout({
  major: 'u32',
  minor: 'u32',
  maxReadahead: 'u32',
  flags: 'u32',
  flags2: 'u32',
});
/** With the eleven unused words of the end. */
export const initOut = layout({
  major: 'u32',
  minor: 'u32',
  maxReadahead: 'u32',
  flags: 'u32',
  maxBackground: 'u16',
  congestionThreshold: 'u16',
  maxWrite: 'u32',
  timeGran: 'u32',
  maxPages: 'u16',
  mapAlignment: 'u16',
  flags2: 'u32',
  maxStackDepth: 'u32',
  requestTimeout: 'u16',
  unused0: 'u16',
  unused1: 'u32',
  unused2: 'u32',
  unused3: 'u32',
  unused4: 'u32',
  unused5: 'u32',
});

export const interruptIn = layout({ unique: 'u64' });
export const bmapIn = layout({ block: 'u64', blocksize: 'u32', padding: 'u32' });
export const bmapOut = layout({ block: 'u64' });
export const ioctlIn = layout({
  fh: 'u64',
  flags: 'u32',
  cmd: 'u32',
  arg: 'u64',
  inSize: 'u32',
  outSize: 'u32',
});
export const ioctlOut = layout({ result: 'i32', flags: 'u32', inIovs: 'u32', outIovs: 'u32' });
export const pollIn = layout({ fh: 'u64', kh: 'u64', flags: 'u32', events: 'u32' });
export const pollOut = layout({ revents: 'u32', padding: 'u32' });
export const fallocateIn = layout({ fh: 'u64', offset: 'u64', length: 'u64', mode: 'u32', padding: 'u32' });
/** Followed by the name and padding to 8 bytes. */
export const dirent = layout({ ino: 'u64', off: 'u64', namelen: 'u32', type: 'u32' });
export const lseekIn = layout({ fh: 'u64', offset: 'u64', whence: 'u32', padding: 'u32' });
export const lseekOut = layout({ offset: 'u64' });
export const copyFileRangeIn = layout({
  fhIn: 'u64',
  offIn: 'u64',
  nodeidOut: 'u64',
  fhOut: 'u64',
  offOut: 'u64',
  len: 'u64',
  flags: 'u64',
});
/** The answer to COPY_FILE_RANGE_64 (7.45); COPY_FILE_RANGE is answered with write_out. */
export const copyFileRangeOut = layout({ bytesCopied: 'u64' });
export const syncfsIn = layout({ padding: 'u64' });

export const notifyInvalInodeOut = layout({ ino: 'u64', off: 'i64', len: 'i64' });
export const notifyInvalEntryOut = layout({ parent: 'u64', namelen: 'u32', flags: 'u32' });
export const notifyDeleteOut = layout({ parent: 'u64', child: 'u64', namelen: 'u32', padding: 'u32' });
export const notifyStoreOut = layout({ nodeid: 'u64', offset: 'u64', size: 'u32', padding: 'u32' });
export const notifyRetrieveOut = layout({
  notifyUnique: 'u64',
  nodeid: 'u64',
  offset: 'u64',
  size: 'u32',
  padding: 'u32',
});
export const notifyRetrieveIn = layout({
  dummy1: 'u64',
  offset: 'u64',
  size: 'u32',
  dummy2: 'u32',
  dummy3: 'u64',
  dummy4: 'u64',
});
export const notifyPollWakeupOut = layout({ kh: 'u64' });
/** 7.45; followed by `count` nodeids of 64 bits. */
export const notifyPruneOut = layout({ count: 'u32', padding: 'u32', spare: 'u64' });
