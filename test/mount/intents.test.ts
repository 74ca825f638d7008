/**
 * fsync by the intent log, on a mount: what was confirmed survives a SIGKILL, comes in with the next mount (also a
 * read-only one, and by a repair), fsck says what waits, and after an unmount one file is left.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import * as fs from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { checkStore } from '../../src/store/fsck.js';
import {
  cli,
  cliOk,
  lacks,
  mountEntries,
  mountStore,
  type MountedStore,
  onPlainDirectory,
} from '../harness/mount.js';
import { until } from '../harness/commands.js';

const skip = onPlainDirectory ? 'about the daemon' : lacks('writebackCache');
/** Barriers until the log is there. */
const FIRST = 12;
const SYNCS = 40;
const AGAIN = 50;
/** So long that nothing but barriers commits. */
const ARGS = ['--sync-interval', '600'];

const intentsOf = ({ mnt }: MountedStore): number =>
  mountEntries().find(({ mountpoint }) => mountpoint === mnt)?.counters?.['intents'] ?? 0;

/** A file written and synced again and again: by the intent log, at last. Returns what it holds. */
const work = async (mounted: MountedStore): Promise<string> => {
  const fd = fs.openSync(join(mounted.mnt, 'log'), 'w');
  const lines: string[] = [];
  const add = (): void => {
    const line = `line ${lines.length}\n`;
    lines.push(line);
    fs.writeSync(fd, line);
    fs.fsyncSync(fd);
  };
  for (let i = 0; i < FIRST; i++) add();
  await until('the intent log', () => existsSync(`${mounted.store}-intent`));
  for (let i = 0; i < SYNCS; i++) {
    const made = fs.openSync(join(mounted.mnt, `made-${i}`), 'w');
    fs.writeSync(made, Buffer.alloc(6000, i));
    fs.fsyncSync(made);
    fs.closeSync(made);
    add();
  }
  // On a disk that is slow for the moment some barriers are the store's: see syncer/intents.ts.
  await until(
    'a last barrier by the log',
    () => {
      const before = intentsOf(mounted);
      add();
      if (intentsOf(mounted) > before) return true;
      for (let i = 0; i < AGAIN; i++) add();
      return false;
    },
    60_000,
  );
  fs.closeSync(fd);
  return lines.join('');
};

const compare = (ct: Test, mounted: MountedStore, wanted: string): void => {
  ct.equal(readFileSync(join(mounted.mnt, 'log'), 'utf8'), wanted);
  for (let i = 0; i < SYNCS; i++)
    ct.ok(readFileSync(join(mounted.mnt, `made-${i}`)).equals(Buffer.alloc(6000, i)), `made-${i}`);
};

const logOf = ({ mnt }: MountedStore): string =>
  readFileSync(mountEntries().find(({ mountpoint }) => mountpoint === mnt)?.logFile ?? '', 'utf8');

await t.test('a daemon killed after fsync', { skip }, async (ct) => {
  const mounted = mountStore(ct, { args: ARGS });
  const wanted = await work(mounted);
  ct.comment(`${intentsOf(mounted)} parts in the log`);
  await mounted.kill();
  ct.strictSame(checkStore(mounted.store).findings, [], 'sound without it');
  const { stdout } = cliOk(['fsck', mounted.store]);
  ct.match(stdout, /-intent has \d+ later groups of changes, confirmed by fsync: a mount brings them in/);
  const report = JSON.parse(cliOk(['fsck', mounted.store, '--json']).stdout) as {
    clean: boolean;
    waiting: number;
  };
  ct.ok(report.clean && report.waiting > 0);
  mounted.mount();
  compare(ct, mounted, wanted);
  ct.match(logOf(mounted), /brought in what fsync had confirmed/);
  mounted.carryElsewhere();
  compare(ct, mounted, wanted);
  mounted.fsck();
});

await t.test('the next mount is read-only', { skip }, async (ct) => {
  const mounted = mountStore(ct, { args: ARGS });
  const wanted = await work(mounted);
  await mounted.kill();
  cliOk(['mount', mounted.store, mounted.mnt, '-o', 'ro']);
  mounted.pid = mountEntries().find(({ mountpoint }) => mountpoint === mounted.mnt)?.pid ?? 0;
  compare(ct, mounted, wanted);
  mounted.unmount();
  mounted.fsck();
});

await t.test('a log that belongs to a newer state', { skip }, async (ct) => {
  const mounted = mountStore(ct, { args: ARGS });
  const old = readFileSync(mounted.store);
  await work(mounted);
  await mounted.kill();
  cliOk(['umount', mounted.mnt]);
  for (const suffix of ['-wal', '-shm']) fs.rmSync(mounted.store + suffix, { force: true });
  writeFileSync(mounted.store, old);
  const refused = cli(['mount', mounted.store, mounted.mnt]);
  ct.equal(refused.status, 3);
  ct.match(refused.stderr, /-intent goes on from a newer state/);
  ct.ok(readFileSync(mounted.store).equals(old), 'nothing is changed');
  cliOk(['mount', mounted.store, mounted.mnt, '-o', 'ro']);
  ct.match(logOf(mounted), /the intent log is not used/);
  const remounted = cli(['remount', mounted.mnt, '-o', 'rw']);
  ct.not(remounted.status, 0);
  ct.match(remounted.stderr, /intent log could not be brought in|EROFS/);
  cliOk(['umount', mounted.mnt]);
  ct.ok(existsSync(`${mounted.store}-intent`), 'it is still there');
  mounted.pid = 0;
  fs.rmSync(`${mounted.store}-intent`);
  mounted.fsck();
});

await t.test('without it', { skip }, (ct) => {
  const mounted = mountStore(ct, { args: ['-o', 'no_intent_log'] });
  const fd = fs.openSync(join(mounted.mnt, 'log'), 'w');
  for (let i = 0; i < 2 * FIRST; i++) {
    fs.writeSync(fd, 'x');
    fs.fsyncSync(fd);
  }
  fs.closeSync(fd);
  ct.equal(intentsOf(mounted), 0);
  mounted.fsck();
  ct.end();
});
