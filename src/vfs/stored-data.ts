/** What the store holds of a chunk, seen through the cuts and drops that are still on their way to it. */
import { PAGE_BYTES } from '../store/types.js';
import { isDropped, storedGaps, storedLimit } from '../vnode/stored-range.js';
import type { Buf } from '../vnode/buf.js';
import type { Vnode } from '../vnode/vnode.js';
import type { FsState } from './state.js';

const NOTHING = new Uint8Array(0);

/** Extent in pages of stored chunk `index`; 0 is a hole. A resident buf knows better. */
const storedExtent = (fs: FsState, vp: Vnode, index: number): number => {
  if (!vp.inStore || vp.allocPages === 0 || isDropped(vp, index)) return 0;
  const room = storedLimit(vp) - index * fs.chunkBytes;
  if (room <= 0) return 0;
  return Math.min(fs.reader.chunkPages(vp.ino, index), Math.ceil(room / PAGE_BYTES));
};

const cutTo = (data: Uint8Array | undefined, bytes: number): Uint8Array =>
  data === undefined ? NOTHING : data.length > bytes ? data.subarray(0, Math.max(0, bytes)) : data;

/**
 * The stored bytes of the chunk of `buf`; shorter than the chunk when the rest is zeros. Requires buf.extent > 0 for
 * some absent page.
 */
export const readStored = (fs: FsState, buf: Buf): Uint8Array => {
  const { vp, index } = buf;
  if (buf.source !== 0) {
    return cutTo(fs.reader.readCloned(vp.ino, index, buf.source, buf.sourceTxg), buf.sourceLimit);
  }
  if (isDropped(vp, index)) return NOTHING;
  return cutTo(fs.reader.readChunk(vp.ino, index), storedLimit(vp) - index * fs.chunkBytes);
};

/** Makes all pages of `buf` valid from what was read ahead. False: nothing was, or it isn't what the buf should show. */
export const fillAhead = (fs: FsState, buf: Buf): boolean => {
  const { vp, index } = buf;
  const plain = buf.source === 0 && storedLimit(vp) === Infinity && !isDropped(vp, index);
  return plain && fs.readAhead.fill(vp.ino, buf);
};

/** Extent in pages of chunk `index`, without making a buf of it. */
export const extentOf = (fs: FsState, vp: Vnode, index: number): number =>
  vp.bufs?.get(index)?.extent ?? storedExtent(fs, vp, index);

/** The buf of chunk `index`, made if it is not resident. */
export const bufOf = (fs: FsState, vp: Vnode, index: number): Buf =>
  fs.bufs.lookup(vp, index) ?? fs.bufs.create(vp, index, storedExtent(fs, vp, index));

/** Gives the absent page `page` of `buf` a (reserved) frame filled from `data`, zeros past its end. */
export const fillPage = (fs: FsState, buf: Buf, page: number, data: Uint8Array | undefined): void => {
  const frame = fs.bufs.addPage(buf, page);
  const at = page * PAGE_BYTES;
  const available = data === undefined ? 0 : Math.min(PAGE_BYTES, data.length - at);
  if (data !== undefined && available > 0) {
    fs.bufs.pool.bytes.set(data.subarray(at, at + available), frame * PAGE_BYTES);
  }
  if (available < PAGE_BYTES) fs.bufs.pool.zero(frame, Math.max(0, available));
};

/** Pages charged to chunks with from <= index < to, resident or stored. Drops the resident ones if `destroy`. */
export const chargedPages = (fs: FsState, vp: Vnode, from: number, to: number, destroy: boolean): number => {
  let pages = 0;
  const resident: Buf[] = [];
  if (vp.bufs)
    for (const buf of vp.bufs.values()) if (buf.index >= from && buf.index < to) resident.push(buf);
  resident.sort((a, b) => a.index - b.index);
  for (const buf of resident) pages += buf.extent;
  if (vp.inStore && vp.allocPages > pages) {
    const limit = storedLimit(vp);
    // The chunk across the limit is counted by itself: only part of it still counts.
    const whole = limit === Infinity ? Infinity : Math.floor(limit / fs.chunkBytes);
    const indices = resident.map((buf) => buf.index);
    storedGaps(vp, from, to, indices, (start, end) => {
      if (start < whole) pages += fs.reader.sumChunkPages(vp.ino, start, Math.min(end, whole));
      if (start <= whole && whole < end) pages += storedExtent(fs, vp, whole);
    });
  }
  if (destroy) for (const buf of resident) fs.bufs.destroy(buf);
  return pages;
};
