/** The INVARIANTs of src/vfs/data.ts and src/syncer/txgs.ts, restated for the invariant checker: see invariants.ts. */
import { FsError } from '../base/errno.js';
import { PAGE_BYTES } from '../store/types.js';
import type { MountAudit } from '../vnode/mount.js';
import type { Vnode } from '../vnode/vnode.js';
import type { FsState } from './state.js';
import { chargedPages } from './stored-data.js';

/** Files whose allocation is added up, which asks the store. */
const FILES_MAX = 1000;

export const auditFiles = (fs: FsState, asksStore: boolean): MountAudit => {
  const audit = fs.txgs.audit();
  const wrong = [...audit.wrong];
  let files = 0;
  for (const vp of fs.mp.table.values()) {
    if (!vp.isReg || vp.removed) continue;
    checkZeros(fs, vp, wrong);
    if (!asksStore || ++files > FILES_MAX) continue;
    const pages = storedPages(fs, vp);
    if (pages !== undefined && pages !== vp.allocPages)
      wrong.push(`file ${vp.ino}: allocPages ${vp.allocPages}, its chunks ${pages}`);
  }
  const orphanedFrames = [...audit.orphanedFrames, ...fs.readAhead.frames()];
  return { ...audit, orphanedFrames, wrong };
};

/** Undefined where the store is damaged, which is for fsck to say. */
const storedPages = (fs: FsState, vp: Vnode): number | undefined => {
  try {
    return chargedPages(fs, vp, 0, Infinity, false);
  } catch (error) {
    if (error instanceof FsError) return undefined;
    throw error;
  }
};

/** Valid pages hold zeros at and past the file's size. */
const checkZeros = (fs: FsState, vp: Vnode, wrong: string[]): void => {
  for (const buf of vp.bufs?.values() ?? []) {
    const size = vp.size - buf.index * fs.chunkBytes;
    for (let page = Math.max(0, Math.floor(size / PAGE_BYTES)); page < buf.frames.length; page++) {
      if (((buf.valid >>> page) & 1) === 0) continue;
      const at = buf.frames[page] * PAGE_BYTES;
      const from = Math.max(0, size - page * PAGE_BYTES);
      if (fs.bufs.pool.bytes.subarray(at + from, at + PAGE_BYTES).some((byte) => byte !== 0))
        wrong.push(`file ${vp.ino}: bytes past its size in page ${page} of chunk ${buf.index}`);
    }
  }
};
