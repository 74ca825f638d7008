/**
 * Names that aren't UTF-8, the longest names and symlinks, a 100 GiB sparse file in a small store, a large
 * directory.
 */
import { statSync } from 'node:fs';
import t from 'tap';
import { Prng } from '../../src/base/prng.js';
import { run } from '../harness/commands.js';
import { fullSize, mountStore, onPlainDirectory, TEST_CAPABILITIES } from '../harness/mount.js';
import { at, O } from '../harness/posix-client.js';
import { RealClient } from '../harness/real-client.js';

const ENTRIES = fullSize ? 50_000 : 5_000;
const GIB = 2 ** 30;

await t.test('names, symlinks and a sparse file, carried elsewhere', (ct) => {
  const mounted = mountStore(ct);
  const client = new RealClient('mount', mounted.mnt, TEST_CAPABILITIES);
  const { byteNames } = TEST_CAPABILITIES;
  const names = [
    ...(byteNames ? [Buffer.of(0xff), Buffer.alloc(255, 0xe9), Buffer.of(0xc0, 0x0a, 0x80)] : []),
    Buffer.from('n'.repeat(255)),
    Buffer.from('日本語'),
    Buffer.from('two\nlines'),
  ];
  for (const name of names) {
    const fd = client.open(at(mounted.mnt, name), O.WRONLY | O.CREAT | O.EXCL);
    client.write(fd, name);
    client.close(fd);
  }
  const target = Buffer.alloc(4095, byteNames ? 0xfd : 'x');
  client.symlink(target, `${mounted.mnt}/long`);
  const fd = client.open(`${mounted.mnt}/sparse`, O.RDWR | O.CREAT);
  for (const where of [0, 33 * GIB + 1, 100 * GIB - 3]) client.write(fd, Buffer.from('end'), where);
  client.close(fd);

  mounted.carryElsewhere();
  if (!onPlainDirectory)
    ct.ok(statSync(mounted.store).size < 4 << 20, `the store has ${statSync(mounted.store).size} bytes`);
  const listed = client.readdir(mounted.mnt).map((name) => name.toString('latin1'));
  ct.same(listed.sort(), [...names.map((name) => name.toString('latin1')), 'long', 'sparse'].sort());
  for (const name of names) {
    const again = client.open(at(mounted.mnt, name), O.RDONLY);
    ct.ok(client.read(again, 300).equals(name));
    client.close(again);
  }
  ct.ok(client.readlink(`${mounted.mnt}/long`).equals(target));
  const sparse = client.open(`${mounted.mnt}/sparse`, O.RDONLY);
  ct.equal(client.fstat(sparse).size, 100 * GIB);
  ct.ok(client.fstat(sparse).blocks * 512 < 4 << 20, 'few blocks');
  for (const where of [0, 33 * GIB + 1, 100 * GIB - 3])
    ct.equal(client.read(sparse, 3, where).toString(), 'end');
  ct.equal(client.read(sparse, 3, 60 * GIB).toString('latin1'), '\0\0\0');
  client.close(sparse);
  mounted.fsck();
  ct.end();
});

await t.test(`a directory of ${ENTRIES} entries, listed while it changes`, (ct) => {
  const mounted = mountStore(ct);
  const dir = `${mounted.mnt}/big`;
  const client = new RealClient('mount', mounted.mnt, TEST_CAPABILITIES);
  client.mkdir(dir);
  const touch = (name: string): void =>
    client.close(client.open(`${dir}/${name}`, O.WRONLY | O.CREAT | O.EXCL));
  for (let i = 0; i < ENTRIES; i++) touch(`entry-${i}`);
  const prng = new Prng(5);
  // Only every fifth entry is ever removed; the others exist throughout and must be listed exactly once.
  const removable = Array.from({ length: Math.floor(ENTRIES / 5) }, (_, i) => `entry-${i * 5}`);
  let added = 0;
  for (const bytes of [800, 32_768]) {
    const seen = new Map<string, number>();
    const fd = client.open(dir, O.RDONLY | O.DIRECTORY);
    for (;;) {
      const entries = client.getdents(fd, bytes);
      if (entries.length === 0) break;
      for (const { name } of entries) seen.set(name.toString(), (seen.get(name.toString()) ?? 0) + 1);
      for (let i = 0; i < 3; i++) {
        if (removable.length > 0 && prng.int(2) === 0) {
          client.unlink(`${dir}/${removable.splice(prng.int(removable.length), 1)[0]}`);
        } else if (added < ENTRIES) touch(`added-${added++}`);
      }
    }
    client.close(fd);
    const wrong: string[] = [];
    for (let i = 0; i < ENTRIES; i++)
      if (i % 5 !== 0 && seen.get(`entry-${i}`) !== 1) wrong.push(`entry-${i}`);
    ct.same(wrong.slice(0, 10), [], `${bytes} bytes a call: steady entries once`);
    ct.same(
      [...seen].filter(([, n]) => n > 1),
      [],
      'nothing twice',
    );
  }
  const names = (): string[] => client.readdir(`${mounted.mnt}/big`).map(String).sort();
  const before = names();
  mounted.carryElsewhere();
  ct.same(names(), before, 'the same names in the carried store');
  run('rm', ['-r', `${mounted.mnt}/big`], { timeoutMs: 300_000 });
  mounted.fsck();
  ct.end();
});
