/** The rules of a regular file's data that need only what is keyed by its inode: section 6 of native-notes/disk-format.md. */
import type Database from 'better-sqlite3';
import type { FindingSink } from './fsck-findings.js';
import { badExtent, type Facts, FILE, TYPE_MASK } from './fsck-facts.js';
import type { Superblock } from './types.js';

export class DataJudge {
  readonly #superblock: Superblock;
  readonly #sink: FindingSink;
  readonly #badExtents;
  readonly #inline;
  readonly #past;
  readonly #chunk;

  constructor(db: Database.Database, superblock: Superblock, sink: FindingSink) {
    this.#superblock = superblock;
    this.#sink = sink;
    const { chunkBytes } = superblock;
    this.#badExtents = db
      .prepare(`SELECT idx, pages FROM chunk_map WHERE ino = ? AND ${badExtent(chunkBytes)}`)
      .raw();
    this.#inline = db.prepare('SELECT data FROM inline_data WHERE ino = ?').pluck();
    this.#past = db
      .prepare(
        `SELECT m.idx, m.chunk FROM chunk_map m JOIN chunk c ON c.id = m.chunk
         WHERE m.ino = ? AND m.idx >= ? AND length(c.data) > max(0, ? - m.idx * ${chunkBytes}) ORDER BY m.idx`,
      )
      .raw();
    this.#chunk = db.prepare('SELECT data FROM chunk WHERE id = ?').pluck();
  }

  /** Requires that the file's type fits what is stored of it. Errors: SqliteError. */
  judge(facts: Facts): void {
    const { ino, inlineBytes, chunks } = facts;
    const inode = facts.inode!;
    const { chunkBytes, inlineMax } = this.#superblock;
    const sink = this.#sink;
    const stored = (chunks?.pages ?? 0) + (inlineBytes === undefined ? 0 : 1);
    if (chunks !== undefined && chunks.badExtents > 0) this.#extents(ino);
    const beside = chunks?.minIdx === 0;
    if (inlineBytes !== undefined && (inlineBytes > inlineMax || beside)) {
      const what = `${inlineBytes} inline bytes, ${beside ? 'beside a first chunk' : `more than ${inlineMax}`}`;
      sink.structure('inline', ino, what, (m) => m.moveInline(ino, chunkBytes));
    }
    if (inode.allocPages !== stored) {
      const what = `${inode.allocPages} pages are charged, ${stored} are stored`;
      const lost = stored < inode.allocPages ? ': what is missing reads as zeros' : '';
      sink.value('alloc-pages', ino, what, (m) => m.setInode(ino, { alloc_pages: stored }) + lost);
    }
    if ((inode.mode & TYPE_MASK) === FILE) this.#stale(facts);
  }

  #extents(ino: number): void {
    const { chunkBytes } = this.#superblock;
    for (const [idx, pages] of this.#badExtents.all(ino) as [number, number][]) {
      this.#sink.structure('chunk-extent', ino, `piece ${idx} claims ${pages} pages`, (m) =>
        m.fixExtent(ino, idx, chunkBytes),
      );
    }
  }

  /** Bytes other than zero past the end: the size is what is wrong, as far as can be known: zeroing would lose them. */
  #stale(facts: Facts): void {
    const { ino, inlineBytes, chunks } = facts;
    const { chunkBytes } = this.#superblock;
    const size = Math.max(0, facts.inode!.size);
    const report = (end: number, what: string): void =>
      this.#sink.value('stale-bytes', ino, what, (m) => m.growTo(ino, end));
    if (inlineBytes !== undefined && inlineBytes > size) {
      const end = lastByte(this.#inline.get(ino));
      if (end > size) report(end, `inline data goes on past the file's end at ${size}`);
    }
    const first = Math.floor(size / chunkBytes);
    if (chunks === undefined || !(chunks.maxIdx >= first)) return;
    for (const [idx, chunk] of this.#past.all(ino, first, size) as [number, number][]) {
      const bytes = lastByte(this.#chunk.get(chunk));
      const end = idx * chunkBytes + bytes;
      if (bytes > 0 && end > size)
        report(end, `piece ${idx} holds bytes other than zero past the file's end at ${size}`);
    }
  }
}

/** One past the last byte that isn't zero; 0 if all are. */
const lastByte = (data: unknown): number => {
  if (!(data instanceof Uint8Array)) return 0;
  let end = data.length;
  while (end > 0 && data[end - 1] === 0) end--;
  return end;
};
