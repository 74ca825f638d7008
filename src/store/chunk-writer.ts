/**
 * File data: which bytes go inline, into a new chunk row, or over an existing one. Runs inside the writer's
 * transaction.
 *
 * INVARIANTS, at the end of each call:
 *  - chunk 0 of a file is inline or in chunk_map, never both; inline data has an extent of one page.
 *  - stored bytes past the file's size are zeros (a chunk row that grew is rounded up, see {@link grownLength}).
 *  - a chunk row referred to by chunk_share is never changed: it is copied first.
 *
 * Why UPDATE and never INSERT OR REPLACE: an UPDATE with a blob of the same length makes SQLite rewrite only the pages
 * that differ (btree.c, btreeOverwriteCell), so a 4 KiB write in a large chunk costs two pages of WAL.
 */
import type Database from 'better-sqlite3';
import { assert } from '../base/assert.js';
import { Errno, FsError } from '../base/errno.js';
import type { Ino } from '../base/ids.js';
import { PAGE_BYTES } from './types.js';

/** `[chunk id, extent in pages, stored bytes]` */
type ChunkRow = [number, number, number];

function prepareAll(db: Database.Database) {
  const chunksOf = 'SELECT chunk FROM chunk_map WHERE ino = ? AND idx >= ? AND idx < ?';
  return {
    find: db
      .prepare(
        'SELECT m.chunk, m.pages, length(c.data) FROM chunk_map m JOIN chunk c ON c.id = m.chunk ' +
          'WHERE m.ino = ? AND m.idx = ?',
      )
      .raw(),
    read: db.prepare('SELECT data FROM chunk WHERE id = ?').pluck(),
    insert: db.prepare('INSERT INTO chunk(id, data) VALUES (?, ?)'),
    update: db.prepare('UPDATE chunk SET data = ? WHERE id = ?'),
    patch: db.prepare(
      'UPDATE chunk SET data = CAST(substr(data, 1, ?) || ? || substr(data, ?) AS BLOB) ' +
        "WHERE id = ? AND typeof(data) = 'blob'", // on a damaged page it may be a text
    ),
    lastChunk: db.prepare('SELECT coalesce(max(id), 0) FROM chunk').pluck(),
    map: db.prepare('INSERT INTO chunk_map(ino, idx, chunk, pages) VALUES (?, ?, ?, ?)'),
    remap: db.prepare('UPDATE chunk_map SET chunk = ?, pages = ? WHERE ino = ? AND idx = ?'),
    chunksOf: db.prepare(chunksOf).pluck(),
    anyChunk: db.prepare(`${chunksOf} LIMIT 1`).pluck(),
    deleteChunks: db.prepare(`DELETE FROM chunk WHERE id IN (${chunksOf})`),
    deleteChunk: db.prepare('DELETE FROM chunk WHERE id = ?'),
    unmap: db.prepare('DELETE FROM chunk_map WHERE ino = ? AND idx >= ? AND idx < ?'),
    inline: db.prepare('SELECT data FROM inline_data WHERE ino = ?').pluck(),
    putInline: db.prepare(
      'INSERT INTO inline_data(ino, data) VALUES (?, ?) ON CONFLICT(ino) DO UPDATE SET data = excluded.data',
    ),
    dropInline: db.prepare('DELETE FROM inline_data WHERE ino = ?'),
    anyShare: db.prepare('SELECT 1 FROM chunk_share LIMIT 1').pluck(),
    refs: db.prepare('SELECT refs FROM chunk_share WHERE chunk = ?').pluck(),
    setRefs: db.prepare('UPDATE chunk_share SET refs = ? WHERE chunk = ?'),
    share: db.prepare('INSERT INTO chunk_share(chunk, refs) VALUES (?, 2)'),
    exists: db.prepare('SELECT 1 FROM chunk WHERE id = ?').pluck(),
    unshare: db.prepare('DELETE FROM chunk_share WHERE chunk = ?'),
    lastInode: db
      .prepare(
        'SELECT max(coalesce((SELECT max(ino) FROM inode), 0), coalesce((SELECT max(ino) FROM chunk_map), 0), ' +
          'coalesce((SELECT max(ino) FROM inline_data), 0))',
      )
      .pluck(),
  };
}

/** Pages from the `first` of `count` on that lie side by side, in the chunk and in the pool. */
const runLength = (
  pages: ArrayLike<number>,
  frames: ArrayLike<number>,
  count: number,
  first: number,
): number => {
  let run = 1;
  while (
    first + run < count &&
    pages[first + run] === pages[first] + run &&
    frames[first + run] === frames[first] + run
  )
    run++;
  return run;
};

export class ChunkWriter {
  readonly #sql: ReturnType<typeof prepareAll>;
  readonly #chunkBytes: number;
  readonly #inlineMax: number;
  /** A chunk is put together here; `#views[n]` is its first n pages. */
  readonly #scratch: Buffer;
  readonly #views: Buffer[];
  #pool: Uint8Array = new Uint8Array(0);
  #nextChunk = 1;
  #anyShared = false;
  /** Inodes above this had no row when the group began: see {@link begin}. */
  #lastInode = 0;
  /** Those of them that this group has given data. */
  readonly #newWithData = new Set<number>();

  constructor(db: Database.Database, chunkBytes: number, inlineMax: number) {
    this.#sql = prepareAll(db);
    this.#chunkBytes = chunkBytes;
    this.#inlineMax = inlineMax;
    this.#scratch = Buffer.alloc(chunkBytes);
    const pages = chunkBytes / PAGE_BYTES;
    this.#views = Array.from({ length: pages + 1 }, (_, n) => this.#scratch.subarray(0, n * PAGE_BYTES));
  }

  /**
   * Requires: the group's transaction is open. `pool` holds the frames until the group is done. An inode number above
   * all that the store knows belongs to a file made in this group, whose old data need not be looked for.
   */
  begin(pool: Uint8Array): void {
    this.#pool = pool;
    this.#nextChunk = (this.#sql.lastChunk.get() as number) + 1;
    this.#anyShared = this.#sql.anyShare.get() !== undefined;
    this.#lastInode = this.#sql.lastInode.get() as number;
    this.#newWithData.clear();
  }

  /** As TxgOps.writePages. */
  writePages(
    ino: Ino,
    index: number,
    fileSize: number,
    pages: ArrayLike<number>,
    frames: ArrayLike<number>,
    count: number,
  ): void {
    if (count === 0) return;
    let end = 0;
    for (let i = 0; i < count; i++) if (pages[i] >= end) end = pages[i] + 1;
    const limit = Math.max(0, Math.min(this.#chunkBytes, fileSize - index * this.#chunkBytes));
    assert(end * PAGE_BYTES <= this.#chunkBytes, 'writePages: page outside the chunk');
    const known = this.#knows(ino);
    const row = known ? (this.#sql.find.get(ino, index) as ChunkRow | undefined) : undefined;
    if (index === 0 && end === 1 && fileSize <= this.#inlineMax && (row === undefined || row[1] <= 1)) {
      if (row !== undefined) this.#dropRows(ino, 0, 1);
      this.#sql.putInline.run(ino, this.#pageBytes(frames[0], limit));
      return;
    }
    const needed = Math.min(end * PAGE_BYTES, limit);
    if (row !== undefined) this.#overwrite(ino, index, row, needed, limit, pages, frames, count, end);
    else this.#writeNew(ino, index, known && index === 0, needed, limit, pages, frames, count, end);
  }

  /** As TxgOps.truncate. */
  truncate(ino: Ino, size: number): void {
    const chunkBytes = this.#chunkBytes;
    const index = Math.floor(size / chunkBytes);
    const keep = size - index * chunkBytes;
    if (index === 0) this.#truncateInline(ino, size);
    this.#dropRows(ino, keep === 0 ? index : index + 1, Infinity);
    if (keep === 0) return;
    const row = this.#sql.find.get(ino, index) as ChunkRow | undefined;
    if (row === undefined) return;
    const [chunk, extent, length] = row;
    const newExtent = Math.min(extent, Math.ceil(keep / PAGE_BYTES));
    let newChunk = chunk;
    if (length > keep) newChunk = this.#store(chunk, this.#readOld(chunk).subarray(0, keep));
    if (newExtent !== extent || newChunk !== chunk) this.#sql.remap.run(newChunk, newExtent, ino, index);
  }

  /** As TxgOps.dropChunks. */
  dropChunks(ino: Ino, fromIndex: number, toIndex: number): void {
    if (fromIndex <= 0 && toIndex > 0) this.#sql.dropInline.run(ino);
    this.#dropRows(ino, fromIndex, toIndex);
  }

  /** As TxgOps.cloneChunk. */
  cloneChunk(ino: Ino, index: number, chunk: number, pages: number): void {
    const row = this.#knows(ino) ? (this.#sql.find.get(ino, index) as ChunkRow | undefined) : undefined;
    if (row !== undefined && row[0] === chunk) {
      this.#sql.remap.run(chunk, pages, ino, index);
      return;
    }
    if (this.#sql.exists.get(chunk) === undefined) throw new FsError(Errno.EIO, `chunk ${chunk} is missing`);
    this.#anyShared = true;
    const refs = this.#sql.refs.get(chunk) as number | undefined;
    if (refs === undefined) this.#sql.share.run(chunk);
    else this.#sql.setRefs.run(refs + 1, chunk);
    if (index === 0) this.#sql.dropInline.run(ino);
    if (row !== undefined) this.#dropRows(ino, index, index + 1);
    this.#sql.map.run(ino, index, chunk, pages);
  }

  /** As TxgOps.allocate. */
  allocate(ino: Ino, index: number, pages: number): void {
    const known = this.#knows(ino);
    const row = known ? (this.#sql.find.get(ino, index) as ChunkRow | undefined) : undefined;
    if (row !== undefined) {
      if (row[1] < pages) this.#sql.remap.run(row[0], pages, ino, index);
      return;
    }
    const inline = known && index === 0 ? (this.#sql.inline.get(ino) as Buffer | undefined) : undefined;
    if (inline !== undefined && pages <= 1) return;
    if (inline !== undefined) this.#sql.dropInline.run(ino);
    const chunk = this.#nextChunk++;
    this.#sql.insert.run(chunk, inline ?? Buffer.alloc(0));
    this.#sql.map.run(ino, index, chunk, pages);
  }

  /** All data of `ino`. */
  dropAll(ino: Ino): void {
    this.#sql.dropInline.run(ino);
    this.#dropRows(ino, 0, Infinity);
  }

  /** Whether `ino` may have data already; from now on it has. */
  #knows(ino: Ino): boolean {
    if (ino <= this.#lastInode || this.#newWithData.has(ino)) return true;
    this.#newWithData.add(ino);
    return false;
  }

  #writeNew(
    ino: Ino,
    index: number,
    mayBeInline: boolean,
    needed: number,
    limit: number,
    pages: ArrayLike<number>,
    frames: ArrayLike<number>,
    count: number,
    end: number,
  ): void {
    const inline = mayBeInline ? (this.#sql.inline.get(ino) as Buffer | undefined) : undefined;
    const oldLength = inline === undefined ? 0 : Math.min(inline.length, limit);
    const length = Math.max(needed, oldLength);
    const data = this.#view(length);
    // Distinct pages (binding on TxgOps) that fill every page below `end` leave nothing to clear.
    if (count < end || length > end * PAGE_BYTES) data.fill(0);
    if (inline !== undefined) {
      inline.copy(data, 0, 0, oldLength);
      this.#sql.dropInline.run(ino);
    }
    this.#copyFrames(data, pages, frames, count);
    const chunk = this.#nextChunk++;
    this.#sql.insert.run(chunk, data);
    this.#sql.map.run(ino, index, chunk, Math.max(end, inline === undefined ? 0 : 1));
  }

  #overwrite(
    ino: Ino,
    index: number,
    row: ChunkRow,
    needed: number,
    limit: number,
    pages: ArrayLike<number>,
    frames: ArrayLike<number>,
    count: number,
    end: number,
  ): void {
    const [chunk, extent, oldLength] = row;
    const length = needed <= oldLength ? oldLength : this.#grownLength(needed);
    const patched =
      length === oldLength && limit >= length && this.#patch(chunk, length, pages, frames, count);
    const newChunk = patched
      ? chunk
      : this.#store(chunk, this.#assemble(chunk, oldLength, length, limit, pages, frames, count, end));
    if (newChunk !== chunk || end > extent) this.#sql.remap.run(newChunk, Math.max(end, extent), ino, index);
  }

  /** The `length` bytes of a row of `oldLength` once the pages are in it. */
  #assemble(
    chunk: number,
    oldLength: number,
    length: number,
    limit: number,
    pages: ArrayLike<number>,
    frames: ArrayLike<number>,
    count: number,
    end: number,
  ): Buffer {
    let data: Buffer;
    if (count === end && end * PAGE_BYTES >= oldLength) {
      data = this.#view(length);
      if (end * PAGE_BYTES < length) data.fill(0, end * PAGE_BYTES);
    } else {
      const old = this.#readOld(chunk);
      data = old;
      if (length !== oldLength) {
        data = this.#view(length);
        old.copy(data);
        data.fill(0, oldLength);
      }
    }
    this.#copyFrames(data, pages, frames, count);
    if (limit < length) data.fill(0, limit);
    return data;
  }

  /**
   * Pages that lie side by side are put into a row without bringing it here first: a third less work than the long way.
   * False: they don't, or the row is shared.
   */
  #patch(
    chunk: number,
    length: number,
    pages: ArrayLike<number>,
    frames: ArrayLike<number>,
    count: number,
  ): boolean {
    const from = pages[0] * PAGE_BYTES;
    const to = Math.min(from + count * PAGE_BYTES, length);
    if (to <= from || to - from === length) return false;
    if (runLength(pages, frames, count, 0) < count) return false;
    if (this.#anyShared && this.#sql.refs.get(chunk) !== undefined) return false;
    const { changes } = this.#sql.patch.run(from, this.#pageBytes(frames[0], to - from), to + 1, chunk);
    return changes === 1;
  }

  /** Rounded up to a power-of-two number of pages, so that the next appends to this chunk are same-length updates. */
  #grownLength(needed: number): number {
    let bytes = PAGE_BYTES;
    while (bytes < needed) bytes *= 2;
    return Math.min(bytes, this.#chunkBytes);
  }

  /**
   * Gives `chunk` the bytes `data`; a shared chunk is left alone and a new one made. Returns the chunk that
   * holds them.
   */
  #store(chunk: number, data: Buffer): number {
    if (this.#anyShared && this.#releaseShare(chunk)) {
      const copy = this.#nextChunk++;
      this.#sql.insert.run(copy, data);
      return copy;
    }
    this.#sql.update.run(data, chunk);
    return chunk;
  }

  /** Gives up one reference to a shared chunk. False: it is not shared. */
  #releaseShare(chunk: number): boolean {
    const refs = this.#sql.refs.get(chunk) as number | undefined;
    if (refs === undefined) return false;
    if (refs > 2) this.#sql.setRefs.run(refs - 1, chunk);
    else this.#sql.unshare.run(chunk);
    return true;
  }

  #dropRows(ino: Ino, fromIndex: number, toIndex: number): void {
    if (this.#anyShared) {
      for (const chunk of this.#sql.chunksOf.all(ino, fromIndex, toIndex) as number[]) {
        if (!this.#releaseShare(chunk)) this.#sql.deleteChunk.run(chunk);
      }
    } else {
      // Most often there is nothing (small files are inline): one cheap look instead of two statements that delete.
      if (this.#sql.anyChunk.get(ino, fromIndex, toIndex) === undefined) return;
      this.#sql.deleteChunks.run(ino, fromIndex, toIndex);
    }
    this.#sql.unmap.run(ino, fromIndex, toIndex);
  }

  #truncateInline(ino: Ino, size: number): void {
    if (size === 0) {
      this.#sql.dropInline.run(ino);
      return;
    }
    const inline = this.#sql.inline.get(ino) as Buffer | undefined;
    if (inline !== undefined && inline.length > size) this.#sql.putInline.run(ino, inline.subarray(0, size));
  }

  #readOld(chunk: number): Buffer {
    const data: unknown = this.#sql.read.get(chunk);
    if (!(data instanceof Buffer)) throw new FsError(Errno.EIO, `chunk ${chunk} is missing or damaged`);
    return data;
  }

  #view(length: number): Buffer {
    return length % PAGE_BYTES === 0 ? this.#views[length / PAGE_BYTES] : this.#scratch.subarray(0, length);
  }

  /** The first `length` bytes of a frame, as a view of the pool. */
  #pageBytes(frame: number, length: number): Uint8Array {
    const start = frame * PAGE_BYTES;
    return this.#pool.subarray(start, start + length);
  }

  /** Copies frames into `data`, cutting at its end; runs of neighbouring frames in one go. */
  #copyFrames(data: Buffer, pages: ArrayLike<number>, frames: ArrayLike<number>, count: number): void {
    let i = 0;
    while (i < count) {
      const page = pages[i];
      const frame = frames[i];
      const run = runLength(pages, frames, count, i);
      const to = page * PAGE_BYTES;
      const length = Math.min(run * PAGE_BYTES, data.length - to);
      if (length > 0) data.set(this.#pageBytes(frame, length), to);
      i += run;
    }
  }
}
