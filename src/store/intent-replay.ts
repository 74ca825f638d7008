/** Brings what the intent log of a crashed daemon holds into the store: after that one file has everything again. */
import { existsSync } from 'node:fs';
import { intentLogPath, type IntentRecord, readIntentLog, removeIntentLog } from './intent-log.js';
import { FsError } from '../base/errno.js';
import { openStore } from './open.js';
import { openError, StoreError } from './store-error.js';
import { readCounters, readSuperblock } from './superblock.js';
import { renumberFrames } from './txg-log.js';
import { StoreWriter } from './writer.js';

/** How many groups the log holds that the store lacks; changes nothing. Errors: StoreError. */
export function pendingIntents(store: string): number {
  if (!existsSync(intentLogPath(store))) return 0;
  const db = openStore(store, { mode: 'read', cacheKiB: 1024 });
  try {
    const { txg } = readCounters(db, store);
    return groupsOf(readIntentLog(store, readSuperblock(db, store).uuid, txg)).length;
  } catch (error) {
    throw openError(store, error);
  } finally {
    db.close();
  }
}

/** What came in: groups, and of the last of them its number, and how many parts there were: it need not be whole. */
export interface Replayed {
  groups: number;
  txg: number;
  parts: number;
}
const NOTHING: Replayed = { groups: 0, txg: 0, parts: 0 };

const groupsOf = (records: readonly IntentRecord[]): { txg: number; parts: IntentRecord[] }[] => {
  const groups: { txg: number; parts: IntentRecord[] }[] = [];
  for (const record of records) {
    if (record.part === 1) groups.push({ txg: record.txg, parts: [] });
    groups.at(-1)?.parts.push(record);
  }
  return groups;
};

/** As one group. */
const joined = (parts: readonly IntentRecord[]): Pick<IntentRecord, 'log' | 'logBytes' | 'pages'> => {
  const logs = parts.map(({ log, logBytes }) => new Uint8Array(log, 0, logBytes));
  const log = new Uint8Array(Buffer.concat(logs)).buffer;
  renumberFrames(log, log.byteLength);
  return {
    log,
    logBytes: log.byteLength,
    pages: new Uint8Array(Buffer.concat(parts.map(({ pages }) => pages))),
  };
};

/**
 * Requires the writer lock. What it returns is durable, and the log is gone. Errors: StoreError,
 * with the log left as it is.
 */
export function replayIntentLog(store: string): Replayed {
  const path = intentLogPath(store);
  if (!existsSync(path)) return NOTHING;
  const writer = new StoreWriter(store);
  let replayed: Replayed = NOTHING;
  try {
    const { txg } = writer.counters();
    const groups = groupsOf(readIntentLog(store, writer.superblock.uuid, txg));
    if (groups.length > 0 && groups[0].txg !== txg + 1) throw newerState(store, path);
    for (const group of groups) {
      const { log, logBytes, pages } = joined(group.parts);
      writer.commit(group.txg, log, logBytes, pages, true);
      replayed = { groups: replayed.groups + 1, txg: group.txg, parts: group.parts.length };
    }
    writer.close();
  } catch (error) {
    closeQuietly(writer);
    throw openError(store, error instanceof FsError && error.cause !== undefined ? error.cause : error);
  }
  removeIntentLog(store);
  return replayed;
}

const newerState = (store: string, log: string): StoreError => {
  const message =
    `${log} goes on from a newer state than ${store} has (is that an older copy?); ` +
    `put the newer one back, or move ${log} away to do without its changes.`;
  return new StoreError('damaged', store, message);
};

/** What went wrong before is what matters. */
const closeQuietly = (writer: StoreWriter): void => {
  try {
    writer.close();
  } catch {
    // It is closed all the same.
  }
};
