/**
 * What reached the core, in order: every request that changed something, every sealed transaction group, every barrier
 * that returned. The core behind it decides what happens; crash-model.ts plays the same requests by rules of its own.
 */
import { readFileSync, writeFileSync } from 'node:fs';

export type Change =
  | { change: 'make'; parent: number; name: string; ino: number; mode: number; rdev: number; target: string }
  | { change: 'tmpfile'; ino: number; mode: number }
  | { change: 'link'; ino: number; parent: number; name: string }
  | { change: 'remove'; parent: number; name: string }
  | { change: 'rename'; parent: number; name: string; newParent: number; newName: string; flags: number }
  | { change: 'attributes'; ino: number; mode?: number; uid?: number; gid?: number; size?: number }
  | { change: 'write'; ino: number; offset: number; bytes: number }
  | { change: 'fallocate'; ino: number; mode: number; offset: number; length: number }
  | { change: 'copy'; from: number; fromOffset: number; to: number; toOffset: number; bytes: number }
  | { change: 'setxattr'; ino: number; name: string; value: string }
  | { change: 'removexattr'; ino: number; name: string };

export type LogEntry =
  | Change
  /** The group holds every change before this entry that no earlier group holds. */
  | { change: 'seal'; txg: number }
  /** The intent log gets a part of the open group: with its earlier parts, every change before this entry. */
  | { change: 'part'; txg: number; part: number }
  /** A barrier on this inode (0: on everything) was asked for: what it owes is what led to the inode's state now. */
  | { change: 'barrier'; id: number; ino: number };

/** `data` belongs to a write. */
export type LoggedEntry = LogEntry & { data?: Buffer };

export class RequestLog {
  readonly entries: LoggedEntry[] = [];
  #barriers = 0;

  add(entry: LogEntry, data?: Uint8Array): void {
    this.entries.push(data === undefined ? entry : { ...entry, data: Buffer.from(data) });
  }
  /** Returns the barrier's number, for the mark that says that it returned. */
  barrier(ino: number): number {
    this.add({ change: 'barrier', id: ++this.#barriers, ino });
    return this.#barriers;
  }

  save(path: string): void {
    const parts: Buffer[] = [];
    for (const { data, ...entry } of this.entries) {
      parts.push(Buffer.from(`${JSON.stringify(entry)}\n`));
      if (data !== undefined) parts.push(data);
    }
    writeFileSync(path, Buffer.concat(parts));
  }

  static load(path: string): LoggedEntry[] {
    const bytes = readFileSync(path);
    const entries: LoggedEntry[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = bytes.indexOf(10, at);
      const entry = JSON.parse(bytes.toString('utf8', at, end)) as LoggedEntry;
      at = end + 1;
      if (entry.change === 'write') {
        entry.data = bytes.subarray(at, at + entry.bytes);
        at += entry.bytes;
      }
      entries.push(entry);
    }
    return entries;
  }
}

/** The mark that the rig leaves on the disk when a barrier is answered. */
export const barrierMark = (session: number, id: number): string => `${session} ${id}`;
