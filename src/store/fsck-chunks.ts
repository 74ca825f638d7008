/**
 * The chunks side by side with what refers to them: sections 5.2 and 6 of native-notes/disk-format.md. The map has to
 * be sorted by chunk, which SQLite does in a temporary file.
 */
import type Database from 'better-sqlite3';
import type { FindingSink, FsckProgress } from './fsck-findings.js';
import { Stream } from './fsck-stream.js';

/** Returns how many chunks there are. */
export function checkChunks(
  db: Database.Database,
  chunkBytes: number,
  sink: FindingSink,
  progress: (progress: FsckProgress) => void,
): number {
  const maps = new Stream<[number, number, number]>(
    db,
    'chunk_map',
    'SELECT chunk, ino, idx FROM chunk_map ORDER BY chunk',
    sink,
  );
  const chunks = new Stream<[number, number]>(
    db,
    'chunk',
    'SELECT id, length(data) FROM chunk ORDER BY id',
    sink,
  );
  const shares = new Stream<[number, number]>(
    db,
    'chunk_share',
    'SELECT chunk, refs FROM chunk_share ORDER BY chunk',
    sink,
  );
  let count = 0;
  try {
    for (;;) {
      const id = Math.min(maps.key, chunks.key, shares.key);
      if (id === Infinity) return count;
      const chunk = chunks.take(id);
      const share = shares.take(id);
      if (chunk !== undefined && ++count % 65536 === 0) progress({ step: 'chunks', fraction: 0 });
      let users = 0;
      for (let map = maps.take(id); map !== undefined; map = maps.take(id), users++) {
        const [, ino, idx] = map;
        if (chunk === undefined && !chunks.broken) {
          const what = `piece ${idx} of the file refers to chunk ${id}, which does not exist`;
          sink.structure('chunk-missing', ino, what, (m) => m.dropPiece(ino, idx));
        }
        if (chunk !== undefined && chunk[1] > chunkBytes) {
          const what = `piece ${idx} holds ${chunk[1]} bytes, more than a chunk`;
          sink.structure('chunk-length', ino, what, (m) => m.cutChunk(id, chunkBytes));
        }
      }
      if (maps.broken) continue;
      if (users === 0 && chunk !== undefined)
        sink.structure('chunk-unreferenced', 0, `chunk ${id} belongs to no file`, (m) =>
          m.keepChunk(id, chunkBytes),
        );
      if (users === 0 && share !== undefined)
        sink.structure('chunk-share', 0, `chunk ${id} has a share count but no user`, (m) =>
          m.setShare(id, 0),
        );
      else if (users > 0 && chunk !== undefined && !shares.broken && users !== (share?.[1] ?? 1)) {
        const what = `chunk ${id} is used ${users} times, its share count says otherwise`;
        sink.structure('chunk-share', 0, what, (m) => m.setShare(id, users));
      }
    }
  } finally {
    for (const stream of [maps, chunks, shares]) stream.close();
  }
}

/** Entries of one directory with the same cookie: a listing could show only one of them. */
export function checkCookies(db: Database.Database, sink: FindingSink): void {
  const twice = new Stream<[number, number, number]>(
    db,
    'dirent',
    `SELECT parent, cookie, count(*) FROM dirent INDEXED BY dirent_cookie
     GROUP BY parent, cookie HAVING count(*) > 1 ORDER BY parent`,
    sink,
  );
  try {
    while (twice.key !== Infinity) {
      const [parent, cookie, count] = twice.take(twice.key)!;
      sink.structure('dirent-cookie', parent, `${count} entries share the cookie ${cookie}`, (m) =>
        m.renumberCookies(parent),
      );
    }
  } finally {
    twice.close();
  }
}
