/**
 * Transaction groups, the dispatcher's side: collects every change, seals, hands over, settles.
 *
 *   open    collects changes                                   exactly one, always
 *   sealed  with the syncer, its pages immutable               at most one
 *   committed / durable                                        numbers only
 *
 * Every change belongs to the group that was open when it was made, whole: an operation calls {@link admit} before its
 * first side effect and never waits after it. So any committed state is that after some prefix of the operations.
 *
 * INVARIANT: a vnode with a dirty attribute, name or buf is on the open group's list, which holds it once.
 * Durable are groups by a barrier of the store's, or by the intent log: see intents.ts. That also takes what the open group
 * has got so far.
 *
 * INVARIANT: stored <= committed < open; committed = open - 1, or open - 2 while a group is sealed; stored <= durable < open.
 */
import { assert } from '../base/assert.js';
import { Errno, FsError } from '../base/errno.js';
import type { Clock } from '../base/clock.js';
import type { Ino } from '../base/ids.js';
import { WouldBlock } from '../base/wait.js';
import type { StoreCounters, TxgOps } from '../store/types.js';
import { popcount, type Buf } from '../vnode/buf.js';
import type { MountAudit } from '../vnode/mount.js';
import type { NameEntry } from '../vnode/name-cache.js';
import type { VnodeCache } from '../vnode/vnode-cache.js';
import type { Vnode } from '../vnode/vnode.js';
import { BarrierPace } from './barrier-pace.js';
import { type BarrierDone, BarrierWaiters } from './barrier-waiters.js';
import { GroupEncoder } from './group-encoder.js';
import { type GroupLimits, groupLimits, SMALL_GROUP_PAGES } from './group-limits.js';
import { Delta } from './delta.js';
import type { Intents } from './intents.js';
import type { CommitReply, LogReply } from './messages.js';
import { SealedGroup } from './sealed-group.js';
import type { SyncerPort, TxgLog, TxgOptions } from './txg-options.js';
import type { RoomTaker, WriteRoom } from './write-room.js';

/** As long as an unmount may take. */
const WAIVED_MS = 60_000;

/** What makes a group durable: the intent log if it can, or a commit of the store that is synced. */
type Barrier = 'none' | 'log' | 'store';

export class Txgs implements RoomTaker {
  readonly counters: StoreCounters;
  /** Undefined: no barrier goes by the intent log. */
  readonly intents: Intents | undefined;
  openId: number;
  committed: number;
  /** The newest group that survives a crash, and the newest that does so without the intent log. */
  durable: number;
  stored: number;
  /** Set while commits fail; cleared by the first that succeeds. */
  failing: { errno: number; reason: string } | undefined = undefined;
  /** Why nothing new is taken, though commits go well: see Syncer. */
  logHeld = '';
  /** Until then it is taken nevertheless: an unmount has begun. */
  #heldWaivedUntilMs = 0;
  /** Raised when commits begin to fail: handles compare it, as Linux's errseq. */
  errSeq = 0;
  commits = 0;
  throttles = 0;
  commitMs = 0;
  walBytes = 0;
  /** While set: files whose contents have been committed, and how many pages. For the report of an unmount. */
  tally: { files: Set<Ino>; pages: number } | undefined = undefined;
  readonly #vnodes: VnodeCache;
  readonly #log: TxgLog;
  readonly #encoder: GroupEncoder;
  readonly #port: SyncerPort;
  readonly #room: WriteRoom;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #limits: GroupLimits;
  #dirtyVnodes: Vnode[] = [];
  #dirtyNames: NameEntry[] = [];
  #rows: Buf[] = [];
  #orphans = new Map<Ino, boolean>();
  #sealed: SealedGroup | undefined = undefined;
  #openPages = 0;
  #openBarrier: Barrier = 'none';
  /** While the intent log has parts of the open group: what they lack. */
  #delta: Delta | undefined = undefined;
  /** The intent log can't take more of the open group. */
  #cut = false;
  #sealWanted = false;
  #firstDirtyMs = 0;
  #changed = false;
  readonly #waiters = new BarrierWaiters();
  readonly #pace: BarrierPace;

  constructor(options: TxgOptions) {
    this.#vnodes = options.vnodes;
    this.#log = options.log;
    this.#encoder = new GroupEncoder(options.log);
    this.intents = options.intents;
    this.#port = options.port;
    this.#room = options.room;
    this.#room.add(this);
    this.#clock = options.clock;
    this.#intervalMs = options.syncIntervalMs;
    this.counters = options.counters;
    this.committed = this.durable = this.stored = options.committed;
    this.openId = options.committed + 1;
    this.#limits = groupLimits(options.vnodes.bufs.pool.size, options.vnodes.max);
    this.#pace = new BarrierPace(options.clock, this.#limits.sealPages);
  }

  /** For operations that log changes at once (truncate, xattrs, symlinks). The vnode must be marked by {@link dirtyAttr} too. */
  get log(): TxgOps {
    return this.#log;
  }

  get dirtyObjects(): number {
    return this.#dirtyVnodes.length + this.#dirtyNames.length + this.#rows.length;
  }

  /** How many more objects an operation that takes many (clones, preallocated chunks) may dirty now; at least 1. */
  get objectsRoom(): number {
    return Math.max(1, Math.floor(this.#limits.dirtyObjectsMax / this.#room.shares) - this.dirtyObjects);
  }

  /** A small group is being committed and somebody waits for it: the answer will be here soon. */
  get barrierPending(): boolean {
    const group = this.#sealed;
    const awaited = group?.barrier === true || this.#openBarrier === 'store';
    return group !== undefined && awaited && group.frames.length <= SMALL_GROUP_PAGES;
  }

  /**
   * To be called by every changing operation before its first side effect, with the frames it will need at most. Makes
   * that many frames free, so bufs that this request has used before may be evicted; those used from now on are safe.
   * Throws WouldBlock when write-back must catch up first, FsError when commits are failing.
   */
  admit(pages: number): void {
    if (this.failing !== undefined) throw new FsError(this.failing.errno, 'write-back');
    // What an earlier request used must not stand in the way: no write-back would ever free it.
    this.#vnodes.bufs.newRequest();
    const { shares } = this.#room;
    const crowded =
      (this.logHeld !== '' && this.#clock.monotonicMs() >= this.#heldWaivedUntilMs) ||
      (pages > 0 && this.#pagesCrowded(pages, shares)) ||
      this.dirtyObjects >= this.#limits.dirtyObjectsMax / shares ||
      this.#log.logBytes >= this.#limits.logBytesMax / shares ||
      !this.#vnodes.bufs.reserve(pages);
    if (!crowded) return;
    this.#room.press();
    this.throttles++;
    this.#room.throttle(this.#clock.monotonicMs());
    throw new WouldBlock(this.#room.made);
  }

  #pagesCrowded(pages: number, shares: number): boolean {
    const { dirtyPages } = this.#vnodes.bufs;
    const own = this.#openPages + (this.#sealed?.frames.length ?? 0);
    if (own > 0 && own + pages > this.#pace.pagesMax) return true;
    if (dirtyPages === 0 || dirtyPages + pages <= this.#limits.dirtyPagesMax) return false;
    if (shares === 1) return true;
    return own + pages > this.#limits.dirtyPagesMax / shares && own > 0;
  }

  /** Somebody waits for room: what is open is sealed as soon as the sealed group is committed. */
  sealSoon(): void {
    if (!this.#changed) return;
    this.#sealWanted = true;
    this.poll();
  }

  #touchOpen(): void {
    if (this.#changed) return;
    this.#changed = true;
    this.#firstDirtyMs = this.#clock.monotonicMs();
  }

  /** Anything of `vp` (or a name leading to it) changes in the open group. */
  enlist(vp: Vnode): void {
    vp.dirtyTxg = this.openId;
    this.#delta?.vnodes.add(vp);
    if (vp.onDirtyList) return;
    vp.onDirtyList = true;
    this.#vnodes.vhold(vp);
    this.#dirtyVnodes.push(vp);
    this.#touchOpen();
  }

  dirtyAttr(vp: Vnode): void {
    vp.attrDirty = true;
    this.enlist(vp);
  }

  /** Pages `mask` of `buf` (valid, none sealed) have been written. */
  dirtyPages(buf: Buf, mask: number, newlyDirty: number): void {
    if (buf.dirty === 0) {
      (buf.vp.dirtyBufs ??= []).push(buf);
      this.#vnodes.bufs.markBusy(buf);
    }
    buf.dirty |= mask;
    this.#delta?.dirtyPages(buf, mask);
    this.#vnodes.bufs.dirtyPages += newlyDirty;
    this.#openPages += newlyDirty;
    this.enlist(buf.vp);
  }

  /** A row for the chunk of `buf` (a clone, or preallocated) has been appended to the log: keeps the buf until it is stored. */
  rowLogged(buf: Buf): void {
    this.#vnodes.bufs.markBusy(buf);
    if (buf.rowTxg !== this.openId) {
      buf.rowTxg = this.openId;
      this.#rows.push(buf);
    }
    buf.vp.logged = true;
    this.enlist(buf.vp);
  }

  /** As {@link rowLogged}, for the sealed group: see {@link SealedGroup.keepRow}. */
  keepRow(buf: Buf): void {
    assert(this.#sealed !== undefined, 'a row on its way, and no sealed group');
    this.#sealed.keepRow(buf);
  }

  /** Extended attributes or the symlink target of `vp` have been appended to the log; it must be marked by {@link dirtyAttr} too. */
  valuesLogged(vp: Vnode): void {
    vp.logged = true;
    vp.valuesTxg = this.openId;
  }

  /** Throws WouldBlock until group `txg`, which is sealed if it is still open, has been committed; FsError when commits fail. */
  awaitCommit(txg: number): void {
    if (this.committed >= txg) return;
    if (this.failing !== undefined) throw new FsError(this.failing.errno, 'write-back');
    if (txg >= this.openId) this.#sealWanted = true;
    this.poll();
    throw new WouldBlock(this.#room.made);
  }

  /**
   * Pages of a file are about to go (truncated, or a hole). What the intent log has heard of in this group, and the store
   * never will, makes the two disagree about what is charged: the next barrier is the store's.
   */
  cutting(): void {
    if (this.#delta !== undefined) this.#cut = true;
  }

  /** `entry` was set (or made negative); its directory must be marked by {@link dirtyAttr} too. */
  dirtyName(entry: NameEntry): void {
    this.#delta?.names.add(entry);
    if (entry.dirtyTxg === this.openId) return;
    if (entry.dirtyTxg === 0) {
      this.#vnodes.names.pin(entry);
      entry.dvp.dirtyNames++;
    }
    entry.dirtyTxg = this.openId;
    this.#dirtyNames.push(entry);
    this.#touchOpen();
  }

  /** The inode joins or leaves the stored list of orphans. */
  setOrphan(ino: Ino, orphan: boolean): void {
    this.#orphans.set(ino, orphan);
    this.#delta?.orphans.set(ino, orphan);
    this.#touchOpen();
  }

  /** The inode is being removed: with its row goes its orphan mark. */
  clearOrphan(ino: Ino): void {
    this.#orphans.delete(ino);
    this.#delta?.orphans.delete(ino);
  }

  /** Seals if it is time to. To be called after each request, at the deadline, and after each reply. */
  poll(): void {
    if (this.#openBarrier === 'log') {
      const wantsCommit =
        !this.#takeIntents() || (this.#sealed === undefined && this.intents?.wantsCommit === true);
      this.#openBarrier = wantsCommit ? 'store' : 'none';
    }
    if (this.#sealed !== undefined) return;
    if (this.#openBarrier === 'store') {
      this.#seal();
      return;
    }
    if (this.#changed && this.#clock.monotonicMs() >= this.deadlineMs) this.#seal();
  }

  /** When {@link poll} should be called next, in the clock's monotonic milliseconds; Infinity if never. */
  get deadlineMs(): number {
    if (this.#openBarrier === 'log') return 0;
    if (this.#sealed !== undefined) return Infinity;
    if (this.#openBarrier === 'store') return 0;
    if (!this.#changed) return Infinity;
    const full =
      this.#openPages >= this.#limits.sealPages ||
      this.dirtyObjects >= this.#limits.sealObjects ||
      this.#log.logBytes >= this.#limits.sealLogBytes;
    if (this.#sealWanted || full) return 0;
    return this.#firstDirtyMs + this.#intervalMs;
  }

  #seal(): void {
    const barrier = this.#openBarrier === 'store';
    const missed = this.#cut || this.#rows.length > 0;
    const delta = missed ? undefined : this.#delta;
    if (this.intents?.seal(this.openId, delta, this.#log, this.counters) === true) this.durable = this.openId;
    this.#delta = undefined;
    this.#cut = false;
    const group = new SealedGroup(this.openId, barrier, this.#dirtyVnodes, this.#dirtyNames, this.#rows);
    this.#encoder.encode(group, this.#orphans, this.counters);
    this.#dirtyVnodes = [];
    this.#dirtyNames = [];
    this.#rows = [];
    this.#orphans.clear();
    this.#openPages = 0;
    this.#openBarrier = 'none';
    this.#sealWanted = false;
    this.#changed = false;
    this.#sealed = group;
    this.openId++;
    const { log, logBytes } = this.#log.take();
    this.#port.send({ kind: 'commit', txg: group.txg, log, logBytes, barrier });
  }

  /** A barrier by the intent log. False: it must be the store's. */
  #takeIntents(): boolean {
    if (this.intents === undefined || this.#cut || this.#rows.length > 0) return false;
    const delta = this.#delta ?? this.#all();
    const { openId, stored, counters } = this;
    const heardOfAll = this.#delta?.isEmpty === true && this.intents.hasAll(this.#log);
    if (!heardOfAll && !this.intents.take(openId, stored, delta, this.#log, counters)) {
      this.#cut = true;
      return false;
    }
    delta.clear();
    this.#delta = delta;
    this.durable = openId - 1;
    this.#waiters.reached({ durable: openId, stored });
    return true;
  }

  /** Everything in the open group. */
  #all(): Delta {
    const delta = new Delta();
    for (const entry of this.#dirtyNames) delta.names.add(entry);
    for (const vp of this.#dirtyVnodes) {
      delta.vnodes.add(vp);
      for (const buf of vp.dirtyBufs ?? []) delta.dirtyPages(buf, buf.dirty);
    }
    for (const [ino, orphan] of this.#orphans) delta.orphans.set(ino, orphan);
    return delta;
  }

  /** The syncer's answer to a sealed group. A failed one stays sealed: the syncer tries again. */
  onReply(reply: CommitReply): void {
    const group = this.#sealed;
    assert(group !== undefined && group.txg === reply.txg, 'reply to another group');
    this.walBytes = reply.walBytes;
    if (reply.errno !== 0) {
      // Another vain attempt at the same group is no new error: who has heard of it is not told again.
      if (this.failing === undefined) this.errSeq++;
      this.failing = { errno: reply.errno, reason: reply.reason };
      this.#waiters.failed(new FsError(reply.errno, 'commit'));
    } else {
      this.failing = undefined;
      this.commits++;
      this.commitMs = reply.commitMs;
      this.#pace.committed(group.frames.length, reply.commitMs);
      this.committed = group.txg;
      if (group.barrier) this.durable = this.stored = group.txg;
      this.#sealed = undefined;
      if (this.tally !== undefined) {
        for (const { vp } of group.bufs) this.tally.files.add(vp.ino);
        this.tally.pages += group.frames.length;
      }
      group.settle(this.#vnodes);
      this.#waiters.reached(this);
    }
    this.poll();
    this.#room.wake(this.#clock.monotonicMs());
  }

  /** Whoever waits because of the log looks again. */
  onLog({ walBytes, held }: LogReply): void {
    this.walBytes = walBytes;
    this.logHeld = held;
    this.#room.wake(this.#clock.monotonicMs());
  }

  /** An unmount has begun: what the kernel still has to write back is taken, whoever reads the store. */
  waiveLogHeld(): void {
    this.#heldWaivedUntilMs = this.#clock.monotonicMs() + WAIVED_MS;
    this.#room.wake(this.#clock.monotonicMs());
  }

  /**
   * Calls `done` once group `txg` and all before it are durable, or with the error if a commit fails meanwhile.
   * `inStore`: durable without the intent log, so that whoever reads the store sees them.
   */
  barrier(txg: number, done: BarrierDone, inStore = false): void {
    if (txg <= (inStore ? this.stored : this.durable)) {
      done(undefined);
      return;
    }
    if (this.failing !== undefined) {
      done(new FsError(this.failing.errno, 'sync'));
      return;
    }
    this.#waiters.add(txg, inStore, inStore ? done : this.#pace.timed(done));
    // A group that was handed over without a barrier (or is committed, but not synced) becomes durable with the next barrier.
    if (this.#sealed?.barrier === true && txg <= this.#sealed.txg) return;
    const byLog = !inStore && this.#openBarrier !== 'store' && this.#mayTakeIntents();
    this.#openBarrier = byLog ? 'log' : 'store';
    // By the log it is taken at the next deadline, which is now: when all requests that are there have been served.
    if (!byLog) this.poll();
  }

  #mayTakeIntents(): boolean {
    if (this.intents === undefined || this.#cut || this.#rows.length > 0) return false;
    return this.intents.mayTake(this.openId, this.stored, this.#openPages, this.dirtyObjects);
  }

  /**
   * The mount ends without what is not committed: barriers fail, nothing is dirty or held any more. Requires that the
   * syncer has ended: the frames of a sealed group are free from now on.
   */
  abandon(): void {
    this.#room.remove(this, this.#clock.monotonicMs());
    this.failing ??= { errno: Errno.EIO, reason: 'the mount has ended' };
    this.#waiters.failed(new FsError(Errno.EIO, 'the mount has ended'));
    this.#sealed?.settle(this.#vnodes);
    this.#sealed = undefined;
    for (const entry of this.#dirtyNames) {
      if (entry.dirtyTxg === this.openId) entry.dvp.dirtyNames--;
      entry.dirtyTxg = 0;
    }
    for (const vp of this.#dirtyVnodes) {
      for (const buf of vp.dirtyBufs ?? []) if (!buf.dead) this.#vnodes.bufs.destroy(buf);
      vp.dirtyBufs = undefined;
      vp.attrDirty = false;
      vp.onDirtyList = false;
      this.#vnodes.vdrop(vp);
      if (vp.removed && vp.holdCount === 0) this.#vnodes.vgone(vp);
    }
    this.#dirtyVnodes = [];
    this.#dirtyNames = [];
    this.#orphans.clear();
    this.#openPages = 0;
    this.#changed = false;
  }

  /** See {@link MountAudit}. */
  audit(): MountAudit {
    const group = this.#sealed;
    const { openId, committed, durable, stored } = this;
    const wrong: string[] = [];
    if (
      stored > committed ||
      stored > durable ||
      durable >= openId ||
      committed !== openId - (group === undefined ? 1 : 2)
    )
      wrong.push(
        `transaction groups out of order: durable ${durable}, committed ${committed}, open ${openId}`,
      );
    for (const entry of this.#dirtyNames)
      if (entry.dirtyTxg !== openId)
        wrong.push(`name ${entry.dvp.ino}/${entry.name}: listed, of another group`);
    for (const { onDirtyList, ino } of this.#dirtyVnodes)
      if (!onDirtyList) wrong.push(`vnode ${ino}: on the open group's list, unmarked`);
    const open = new Set(this.#dirtyVnodes);
    if (open.size !== this.#dirtyVnodes.length) wrong.push('a vnode is listed twice');
    return {
      open,
      sealed: new Set(group?.vnodes ?? []),
      sealedFrames: group?.frames.length ?? 0,
      orphanedFrames: group?.orphanedFrames() ?? [],
      wrong,
    };
  }

  /** Inodes with changes that are in no group that is committed or in the intent log, and how many pages of theirs. */
  uncommitted(): Map<Ino, number> {
    const found = new Map<Ino, number>();
    const add = (ino: Ino, pages: number): void => void found.set(ino, (found.get(ino) ?? 0) + pages);
    const sealed = (this.#sealed?.txg ?? 0) > this.durable ? this.#sealed : undefined;
    for (const vp of sealed?.vnodes ?? []) add(vp.ino, 0);
    sealed?.bufs.forEach(({ vp }, i) => add(vp.ino, popcount(sealed.masks[i])));
    for (const vp of this.#dirtyVnodes) {
      add(vp.ino, 0);
      for (const { dead, dirty } of vp.dirtyBufs ?? []) if (!dead) add(vp.ino, popcount(dirty));
    }
    return found;
  }

  /** Everything so far: what a {@link barrier} must wait for. */
  get latest(): number {
    return this.#changed ? this.openId : this.openId - 1;
  }
}
