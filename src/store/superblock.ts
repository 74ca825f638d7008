/** The superblock and counters rows: one row each, always present. */
import type Database from 'better-sqlite3';
import { DEFAULTS } from './defaults.js';
import { PAGE_BYTES, type StoreCounters, type Superblock } from './types.js';
import { formatVersion, openStore } from './open.js';
import { openError, StoreError } from './store-error.js';

interface SuperblockRow {
  uuid: string;
  label: string;
  chunk_bytes: number;
  inline_max: number;
  size_limit_bytes: number;
  inode_limit: number;
}

export const CHUNK_PAGES_MAX = 32;

/** A power-of-two number of pages, 1 to 32. */
export function validChunkBytes(bytes: number): boolean {
  const pages = bytes / PAGE_BYTES;
  return Number.isInteger(pages) && pages >= 1 && pages <= CHUNK_PAGES_MAX && (pages & (pages - 1)) === 0;
}

/** Inline data has an extent of one page, so it can't be longer. */
export const validInlineMax = (bytes: number): boolean =>
  Number.isInteger(bytes) && bytes >= 0 && bytes <= PAGE_BYTES;

/** Errors: StoreError('damaged') for a missing or impossible row. */
export function readSuperblock(db: Database.Database, path: string): Superblock {
  const row = db
    .prepare('SELECT uuid, label, chunk_bytes, inline_max, size_limit_bytes, inode_limit FROM superblock')
    .get() as SuperblockRow | undefined;
  const valid =
    row !== undefined &&
    /^[0-9a-f]{32}$/.test(row.uuid) &&
    validChunkBytes(row.chunk_bytes) &&
    validInlineMax(row.inline_max) &&
    row.size_limit_bytes >= 0 &&
    row.inode_limit >= 0;
  if (!valid) {
    const message = `The superblock of ${path} is damaged; run "vnodefs fsck" or restore a backup.`;
    throw new StoreError('damaged', path, message);
  }
  return {
    formatVersion: formatVersion(db),
    uuid: row.uuid,
    label: row.label,
    chunkBytes: row.chunk_bytes,
    inlineMax: row.inline_max,
    sizeLimitBytes: row.size_limit_bytes,
    inodeLimit: row.inode_limit,
  };
}

/**
 * The chunk size that a damaged superblock had: what it says if that can be, else as long as the longest chunk, or
 * undefined. Errors: SqliteError.
 */
export function inferChunkBytes(db: Database.Database, said: unknown): number | undefined {
  if (typeof said === 'number' && validChunkBytes(said)) return said;
  const [longest, many] = db
    .prepare(
      'SELECT (SELECT coalesce(max(length(data)), 0) FROM chunk), (SELECT count(*) FROM chunk_map WHERE idx > 0)',
    )
    .raw()
    .get() as [number, number];
  const inferred = many > 0 ? longest : Math.max(DEFAULTS.chunkBytes, longest);
  return validChunkBytes(inferred) ? inferred : undefined;
}

/** For reading only: a damaged superblock is made up, which `onStandIn` is told. Errors: StoreError('damaged') if that can't be. */
export function superblockOrStandIn(
  db: Database.Database,
  path: string,
  onStandIn: () => void = () => undefined,
): Superblock {
  try {
    return readSuperblock(db, path);
  } catch (error) {
    let chunkBytes: number | undefined;
    try {
      chunkBytes = inferChunkBytes(db, undefined);
    } catch {
      chunkBytes = undefined; // the reason why the superblock can't be read says more
    }
    if (chunkBytes === undefined) throw openError(path, error);
    onStandIn();
    const { inlineMax } = DEFAULTS;
    const lost = { uuid: '0'.repeat(32), label: '', sizeLimitBytes: 0, inodeLimit: 0 };
    return { formatVersion: formatVersion(db), ...lost, chunkBytes, inlineMax };
  }
}

/** Errors: StoreError('damaged') if the row is missing or can't be right. */
export function readCounters(db: Database.Database, path: string): StoreCounters & { txg: number } {
  const row = db.prepare('SELECT next_ino, inode_count, alloc_pages, txg FROM counters').raw().get() as
    [number, number, number, number] | undefined;
  if (row?.every((value) => Number.isSafeInteger(value) && value >= 0) !== true) {
    throw new StoreError(
      'damaged',
      path,
      `The counters of ${path} are missing or wrong; run "vnodefs fsck" on it.`,
    );
  }
  return { nextIno: row[0], inodeCount: row[1], allocPages: row[2], txg: row[3] };
}

export interface SuperblockChanges {
  label?: string;
  sizeLimitBytes?: number;
  inodeLimit?: number;
}

/** Changes what may change after mkfs. Requires the writer lock. Durable on return. Errors: StoreError. */
export function updateSuperblock(path: string, changes: SuperblockChanges): Superblock {
  const db = openStore(path, { mode: 'write', cacheKiB: 1024 });
  try {
    db.pragma('synchronous = FULL');
    db.prepare(
      'UPDATE superblock SET label = coalesce(?, label), size_limit_bytes = coalesce(?, size_limit_bytes), ' +
        'inode_limit = coalesce(?, inode_limit)',
    ).run(changes.label ?? null, changes.sizeLimitBytes ?? null, changes.inodeLimit ?? null);
    return readSuperblock(db, path);
  } catch (error) {
    throw openError(path, error);
  } finally {
    db.close();
  }
}
