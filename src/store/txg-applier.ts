/**
 * TxgOps as SQL: names, inodes and attributes here, file data in chunk-writer.ts. Runs inside the writer's
 * transaction.
 */
import type Database from 'better-sqlite3';
import { bytesOfName, type ByteName, type Ino } from '../base/ids.js';
import { ChunkWriter } from './chunk-writer.js';
import { INODE_COLUMNS } from './schema.js';
import type { InodeRecord, StoreCounters, Superblock, TxgOps } from './types.js';

function prepareAll(db: Database.Database) {
  const marks = INODE_COLUMNS.map(() => '?').join(', ');
  const updates = INODE_COLUMNS.map((column) => `${column} = excluded.${column}`).join(', ');
  return {
    putInode: db.prepare(
      `INSERT INTO inode(ino, ${INODE_COLUMNS.join(', ')}) VALUES (?, ${marks}) ON CONFLICT(ino) DO UPDATE SET ${updates}`,
    ),
    deleteInode: db.prepare('DELETE FROM inode WHERE ino = ?'),
    putDirent: db.prepare(
      'INSERT INTO dirent(parent, name, ino, type, cookie) VALUES (?, ?, ?, ?, ?) ON CONFLICT(parent, name) ' +
        'DO UPDATE SET ino = excluded.ino, type = excluded.type, cookie = excluded.cookie',
    ),
    deleteDirent: db.prepare('DELETE FROM dirent WHERE parent = ? AND name = ?'),
    setSymlink: db.prepare(
      'INSERT INTO symlink(ino, target) VALUES (?, ?) ON CONFLICT(ino) DO UPDATE SET target = excluded.target',
    ),
    deleteSymlink: db.prepare('DELETE FROM symlink WHERE ino = ?'),
    setXattr: db.prepare(
      'INSERT INTO xattr(ino, name, value) VALUES (?, ?, ?) ON CONFLICT(ino, name) ' +
        'DO UPDATE SET value = excluded.value',
    ),
    removeXattr: db.prepare('DELETE FROM xattr WHERE ino = ? AND name = ?'),
    deleteXattrs: db.prepare('DELETE FROM xattr WHERE ino = ?'),
    addOrphan: db.prepare('INSERT INTO orphan(ino) VALUES (?) ON CONFLICT(ino) DO NOTHING'),
    removeOrphan: db.prepare('DELETE FROM orphan WHERE ino = ?'),
  };
}

export class TxgApplier implements TxgOps {
  readonly #sql: ReturnType<typeof prepareAll>;
  readonly #chunks: ChunkWriter;
  /** The group's last setCounters; the writer stores them with the group's number. */
  counters: StoreCounters | undefined;

  constructor(db: Database.Database, superblock: Superblock) {
    this.#sql = prepareAll(db);
    this.#chunks = new ChunkWriter(db, superblock.chunkBytes, superblock.inlineMax);
  }

  /** Requires: the group's transaction is open. */
  begin(pool: Uint8Array): void {
    this.counters = undefined;
    this.#chunks.begin(pool);
  }

  putInode(r: InodeRecord): void {
    this.#sql.putInode.run(
      r.ino,
      r.mode,
      r.uid,
      r.gid,
      r.nlink,
      r.size,
      r.rdev,
      r.allocPages,
      r.flags,
      r.xattrCount,
      r.parent,
      r.nextCookie,
      r.atimeSec,
      r.atimeNsec,
      r.mtimeSec,
      r.mtimeNsec,
      r.ctimeSec,
      r.ctimeNsec,
      r.btimeSec,
      r.btimeNsec,
    );
  }

  deleteInode(ino: Ino): void {
    this.#chunks.dropAll(ino);
    this.#sql.deleteSymlink.run(ino);
    this.#sql.deleteXattrs.run(ino);
    this.#sql.removeOrphan.run(ino);
    this.#sql.deleteInode.run(ino);
  }

  putDirent(parent: Ino, name: ByteName, ino: Ino, type: number, cookie: number): void {
    this.#sql.putDirent.run(parent, bytesOfName(name), ino, type, cookie);
  }

  deleteDirent(parent: Ino, name: ByteName): void {
    this.#sql.deleteDirent.run(parent, bytesOfName(name));
  }

  setSymlink(ino: Ino, target: Uint8Array): void {
    this.#sql.setSymlink.run(ino, target);
  }

  setXattr(ino: Ino, name: ByteName, value: Uint8Array): void {
    this.#sql.setXattr.run(ino, bytesOfName(name), value);
  }

  removeXattr(ino: Ino, name: ByteName): void {
    this.#sql.removeXattr.run(ino, bytesOfName(name));
  }

  addOrphan(ino: Ino): void {
    this.#sql.addOrphan.run(ino);
  }

  removeOrphan(ino: Ino): void {
    this.#sql.removeOrphan.run(ino);
  }

  truncate(ino: Ino, size: number): void {
    this.#chunks.truncate(ino, size);
  }

  dropChunks(ino: Ino, fromIndex: number, toIndex: number): void {
    this.#chunks.dropChunks(ino, fromIndex, toIndex);
  }

  writePages(
    ino: Ino,
    index: number,
    fileSize: number,
    pages: ArrayLike<number>,
    frames: ArrayLike<number>,
    count: number,
  ): void {
    this.#chunks.writePages(ino, index, fileSize, pages, frames, count);
  }

  cloneChunk(ino: Ino, index: number, chunk: number, pages: number): void {
    this.#chunks.cloneChunk(ino, index, chunk, pages);
  }

  allocate(ino: Ino, index: number, pages: number): void {
    this.#chunks.allocate(ino, index, pages);
  }

  setCounters(counters: StoreCounters): void {
    this.counters = counters;
  }
}
