/**
 * Chunks of a file that is read from front to back, read by the syncer's thread (which has little else to do then) before
 * the dispatcher asks for them. Both sides are here; between them lies an area of shared memory: a slot for each chunk,
 * with page frames of its own, and with a state that both change by compare-and-exchange.
 *
 *   free → wanted (dispatcher) → reading (syncer) → ready (syncer) → free (dispatcher)
 *          wanted → free: the dispatcher is there before the syncer, and reads the chunk itself
 *
 * Nothing is copied: the frames of a chunk that is used go to its buf, and the slot gets as many fresh ones.
 *
 * INVARIANT: a slot that the dispatcher uses was wanted after the newest commit that it has heard of: see
 * {@link ReadAhead.forget}. So what is in it is what a read of its own could have given.
 */
import { isFsError } from '../base/errno.js';
import { asIno, type Ino } from '../base/ids.js';
import { StoreError } from '../store/store-error.js';
import { PAGE_BYTES, type StoreReader } from '../store/types.js';
import { lowestBit, maskBelow, popcount, type Buf } from '../vnode/buf.js';
import type { BufCache } from '../vnode/buf-cache.js';
import type { ReadAheadRequest } from './messages.js';

/** The area's frames, more or less; two thirds of it are read ahead of one file. */
const AREA_BYTES = 3 << 20;
/** At most this part of the page pool. */
const POOL_PART = 8;
/** With fewer slots it isn't worth it. */
const SLOTS_MIN = 3;
/** Wants after which a chunk that nobody came for gives way. */
const STALE_WANTS = 4;
/** A file of which so many chunks have been read in sequence goes on like that. */
const SEQUENTIAL_CHUNKS = 4;
/** Reads of one file may overtake each other by so much: the kernel sends several at once. */
const OVERTAKEN_BYTES = 2 << 20;
/** The syncer is reading the chunk: no read of our own would be sooner, unless its thread has died. */
const READING_MS = 1000;

/** States of a slot. */
const FREE = 0;
const WANTED = 1;
const READING = 2;
const READY = 3;
/** Words of a slot's header. */
const STATE = 0;
const LENGTH = 1;
const HEADER_WORDS = 2;
/** Instead of a length. */
const FAILED = -1;

/** The slots' headers: what both sides see beside the page pool. */
class Area {
  readonly #words: Int32Array;
  /** By slot: inode and index of the chunk that is wanted there, set before the state. */
  readonly #chunks: Float64Array;
  /** By slot: the frames of the chunk's pages. */
  readonly #frames: Int32Array;
  readonly #pages: number;

  constructor({ memory, slots, pages }: Pick<ReadAheadRequest, 'memory' | 'slots' | 'pages'>) {
    this.#pages = pages;
    this.#chunks = new Float64Array(memory, 0, slots * 2);
    this.#words = new Int32Array(memory, slots * 16, slots * HEADER_WORDS);
    this.#frames = new Int32Array(memory, slots * (16 + HEADER_WORDS * 4), slots * pages);
  }

  static allocate(slots: number, pages: number): SharedArrayBuffer {
    return new SharedArrayBuffer(slots * (16 + HEADER_WORDS * 4 + pages * 4));
  }

  /** Free → wanted. */
  want(slot: number, ino: number, index: number): void {
    this.#chunks[slot * 2] = ino;
    this.#chunks[slot * 2 + 1] = index;
    this.change(slot, FREE, WANTED);
  }

  /** What is wanted there; for whoever has the slot in state 'reading'. */
  chunkOf(slot: number): { ino: Ino; index: number } {
    return { ino: asIno(this.#chunks[slot * 2]), index: this.#chunks[slot * 2 + 1] };
  }

  framesOf(slot: number): Int32Array {
    return this.#frames.subarray(slot * this.#pages, (slot + 1) * this.#pages);
  }

  lengthOf(slot: number): number {
    return this.#words[slot * HEADER_WORDS + LENGTH];
  }

  state(slot: number): number {
    return Atomics.load(this.#words, slot * HEADER_WORDS + STATE);
  }

  /** False: it was not in state `from`. */
  change(slot: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, slot * HEADER_WORDS + STATE, from, to) === from;
  }

  /** Reading → ready. */
  finish(slot: number, length: number): void {
    this.#words[slot * HEADER_WORDS + LENGTH] = length;
    this.change(slot, READING, READY);
    Atomics.notify(this.#words, slot * HEADER_WORDS + STATE);
  }

  /** Waits while the syncer is reading. True: the slot is ready. */
  awaitReady(slot: number): boolean {
    const at = slot * HEADER_WORDS + STATE;
    if (this.state(slot) === READING) Atomics.wait(this.#words, at, READING, READING_MS);
    return this.state(slot) === READY;
  }
}

/** How a file is being read, kept with the handle. */
export interface ReadPattern {
  /** Where the next read would begin if it followed the last. */
  readNext: number;
  /** Bytes read in sequence. */
  readRun: number;
  /** Chunks below this index have been asked for. */
  readAhead: number;
}

export const noPattern = (): ReadPattern => ({ readNext: 0, readRun: 0, readAhead: 0 });

/** The dispatcher's side. */
export class ReadAhead {
  readonly #bufs: BufCache;
  readonly #chunkBytes: number;
  readonly #send: (request: ReadAheadRequest) => void;
  readonly #pages: number;
  readonly #slots: number;
  /** Made when it is first needed: most mounts are never read that way. */
  #memory: SharedArrayBuffer | undefined;
  #area: Area | undefined;
  /** By slot; ino 0: free, or given up (then it is free as soon as the syncer has done with it). */
  readonly #inos: Float64Array;
  readonly #indices: Float64Array;
  /** By slot: {@link #wants} when it was wanted. */
  readonly #wantedAt: Float64Array;
  #wants = 0;
  /** Chunks that came from here. */
  hits = 0;

  constructor(bufs: BufCache, chunkBytes: number, send: (request: ReadAheadRequest) => void) {
    this.#bufs = bufs;
    this.#chunkBytes = chunkBytes;
    this.#send = send;
    this.#pages = chunkBytes / PAGE_BYTES;
    const slots = Math.floor(Math.min(AREA_BYTES / PAGE_BYTES, bufs.pool.size / POOL_PART) / this.#pages);
    this.#slots = slots < SLOTS_MIN ? 0 : slots;
    this.#inos = new Float64Array(this.#slots);
    this.#indices = new Float64Array(this.#slots);
    this.#wantedAt = new Float64Array(this.#slots);
  }

  /**
   * A read of bytes [offset, end) begins: wants what would come next, if the file is being read in sequence. `absent`:
   * the chunk is in the store and not in memory.
   */
  onRead(
    ino: Ino,
    pattern: ReadPattern,
    offset: number,
    end: number,
    fileEnd: number,
    absent: (index: number) => boolean,
  ): void {
    if (offset === 0 || Math.abs(offset - pattern.readNext) > OVERTAKEN_BYTES) {
      pattern.readRun = 0;
      pattern.readAhead = 0;
    }
    pattern.readRun += end - offset;
    pattern.readNext = end;
    if (this.#slots === 0 || pattern.readRun < SEQUENTIAL_CHUNKS * this.#chunkBytes) return;
    const ahead = Math.floor((this.#slots * 2) / 3);
    const next = Math.ceil(end / this.#chunkBytes);
    const from = Math.max(next, pattern.readAhead);
    const to = Math.min(next + ahead, Math.ceil(fileEnd / this.#chunkBytes));
    // Not one by one, but when half of them have been used.
    if (to <= from || to - from < Math.min(ahead / 2, to - next)) return;
    pattern.readAhead = to;
    this.#want(ino, from, to, absent);
  }

  #want(ino: Ino, from: number, to: number, absent: (index: number) => boolean): void {
    const area = this.#prepare();
    if (area === undefined) return;
    this.#wants++;
    const wanted: number[] = [];
    for (let index = from, slot = 0; index < to; index++) {
      if (!absent(index) || this.#find(ino, index) >= 0) continue;
      while (slot < this.#slots && !this.#makeFree(area, slot)) slot++;
      if (slot === this.#slots) break;
      this.#inos[slot] = ino;
      this.#indices[slot] = index;
      this.#wantedAt[slot] = this.#wants;
      area.want(slot, ino, index);
      wanted.push(slot);
    }
    if (wanted.length === 0) return;
    this.#send({ kind: 'read', wanted, memory: this.#memory!, slots: this.#slots, pages: this.#pages });
  }

  /** undefined: there are no frames for it now. */
  #prepare(): Area | undefined {
    if (this.#area !== undefined) return this.#area;
    const [slots, pages] = [this.#slots, this.#pages];
    if (!this.#bufs.reserve(slots * pages)) return undefined;
    this.#memory = Area.allocate(slots, pages);
    this.#area = new Area({ memory: this.#memory, slots, pages });
    for (let slot = 0; slot < slots; slot++) {
      const frames = this.#area.framesOf(slot);
      for (let page = 0; page < pages; page++) frames[page] = this.#bufs.pool.alloc();
    }
    return this.#area;
  }

  /** True: the slot is free, perhaps since its chunk has waited too long for a reader that went elsewhere. */
  #makeFree(area: Area, slot: number): boolean {
    if (this.#inos[slot] !== 0 && this.#wants - this.#wantedAt[slot] > STALE_WANTS) this.#giveUp(area, slot);
    if (this.#inos[slot] !== 0) return false;
    return area.state(slot) === FREE || area.change(slot, READY, FREE);
  }

  /**
   * Gives the absent pages of `buf`, below its extent, what was read ahead of them. False: it wasn't; read them yourself.
   * Requires that the store's rows are what the buf should show.
   */
  fill(ino: Ino, buf: Buf): boolean {
    const area = this.#area;
    const slot = area === undefined ? -1 : this.#find(ino, buf.index);
    if (area === undefined || slot < 0) return false;
    this.#inos[slot] = 0;
    if (area.change(slot, WANTED, FREE) || !area.awaitReady(slot)) return false;
    const filled =
      area.lengthOf(slot) !== FAILED && this.#adopt(buf, area.framesOf(slot), area.lengthOf(slot));
    area.change(slot, READY, FREE);
    return filled;
  }

  #adopt(buf: Buf, frames: Int32Array, length: number): boolean {
    const absent = ~buf.valid & maskBelow(buf.extent);
    if (!this.#bufs.reserve(popcount(absent))) return false;
    for (let rest = absent; rest !== 0; rest &= rest - 1) {
      const page = lowestBit(rest);
      const frame = frames[page];
      frames[page] = this.#bufs.addFrame(buf, page, frame);
      const bytes = length - page * PAGE_BYTES;
      if (bytes < PAGE_BYTES) this.#bufs.pool.zero(frame, Math.max(0, bytes));
    }
    this.#bufs.pass(buf);
    this.hits++;
    return true;
  }

  /** A commit has been heard of: nothing that was wanted before counts any more. */
  forget(): void {
    const area = this.#area;
    if (area === undefined) return;
    for (let slot = 0; slot < this.#slots; slot++) if (this.#inos[slot] !== 0) this.#giveUp(area, slot);
  }

  /** Frames of the slots, for the invariant checker. */
  frames(): number[] {
    const slots = this.#area === undefined ? 0 : this.#slots;
    return Array.from({ length: slots }, (_, slot) => [...this.#area!.framesOf(slot)]).flat();
  }

  /** Frees the frames. Requires that the syncer has ended. Idempotent. */
  drop(): void {
    for (const frame of this.frames().reverse()) this.#bufs.pool.free(frame);
    this.#area = undefined;
    this.#inos.fill(0);
  }

  #find(ino: Ino, index: number): number {
    for (let slot = 0; slot < this.#slots; slot++)
      if (this.#inos[slot] === ino && this.#indices[slot] === index) return slot;
    return -1;
  }

  /** No longer of interest; while the syncer is reading it, it isn't free yet. */
  #giveUp(area: Area, slot: number): void {
    this.#inos[slot] = 0;
    if (!area.change(slot, WANTED, FREE)) area.change(slot, READY, FREE);
  }
}

/** The syncer's side: reads one chunk a call, so that a commit needn't wait for more. */
export class ReadAheadServer {
  readonly #pool: Uint8Array;
  readonly #open: () => StoreReader;
  #reader: StoreReader | undefined;
  #unreadable = false;
  readonly #queue: ReadAheadRequest[] = [];
  /** Of the first request. */
  #next = 0;

  /** `open` is called when the first chunk is wanted; {@link close} closes what it returned. */
  constructor(pool: SharedArrayBuffer, open: () => StoreReader) {
    this.#pool = new Uint8Array(pool);
    this.#open = open;
  }

  add(request: ReadAheadRequest): void {
    this.#queue.push(request);
  }

  /** Reads a chunk that is still wanted. False: there is none. */
  step(): boolean {
    for (let request = this.#queue.at(0); request !== undefined; request = this.#queue.at(0)) {
      if (this.#next === request.wanted.length) {
        this.#next = 0;
        this.#queue.shift();
        continue;
      }
      if (this.#read(new Area(request), request.wanted[this.#next++], request.pages)) return true;
    }
    return false;
  }

  #read(area: Area, slot: number, pages: number): boolean {
    if (!area.change(slot, WANTED, READING)) return false;
    // Not what the request was sent for, perhaps: the dispatcher may have taken the slot back and used it anew.
    const { ino, index } = area.chunkOf(slot);
    const data = this.#chunk(ino, index);
    // A damaged store may hold a longer one.
    if (data === undefined || data.length > pages * PAGE_BYTES) area.finish(slot, FAILED);
    else {
      this.#put(data, area.framesOf(slot));
      area.finish(slot, data.length);
    }
    return true;
  }

  /** Into the frames, neighbouring ones at once. */
  #put(data: Uint8Array, frames: Int32Array): void {
    for (let page = 0; page * PAGE_BYTES < data.length;) {
      const first = page++;
      while (page < frames.length && frames[page] === frames[page - 1] + 1) page++;
      const piece = data.subarray(first * PAGE_BYTES, page * PAGE_BYTES);
      this.#pool.set(piece, frames[first] * PAGE_BYTES);
    }
  }

  /** undefined: a hole, or it can't be read; the dispatcher will find out which. */
  #chunk(ino: Ino, index: number): Uint8Array | undefined {
    if (this.#unreadable) return undefined;
    try {
      this.#reader ??= this.#open();
      return this.#reader.readChunk(ino, index);
    } catch (error) {
      if (error instanceof StoreError) this.#unreadable = true;
      else if (!isFsError(error)) throw error;
      return undefined;
    }
  }

  close(): void {
    this.#queue.length = 0;
    this.#reader?.close();
    this.#reader = undefined;
  }
}
