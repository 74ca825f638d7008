/** Restates the INVARIANT comments of vnode/ and syncer/ as checks, for tests and for `status --check`. */
import { popcount } from '../vnode/buf.js';
import { VFlag, type Vnode } from '../vnode/vnode.js';
import type { Core } from './core.js';

/** What doesn't hold, one sentence each; empty if all is well. */
export const checkInvariants = (core: Core): string[] => {
  const wrong: string[] = [];
  const expect = (holds: boolean, what: string): void => {
    if (!holds) wrong.push(what);
  };
  const { vnodes, txgs, fs } = core;
  const table = vnodes.table(fs.mount);
  let queued = 0;
  for (let vp = fs.mount.queueHead; vp !== undefined; vp = vp.mqNext) {
    if (vp === fs.mount.syncer) continue;
    queued++;
    expect(table.get(vp.ino) === vp, `vnode ${vp.ino} is queued but not in the table`);
  }
  expect(queued === fs.mount.queueSize, `queueSize ${fs.mount.queueSize} but ${queued} queued`);
  expect(queued === table.size, `${table.size} in the table but ${queued} queued`);
  let active = 0;
  let frames = 0;
  let dirty = 0;
  for (const vp of table.values()) {
    if (vp.useCount > 0) active++;
    checkVnode(vp, expect);
    for (const buf of vp.bufs?.values() ?? []) {
      frames += popcount(buf.valid);
      dirty += popcount(buf.dirty);
      const pending = buf.dirty | buf.sealed;
      expect((pending & ~buf.valid) === 0, `buf ${vp.ino}/${buf.index}: pending pages not valid`);
      expect((buf.dirty & buf.sealed) === 0, `buf ${vp.ino}/${buf.index}: dirty and sealed`);
      expect(buf.onLru === !buf.pinned, `buf ${vp.ino}/${buf.index}: LRU membership`);
      expect(!buf.pinned || vp.holdCount > 0, `buf ${vp.ino}/${buf.index}: pending without a hold`);
    }
  }
  const superseded = txgs.sealedFrames();
  // The syncer vnode.
  active++;
  expect(active === vnodes.active, `active ${vnodes.active} but ${active} with references`);
  expect(table.size + 1 === vnodes.count, `count ${vnodes.count} but ${table.size} and the syncer resident`);
  expect(
    frames + superseded.orphaned === core.pool.resident,
    `${core.pool.resident} frames in use, ${frames} + ${superseded.orphaned} known`,
  );
  expect(
    dirty + superseded.total === vnodes.bufs.dirtyPages,
    `dirtyPages ${vnodes.bufs.dirtyPages}, counted ${dirty} + ${superseded.total}`,
  );
  expect(txgs.durable <= txgs.committed && txgs.committed < txgs.openId, 'txg numbers out of order');
  return wrong;
};

const checkVnode = (vp: Vnode, expect: (holds: boolean, what: string) => void): void => {
  expect(vp.useCount >= 0 && vp.holdCount >= 0 && vp.lookupCount >= 0, `vnode ${vp.ino}: negative count`);
  expect((vp.flag & VFlag.VRECLAIMED) === 0, `vnode ${vp.ino}: reclaimed but in the table`);
  expect(!vp.onDirtyList || vp.holdCount > 0, `vnode ${vp.ino}: dirty without a hold`);
  expect(!vp.attrDirty || vp.onDirtyList, `vnode ${vp.ino}: dirty attributes, not listed`);
  expect(vp.openCount >= vp.writeCount, `vnode ${vp.ino}: more writers than handles`);
  let dirtyNames = 0;
  let positive = 0;
  for (const entry of vp.names?.values() ?? []) {
    if (entry.dirtyTxg !== 0) dirtyNames++;
    if (entry.ino !== 0) positive++;
    expect(entry.onLru === (entry.dirtyTxg === 0), `name ${vp.ino}/${entry.name}: LRU membership`);
  }
  expect(dirtyNames === vp.dirtyNames, `vnode ${vp.ino}: dirtyNames ${vp.dirtyNames}, counted ${dirtyNames}`);
  if (vp.namesComplete && !vp.removed) {
    expect(positive === vp.size, `directory ${vp.ino}: complete with ${positive} names of ${vp.size}`);
  }
};
