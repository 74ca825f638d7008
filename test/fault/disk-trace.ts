/**
 * What the fault-injecting disk writes down: one record for each change that a program made to the files below it, in
 * the order in which the disk took them. A trace is the disk's whole history, so the state at any moment can be built
 * again from it.
 */
import { readFileSync, writeFileSync } from 'node:fs';

/** `file` numbers a file, whatever its names. Only `write` has data. */
export type DiskOp =
  | { op: 'create'; file: number; name: string }
  | { op: 'link'; file: number; name: string }
  | { op: 'rename'; from: string; name: string }
  | { op: 'unlink'; name: string }
  | { op: 'write'; file: number; offset: number; bytes: number }
  | { op: 'truncate'; file: number; size: number }
  /** Succeeded: everything done to the file before is on the medium. */
  | { op: 'fsync'; file: number }
  /** Failed: what was not on the medium may never get there, though reading shows it; a later fsync proves nothing about it. */
  | { op: 'fsync-failed'; file: number }
  | { op: 'fsyncdir' }
  /** Not a change: the program under test says how far it is. */
  | { op: 'mark'; text: string };

export type DiskRecord = DiskOp & { data?: Buffer };

/** Each record is a line of JSON, after a `write` its data. */
export const encodeTrace = (records: readonly DiskRecord[]): Buffer => {
  const parts: Buffer[] = [];
  for (const { data, ...op } of records) {
    parts.push(Buffer.from(`${JSON.stringify(op)}\n`));
    if (data !== undefined) parts.push(data);
  }
  return Buffer.concat(parts);
};

export const saveTrace = (path: string, records: readonly DiskRecord[]): void =>
  writeFileSync(path, encodeTrace(records));

export const loadTrace = (path: string): DiskRecord[] => {
  const bytes = readFileSync(path);
  const records: DiskRecord[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(10, at);
    const record = JSON.parse(bytes.toString('utf8', at, end)) as DiskRecord;
    at = end + 1;
    if (record.op === 'write') {
      record.data = bytes.subarray(at, at + record.bytes);
      at += record.bytes;
    }
    records.push(record);
  }
  return records;
};
