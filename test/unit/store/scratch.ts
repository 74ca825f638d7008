/** What the store's tests share: temporary stores, a page pool, a group builder, inode records. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asIno } from '../../../src/base/ids.js';
import { createStore, type MkfsOptions } from '../../../src/store/mkfs.js';
import { TxgEncoder } from '../../../src/store/txg-log.js';
import { blankInode, PAGE_BYTES, type InodeRecord } from '../../../src/store/types.js';
import { StoreWriter } from '../../../src/store/writer.js';

/** A directory removed at the end of the test. */
export function scratchDir(t: { teardown: (fn: () => void) => void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'vnodefs-store-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export const file = (ino: number, changes: Partial<InodeRecord> = {}): InodeRecord => ({
  ...blankInode(),
  ino: asIno(ino),
  mode: 0o100644,
  uid: 1000,
  gid: 100,
  nlink: 1,
  atimeSec: 1_700_000_001,
  atimeNsec: 1,
  mtimeSec: 1_700_000_002,
  mtimeNsec: 2,
  ctimeSec: 1_700_000_003,
  ctimeNsec: 3,
  btimeSec: 1_700_000_004,
  btimeNsec: 4,
  ...changes,
});

export const dir = (ino: number, parent: number, changes: Partial<InodeRecord> = {}): InodeRecord =>
  file(ino, { mode: 0o040755, nlink: 2, parent, nextCookie: 3, ...changes });

/** A writer with a pool of `frames` pages and an encoder to fill the next group. */
export class WriterRig {
  readonly path: string;
  readonly ops = new TxgEncoder();
  readonly pool: Uint8Array;
  writer: StoreWriter;
  txg = 0;

  constructor(path: string, options: MkfsOptions = {}, frames = 64) {
    this.path = path;
    this.pool = new Uint8Array(new SharedArrayBuffer(frames * PAGE_BYTES));
    createStore(path, options);
    this.writer = new StoreWriter(path);
  }

  /** Fills frame `frame` with one byte value. */
  fill(frame: number, value: number): void {
    this.pool.fill(value, frame * PAGE_BYTES, (frame + 1) * PAGE_BYTES);
  }

  /**
   * Commits what `ops` has gathered; `times` more than 1 applies the same log again, or, with `sameNumber`, hands it
   * over again as a group that the store may already have.
   */
  commit(barrier = false, times = 1, sameNumber = false): void {
    const { log, logBytes } = this.ops.take();
    for (let i = 0; i < times; i++) {
      if (i === 0 || !sameNumber) this.txg++;
      this.writer.commit(this.txg, log, logBytes, this.pool, barrier);
    }
  }
}
