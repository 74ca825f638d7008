/** The rules of a regular file's data that need only what is keyed by its inode: section 6 of native-notes/disk-format.md. */
import type Database from 'better-sqlite3';
import type { FindingSink } from './fsck-findings.js';
import { badExtent, type Facts, FILE, TYPE_MASK } from './fsck-facts.js';
import type { Superblock } from './types.js';

/** Requires that the file's type fits what is stored of it. */
export function judgeData(
  db: Database.Database,
  superblock: Superblock,
  sink: FindingSink,
  facts: Facts,
): void {
  const { ino, inlineBytes, chunks } = facts;
  const inode = facts.inode!;
  const { chunkBytes, inlineMax } = superblock;
  const stored = (chunks?.pages ?? 0) + (inlineBytes === undefined ? 0 : 1);
  if (chunks !== undefined && chunks.badExtents > 0) badExtents(db, sink, ino, chunkBytes);
  if (inlineBytes !== undefined && inlineBytes > inlineMax) {
    const what = `${inlineBytes} inline bytes, more than ${inlineMax}`;
    sink.structure('inline', ino, what, (m) => m.moveInline(ino, chunkBytes));
  } else if (inlineBytes !== undefined && chunks?.minIdx === 0) {
    const what = `${inlineBytes} inline bytes beside a first chunk`;
    sink.structure('inline', ino, what, (m) => m.moveInline(ino, chunkBytes));
  }
  if (inode.allocPages !== stored) {
    const what = `${inode.allocPages} pages are charged, ${stored} are stored`;
    sink.value('alloc-pages', ino, what, (m) => m.setInode(ino, { alloc_pages: stored }));
  }
  if ((inode.mode & TYPE_MASK) === FILE) staleBytes(db, sink, facts, chunkBytes);
}

function badExtents(db: Database.Database, sink: FindingSink, ino: number, chunkBytes: number): void {
  const rows = db
    .prepare(`SELECT idx, pages FROM chunk_map WHERE ino = ? AND ${badExtent(chunkBytes)}`)
    .raw()
    .all(ino) as [number, number][];
  for (const [idx, pages] of rows) {
    sink.structure('chunk-extent', ino, `piece ${idx} claims ${pages} pages`, (m) =>
      m.fixExtent(ino, idx, chunkBytes),
    );
  }
}

/** Bytes other than zero past the end: the size is what is wrong, as far as can be known, since zeroing would lose them. */
function staleBytes(db: Database.Database, sink: FindingSink, facts: Facts, chunkBytes: number): void {
  const { ino, inlineBytes, chunks } = facts;
  const size = Math.max(0, facts.inode!.size);
  if (inlineBytes !== undefined && inlineBytes > size) {
    const data = db.prepare('SELECT data FROM inline_data WHERE ino = ?').pluck().get(ino);
    const end = lastByte(data);
    if (end > size)
      sink.value('stale-bytes', ino, `inline data goes on past the file's end at ${size}`, (m) =>
        m.growTo(ino, end),
      );
  }
  if (chunks === undefined || !(chunks.maxIdx >= Math.floor(size / chunkBytes))) return;
  const rows = db
    .prepare(
      `SELECT m.idx, m.chunk, length(c.data) FROM chunk_map m JOIN chunk c ON c.id = m.chunk
       WHERE m.ino = ? AND m.idx >= ? AND length(c.data) > max(0, ? - m.idx * ?) ORDER BY m.idx`,
    )
    .raw()
    .iterate(ino, Math.floor(size / chunkBytes), size, chunkBytes) as IterableIterator<
    [number, number, number]
  >;
  const read = db.prepare('SELECT data FROM chunk WHERE id = ?').pluck();
  for (const [idx, chunk] of rows) {
    const end = idx * chunkBytes + lastByte(read.get(chunk));
    if (end <= size || end - idx * chunkBytes === 0) continue;
    const what = `piece ${idx} holds bytes other than zero past the file's end at ${size}`;
    sink.value('stale-bytes', ino, what, (m) => m.growTo(ino, end));
  }
}

/** One past the last byte that isn't zero; 0 if all are. */
const lastByte = (data: unknown): number => {
  if (!(data instanceof Uint8Array)) return 0;
  let end = data.length;
  while (end > 0 && data[end - 1] === 0) end--;
  return end;
};
