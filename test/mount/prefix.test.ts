/**
 * Prefix consistency under SIGKILL: files made one after the other, now and then an fsync, the daemon killed at a
 * random moment. What the store holds afterwards is the first n files, all whole but perhaps the last, and n is
 * at least what the last fsync confirmed. With --sync-interval so short that commits fall between any two steps.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Prng } from '../../src/base/prng.js';
import { start } from '../harness/commands.js';
import { cliOk, fullSize, mountEntries, mountStore, onPlainDirectory } from '../harness/mount.js';

const ROUNDS = fullSize ? 50 : 6;
const SEED = Number(process.env['VNODEFS_SEED'] ?? Date.now() % 1_000_000);

/** Content of file n: between 0 and 20,000 bytes, all telling n. */
const WRITER = `
const fs = require('node:fs');
const [dir, progress] = process.argv.slice(1);
for (let n = 0; ; n++) {
  const fd = fs.openSync(dir + '/f' + n, 'wx');
  fs.writeSync(fd, (n + ' ').repeat(n % 7 === 0 ? 4000 : n % 50));
  if (n % 300 === 0) {
    fs.fsyncSync(fd);
    fs.writeFileSync(progress, String(n));
  }
  fs.closeSync(fd);
}`;
const contentOf = (n: number): string => `${n} `.repeat(n % 7 === 0 ? 4000 : n % 50);

await t.test(
  `files in order, killed at random (seed ${SEED})`,
  { skip: onPlainDirectory ? 'about the daemon' : false },
  async (ct) => {
    const random = new Prng(SEED);
    const mounted = mountStore(ct, { args: ['--sync-interval', '0.05'] });
    for (let round = 0; round < ROUNDS; round++) {
      const dir = join(mounted.mnt, `round-${round}`);
      const progress = join(mounted.base, `progress-${round}`);
      const made = start(
        'sh',
        ['-c', 'mkdir "$1" && exec node -e "$2" "$1" "$3"', 'sh', dir, WRITER, progress],
        {
          timeoutMs: 60_000,
        },
      );
      await sleep(400 + random.int(900));
      await mounted.kill();
      ct.not((await made.done).status, 0, 'the writer hears of it');
      cliOk(['mount', mounted.store, mounted.mnt, '--sync-interval', '0.05'], { timeoutMs: 60_000 });
      mounted.pid = mountEntries().find((one) => one.mountpoint === mounted.mnt)?.pid ?? 0;

      const confirmed = existsSync(progress) ? Number(readFileSync(progress, 'utf8')) : -1;
      const count = existsSync(dir) ? readdirSync(dir).length : 0;
      ct.ok(count > confirmed, `${count} files, ${confirmed} confirmed`);
      const gaps: string[] = [];
      for (let n = 0; n < count; n++) {
        const file = join(dir, `f${n}`);
        const found = existsSync(file) ? readFileSync(file, 'latin1') : undefined;
        const whole = found === contentOf(n);
        const last = n === count - 1 && n > confirmed && found !== undefined;
        if (!whole && !(last && contentOf(n).startsWith(found))) gaps.push(`f${n}: ${found?.length} bytes`);
      }
      ct.same(gaps, [], 'no gap before the end');
      writeFileSync(join(mounted.mnt, `after-${round}`), 'usable');
    }
    mounted.fsck();
  },
);
