/**
 * Restates the INVARIANT comments of vnode/, syncer/ and vfs/ as checks over all mounts, for tests and for
 * `vnodefs status --check`. To be called between operations; looks at every vnode, buf and name: milliseconds for each
 * ten thousand of them.
 */
import { popcount, type Buf } from '../vnode/buf.js';
import { formatFsid } from '../vnode/fsid.js';
import type { Mount, MountAudit } from '../vnode/mount.js';
import { MNTSCAN_FORWARD, MNTSCAN_NOBUSY } from '../vnode/mount-list.js';
import { valueBytes } from '../vnode/value-cache.js';
import type { VnodeCache } from '../vnode/vnode-cache.js';
import { VFlag, VType, type Vnode } from '../vnode/vnode.js';

type Expect = (holds: boolean, what: () => string) => void;

/** What is added up over all mounts, to be compared with the caches' own counters. */
class Totals {
  vnodes = 0;
  active = 0;
  cleanBufs = 0;
  dirtyPages = 0;
  names = 0;
  cleanNames = 0;
  valueBytes = 0;
  /** By frame: how many own it. */
  readonly owners: Uint8Array;
  constructor(frames: number) {
    this.owners = new Uint8Array(frames);
  }
}

/**
 * What doesn't hold, one sentence each, at most {@link WRONG_MAX}; empty if all is well. `asksStore`: what the store
 * has of the files is compared too, which is most of the time it takes.
 */
export const checkInvariants = (vnodes: VnodeCache, asksStore = true): string[] => {
  const wrong: string[] = [];
  const expect: Expect = (holds, what) => {
    if (!holds && wrong.length < WRONG_MAX) wrong.push(what());
  };
  const totals = new Totals(vnodes.bufs.pool.size);
  const fsids = new Set<string>();
  const checkMount = (mp: Mount): number => {
    fsids.add(formatFsid(mp.stat.fsid));
    expect(vnodes.mountlist.vfsGetvfs(mp.stat.fsid) === mp, () => 'a mount is not found by its fsid');
    expect(mp.listed && !mp.gone && mp.busyCount >= 0, () => 'a mount on the list is gone, or busyCount < 0');
    const audit = mp.ops.audit(asksStore);
    for (const what of audit.wrong) expect(false, () => what);
    checkQueue(mp, totals, expect);
    for (const vp of mp.table.values()) checkVnode(vp, audit, totals, expect);
    for (const frame of audit.orphanedFrames) totals.owners[frame]++;
    totals.dirtyPages += audit.sealedFrames;
    return 0;
  };
  vnodes.mountlist.mountlistScan(checkMount, MNTSCAN_FORWARD | MNTSCAN_NOBUSY);
  expect(fsids.size === vnodes.mountlist.size, () => 'two mounts have the same fsid');
  checkDummy(vnodes, expect);
  checkTotals(vnodes, totals, expect);
  return wrong;
};

const WRONG_MAX = 100;

const checkQueue = (mp: Mount, totals: Totals, expect: Expect): void => {
  let queued = 0;
  let hands = 0;
  let back: Vnode | undefined;
  for (let vp = mp.queueHead; vp !== undefined; back = vp, vp = vp.mqNext) {
    const { ino } = vp;
    expect(vp.mp === mp && vp.mqPrev === back, () => `vnode ${ino}: its place on the queue is wrong`);
    if (vp.flag & VFlag.VSYSTEM) {
      if (vp === mp.syncer) hands++;
      else queued++;
      totals.vnodes++;
      if (vp.useCount > 0) totals.active++;
      continue;
    }
    queued++;
    expect(mp.table.get(ino) === vp, () => `vnode ${ino} is queued but not in the table`);
  }
  expect(hands === 1, () => `the syncer vnode is on the queue ${hands} times`);
  expect(queued === mp.queueSize, () => `queueSize ${mp.queueSize} but ${queued} queued`);
  totals.vnodes += mp.table.size;
};

const checkVnode = (vp: Vnode, audit: MountAudit, totals: Totals, expect: Expect): void => {
  const name = `vnode ${vp.ino}`;
  if (vp.useCount > 0) totals.active++;
  const counts = [vp.useCount, vp.holdCount, vp.lookupCount, vp.openCount, vp.writeCount, vp.residentPages];
  expect(
    counts.every((count) => count >= 0),
    () => `${name}: negative count`,
  );
  expect(
    (vp.flag & (VFlag.VRECLAIMED | VFlag.VXLOCK)) === 0,
    () => `${name}: reclaimed or locked, in the table`,
  );
  expect(vp.type !== VType.VNON, () => `${name}: never set up`);
  const holds = Number(audit.open.has(vp)) + Number(audit.sealed.has(vp));
  expect(vp.holdCount === holds, () => `${name}: holdCount ${vp.holdCount}, ${holds} groups hold it`);
  expect(vp.onDirtyList === audit.open.has(vp), () => `${name}: onDirtyList is wrong`);
  expect(!vp.attrDirty || vp.onDirtyList, () => `${name}: dirty attributes, not listed`);
  expect(vp.openCount >= vp.writeCount, () => `${name}: more writers than handles`);
  expect(vp.useCount >= vp.openCount, () => `${name}: more handles than references`);
  const alive = vp.nlink > 0 || vp.useCount > 0 || vp.lookupCount > 0 || vp.lookupCountLost || vp.removed;
  expect(alive, () => `${name}: unlinked and unused, not removed`);
  let pages = 0;
  for (const buf of vp.bufs?.values() ?? []) {
    pages += popcount(buf.valid);
    checkBuf(buf, vp, audit, totals, expect);
  }
  expect(pages === vp.residentPages, () => `${name}: residentPages ${vp.residentPages}, counted ${pages}`);
  checkNames(vp, totals, expect);
  totals.valueBytes += valueBytes(vp);
};

const checkBuf = (buf: Buf, vp: Vnode, audit: MountAudit, totals: Totals, expect: Expect): void => {
  const name = `buf ${vp.ino}/${buf.index}`;
  totals.dirtyPages += popcount(buf.dirty);
  if (!buf.pinned) totals.cleanBufs++;
  expect(buf.vp === vp && vp.bufs?.get(buf.index) === buf && !buf.dead, () => `${name}: misplaced or dead`);
  expect(((buf.dirty | buf.sealed) & ~buf.valid) === 0, () => `${name}: pending pages not valid`);
  expect((buf.dirty & buf.sealed) === 0, () => `${name}: dirty and sealed`);
  expect(buf.onLru === !buf.pinned, () => `${name}: LRU membership`);
  expect(
    buf.dirty === 0 || audit.open.has(vp),
    () => `${name}: dirty, its vnode not on the open group's list`,
  );
  expect(
    buf.sealed === 0 || audit.sealed.has(vp),
    () => `${name}: sealed, its vnode not in the sealed group`,
  );
  expect(
    buf.rowTxg === 0 || audit.open.has(vp) || audit.sealed.has(vp),
    () => `${name}: a row on its way, its vnode in no group`,
  );
  buf.frames.forEach((frame, page) => {
    const valid = ((buf.valid >>> page) & 1) === 1;
    expect(valid === frame >= 0, () => `${name}: page ${page} valid ${valid}, frame ${frame}`);
    if (frame >= 0) totals.owners[frame]++;
  });
};

const checkNames = (vp: Vnode, totals: Totals, expect: Expect): void => {
  let dirty = 0;
  let positive = 0;
  for (const [key, entry] of vp.names ?? []) {
    const name = (): string => `name ${vp.ino}/${key}`;
    totals.names++;
    if (entry.dirtyTxg !== 0) dirty++;
    else totals.cleanNames++;
    if (entry.ino !== 0) positive++;
    expect(entry.dvp === vp && entry.name === key, () => `${name()}: misplaced`);
    expect(entry.onLru === (entry.dirtyTxg === 0), () => `${name()}: LRU membership`);
  }
  expect(dirty === vp.dirtyNames, () => `vnode ${vp.ino}: dirtyNames ${vp.dirtyNames}, counted ${dirty}`);
  expect(dirty === 0 || vp.holdCount > 0, () => `vnode ${vp.ino}: dirty names without a hold`);
  if (vp.namesComplete && !vp.removed)
    expect(positive === vp.size, () => `directory ${vp.ino}: complete with ${positive} names of ${vp.size}`);
};

/** The dummy mount holds what was force-closed and is still open. */
const checkDummy = ({ dummymount }: VnodeCache, expect: Expect): void => {
  let queued = 0;
  for (let vp = dummymount.queueHead; vp !== undefined; vp = vp.mqNext) {
    const { ino, useCount, bufs, names } = vp;
    queued++;
    expect(
      (vp.flag & VFlag.VRECLAIMED) !== 0 && useCount > 0 && bufs === undefined && names === undefined,
      () => `dead vnode ${ino}: not reclaimed, unused, or with bufs or names`,
    );
  }
  expect(
    queued === dummymount.queueSize,
    () => `${queued} dead vnodes queued, ${dummymount.queueSize} counted`,
  );
};

const checkTotals = (vnodes: VnodeCache, totals: Totals, expect: Expect): void => {
  const { bufs, names } = vnodes;
  for (const frame of bufs.pool.freeFrames()) totals.owners[frame]++;
  const unowned = totals.owners.findIndex((count) => count !== 1);
  expect(unowned < 0, () => `frame ${unowned} has ${totals.owners[unowned]} owners`);
  const compare = (what: string, kept: number, counted: number): void =>
    expect(kept === counted, () => `${what}: ${kept} kept, ${counted} counted`);
  compare('vnodes', vnodes.count, totals.vnodes);
  compare('active vnodes', vnodes.active, totals.active);
  compare('clean bufs', bufs.cleanBufs, totals.cleanBufs);
  compare('dirty pages', bufs.dirtyPages, totals.dirtyPages);
  compare('names', names.size, totals.names);
  compare('clean names', names.clean, totals.cleanNames);
  compare('bytes of values', vnodes.values.bytes, totals.valueBytes);
  expect(names.clean <= names.max, () => `${names.clean} clean names of ${names.max}`);
};
