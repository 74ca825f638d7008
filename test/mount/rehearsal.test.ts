/** A new daemon rehearses when nobody wants anything from it, gives way to requests, and leaves nothing behind. */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { runtimeDir, surroundings } from '../../src/daemon/places.js';
import { cliOk, mountStore, onPlainDirectory, TRANSPORT_ARGS } from '../harness/mount.js';

const ENOUGH_MS = 60_000;
const skip =
  onPlainDirectory || TRANSPORT_ARGS.length > 0
    ? 'only the dispatcher of the kernel transport rehearses'
    : false;

const openFiles = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // closed meanwhile
    }
  });

for (const [option, wanted] of [
  ['rehearsal', true],
  ['no_rehearsal', false],
] as const) {
  await t.test(`-o ${option}`, { skip }, async (ct) => {
    const logs = mkdtempSync(join(tmpdir(), 'vnodefs-log-'));
    ct.teardown(() => rmSync(logs, { recursive: true, force: true }));
    const log = join(logs, 'log');
    const mounted = mountStore(ct, {
      args: ['-o', option, '--log-level', 'debug', '--log-file', log],
    });
    const rehearsed = (): boolean => readFileSync(log, 'utf8').includes('"msg":"rehearsed"');
    const path = join(mounted.mnt, 'f');
    // Work of its own, with lulls in which it goes on.
    const end = performance.now() + (wanted ? ENOUGH_MS : 3000);
    for (let i = 0; performance.now() < end && !rehearsed(); i++) {
      writeFileSync(path, `${i}`);
      ct.equal(readFileSync(path, 'utf8'), `${i}`);
      await sleep(100);
    }
    ct.equal(rehearsed(), wanted);
    ct.notMatch(readFileSync(log, 'utf8'), 'no rehearsal');
    ct.same(
      openFiles(mounted.pid).filter((name) => name.includes('rehearsal-')),
      [],
      'no file of the scratch store is open',
    );
    const runtime = readdirSync(runtimeDir(surroundings()));
    ct.same(
      runtime.filter((name) => name.startsWith(`rehearsal-${mounted.pid}-`)),
      [],
      'nor does one exist',
    );
    cliOk(['status', mounted.mnt, '--check']);
  });
}
