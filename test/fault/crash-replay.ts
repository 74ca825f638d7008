/**
 * Replays a recorded workload: at every point of the disk's trace the store is built as a crash there could leave it,
 * opened, checked by fsck, and compared with the model's state at the group that it claims to hold, which must not be
 * older than any barrier that had returned by then.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Prng } from '../../src/base/prng.js';
import { checkStore } from '../../src/store/fsck.js';
import { replayIntentLog } from '../../src/store/intent-replay.js';
import { openReader } from '../../src/store/reader.js';
import { CrashDisk, type DiskImage, imageKey } from './crash-disk.js';
import { CrashModel, describeStore } from './crash-model.js';
import type { DiskRecord } from './disk-trace.js';
import { barrierMark, type LoggedEntry } from './request-log.js';

export interface Recording {
  name: string;
  trace: DiskRecord[];
  /** The request log of each session of the daemon. */
  logs: LoggedEntry[][];
  /** Of the store's root directory as mkfs made it. */
  root: { mode: number; uid: number; gid: number };
  /** Name of the store on the disk. */
  storeName: string;
}

/** Marks that the driver leaves itself: the store has been made; a session has been unmounted. */
export const MADE_MARK = 'made';
export const closedMark = (session: number): string => `closed ${session}`;

export interface ReplayOptions {
  /** Random power cuts at each point, besides the plain prefix. */
  variants: number;
  seed: number;
  /** Looks at one point in so many; default all. */
  sampleOneIn?: number;
  /** Stops at so many violations. */
  violationsMax?: number;
  /** Where images are opened: a directory on tmpfs. */
  scratch: string;
  onProgress?: (points: number) => void;
}

export interface ReplayResult {
  name: string;
  /** Records at which the disk was crashed, images built there, images opened (equal ones seldom, to see that they are). */
  points: number;
  images: number;
  opened: number;
  /** Images in which the intent log brought groups that SQLite's own log lacked. */
  replayed: number;
  groups: number;
  changes: number;
  violations: string[];
}

interface Expected {
  tree: string;
  lines: string[];
  changes: number;
}

/** What an image turned out to hold. */
interface Found {
  /** No store file: the crash came while it was made. */
  missing: boolean;
  changes: number;
  /** See {@link stateName}. */
  state: string;
  /** Groups that the intent log brought. */
  replayed: number;
  wrong: string;
}

/** Images that must show the same are opened again so seldom. */
const OPEN_EQUAL_ONE_IN = 20;

/** A group's number; of one that an intent log brought in parts, how many parts, too. */
const stateName = (txg: number, parts = 0): string => (parts === 0 ? `${txg}` : `${txg}, ${parts} parts`);

class Oracle {
  /** By {@link stateName}. */
  readonly groups = new Map<string, Expected>();
  /** By mark: the number of the last change that must survive. */
  readonly owed = new Map<string, number>([[MADE_MARK, 0]]);
  readonly changes: number;

  constructor({ logs, root }: Recording) {
    const model = new CrashModel(root);
    const snapshot = (state: string): void => {
      const lines = model.describe();
      this.groups.set(state, { tree: lines.join('\n'), lines, changes: model.changes });
    };
    snapshot(stateName(0));
    logs.forEach((log, session) => {
      for (const entry of log) {
        if (entry.change === 'seal') snapshot(stateName(entry.txg));
        else if (entry.change === 'part') snapshot(stateName(entry.txg, entry.part));
        else if (entry.change === 'barrier')
          this.owed.set(barrierMark(session, entry.id), model.owed(entry.ino));
        else model.play(entry);
      }
      this.owed.set(closedMark(session), model.changes);
    });
    this.changes = model.changes;
  }

  /** What is wrong with this tree as that state; '' for nothing. */
  compare(state: string, lines: string[]): string {
    const expected = this.groups.get(state);
    if (expected === undefined) return `holds group ${state}, which was never sealed`;
    if (lines.join('\n') === expected.tree) return '';
    const [have, want] = [new Set(lines), new Set(expected.lines)];
    const extra = lines.filter((line) => !want.has(line)).slice(0, 2);
    const lacking = expected.lines.filter((line) => !have.has(line)).slice(0, 2);
    return `is not the state after group ${state}: found ${extra.join(' | ')} instead of ${lacking.join(' | ')}`;
  }
}

export class CrashReplayer {
  readonly #recording: Recording;
  readonly #options: ReplayOptions;
  readonly #oracle: Oracle;
  readonly #dir: string;
  readonly #again: Prng;
  readonly #known = new Map<string, Found>();
  readonly #result: ReplayResult;

  constructor(recording: Recording, options: ReplayOptions) {
    this.#recording = recording;
    this.#options = options;
    this.#oracle = new Oracle(recording);
    this.#again = new Prng(options.seed);
    this.#dir = mkdtempSync(join(options.scratch, 'vnodefs-replay-'));
    this.#result = {
      ...{ name: recording.name, points: 0, images: 0, opened: 0, replayed: 0, violations: [] },
      ...{ groups: this.#oracle.groups.size, changes: this.#oracle.changes },
    };
  }

  run(): ReplayResult {
    const { trace } = this.#recording;
    const { variants, seed, sampleOneIn = 1, violationsMax = 20 } = this.#options;
    const disk = new CrashDisk();
    const sample = new Prng(seed);
    let floor = -1;
    try {
      for (let i = 0; i < trace.length && this.#result.violations.length < violationsMax; i++) {
        const record = trace[i];
        disk.apply(record);
        if (record.op === 'mark') {
          floor = Math.max(floor, this.#owedBy(record.text));
          continue;
        }
        if (sample.int(sampleOneIn) !== 0) continue;
        this.#result.points++;
        this.#judge(`after record ${i} (${record.op})`, disk.killed(), floor);
        for (let v = 0; v < variants; v++) {
          const at = (seed ^ Math.imul(i * 64 + v + 1, 0x9e3779b1)) >>> 0;
          this.#judge(`power cut ${v} at record ${i} (${record.op})`, disk.powerCut(new Prng(at)), floor);
        }
        this.#options.onProgress?.(this.#result.points);
      }
    } finally {
      rmSync(this.#dir, { recursive: true, force: true });
    }
    return this.#result;
  }

  #owedBy(mark: string): number {
    const owed = this.#oracle.owed.get(mark);
    if (owed === undefined) throw new Error(`nobody knows the mark "${mark}"`);
    return owed;
  }

  #judge(where: string, image: DiskImage, floor: number): void {
    this.#result.images++;
    const key = imageKey(image);
    const known = this.#known.get(key);
    let found = known;
    if (found === undefined || this.#again.int(OPEN_EQUAL_ONE_IN) === 0) {
      found = this.#open(image);
      this.#known.set(key, found);
      if (known !== undefined && known.state !== found.state) {
        found.wrong ||= `opened as group ${found.state}, an equal image as ${known.state}`;
      }
    }
    if (found.replayed > 0) this.#result.replayed++;
    let wrong = found.wrong;
    if (found.missing) wrong = floor < 0 ? '' : 'the store is gone';
    else if (wrong === '' && found.changes < floor) {
      wrong = `holds ${found.changes} changes (group ${found.state}), and a barrier that had returned promised ${floor}`;
    }
    if (wrong !== '') this.#result.violations.push(`${this.#recording.name}, ${where}: ${wrong}`);
  }

  #open(image: DiskImage): Found {
    this.#result.opened++;
    const { storeName } = this.#recording;
    const path = join(this.#dir, storeName);
    for (const suffix of ['', '-wal', '-shm', '-intent']) rmSync(path + suffix, { force: true });
    for (const suffix of ['', '-wal', '-intent']) {
      const bytes = image.get(storeName + suffix);
      if (bytes !== undefined) writeFileSync(path + suffix, bytes);
    }
    const found: Found = { missing: !image.has(storeName), changes: 0, state: '', replayed: 0, wrong: '' };
    if (found.missing) return found;
    try {
      const replayed = replayIntentLog(path);
      found.replayed = replayed.groups;
      // Opened first and closed last: recovery and the folding in of the log then happen once.
      const reader = openReader(path);
      try {
        const { txg } = reader.counters();
        found.state = replayed.groups > 0 ? stateName(replayed.txg, replayed.parts) : stateName(txg);
        found.changes = this.#oracle.groups.get(found.state)?.changes ?? 0;
        const { findings } = checkStore(path);
        if (findings.length > 0) {
          found.wrong = `fsck: ${findings
            .map((f) => `${f.rule}: ${f.message}`)
            .slice(0, 3)
            .join('; ')}`;
        }
        found.wrong ||= this.#oracle.compare(found.state, describeStore(reader));
      } finally {
        reader.close();
      }
    } catch (error) {
      found.wrong = `can't be opened: ${error instanceof Error ? error.message : String(error)}`;
    }
    return found;
  }
}
