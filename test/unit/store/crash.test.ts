/**
 * A writer killed at any moment leaves a store that opens, is sound, and holds every group up to some number, never
 * fewer than the last barrier that returned.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { asIno } from '../../../src/base/ids.js';
import { Prng } from '../../../src/base/prng.js';
import { checkStore } from '../../../src/store/fsck.js';
import { lockStore } from '../../../src/store/lock.js';
import { openReader } from '../../../src/store/reader.js';
import { file, scratchDir, WriterRig } from './scratch.js';
import { childEnvironment } from '../../harness/environment.js';

const BARRIER_EVERY = 5;

/** The child: group n makes inode n+1 with data of byte n, for ever; prints n after each barrier. */
function writeForEver(path: string): void {
  const rig = new WriterRig(path, { chunkBytes: 16384, inlineMax: 1000 });
  lockStore(path);
  for (let n = 1; ; n++) {
    rig.pool.fill(n & 255);
    const size = n % 2 === 0 ? 500 : 16384;
    const pages = size === 500 ? [0] : [0, 1, 2, 3];
    rig.ops.putInode(file(n + 1, { size, nlink: 0, allocPages: pages.length }));
    rig.ops.addOrphan(asIno(n + 1));
    rig.ops.writePages(asIno(n + 1), 0, size, pages, pages, pages.length);
    const pairs = Math.floor(n / 2);
    rig.ops.setCounters({ nextIno: n + 2, inodeCount: n + 1, allocPages: pairs + (n - pairs) * 4 });
    rig.commit(n % BARRIER_EVERY === 0);
    if (n % 37 === 0) rig.writer.checkpoint('passive');
    if (n % BARRIER_EVERY === 0) process.stdout.write(`${n}\n`);
  }
}

async function killOne(t: Test, path: string, afterMs: number): Promise<void> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: childEnvironment(),
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child.stdout, 'data');
  t.throws(() => lockStore(path), { code: 'locked' }, 'locked while the writer lives');
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  child.kill('SIGKILL');
  await once(child, 'close');
  const promised = Number(output.trim().split('\n').at(-1));
  using lock = lockStore(path);
  t.ok(lock, 'its death released the lock');
  const reader = openReader(path);
  const { txg, nextIno } = reader.counters();
  t.ok(txg >= promised, `holds group ${txg}, promised ${promised}`);
  t.equal(nextIno, txg + 2);
  t.equal(reader.loadInode(asIno(txg + 2)), undefined, 'and nothing of the next');
  t.equal(reader.readChunk(asIno(txg + 1), 0)?.[0], txg & 255);
  reader.close();
  t.same(checkStore(path).findings, []);
}

if (process.argv[2] === undefined) {
  void t.test('killed at random moments', async (t) => {
    const root = scratchDir(t);
    const prng = new Prng(Number(process.env['SEED'] ?? 11));
    for (let i = 0; i < 6; i++) await killOne(t, join(root, `s${i}`), prng.int(300));
  });
} else {
  writeForEver(process.argv[2]);
}
