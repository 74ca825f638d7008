/** Wrong use of the command line: a non-zero exit, one sentence on standard error, nothing left behind. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cli, cliOk, mountedDevice, mountStore, onPlainDirectory } from '../harness/mount.js';

const skip = onPlainDirectory ? 'about the command line' : false;

await t.test('mistakes', { skip }, (ct) => {
  const mounted = mountStore(ct);
  const { base, mnt } = mounted;
  const empty = join(base, 'empty');
  const full = join(base, 'full');
  mkdirSync(empty);
  mkdirSync(full);
  writeFileSync(join(full, 'file'), 'x');
  const noStore = join(base, 'not-a-store.db');
  writeFileSync(
    noStore,
    'this is not an SQLite file, but long enough to be read as a header of one: '.repeat(3),
  );
  const wrong = (what: string, args: string[]): void => {
    const { status, stdout, stderr } = cli(args);
    ct.ok(status !== 0 && status !== null, `${what}: exit ${status}`);
    const lines = stderr.trim().split('\n');
    ct.equal(lines.length, 1, `${what}: one line: ${stderr.trim() || `(nothing; stdout: ${stdout.trim()})`}`);
    ct.ok(lines[0].length > 10 && lines[0].length < 400, `${what}: a sentence`);
    ct.notMatch(stderr, /\n\s+at /, `${what}: no stack`);
  };
  wrong('a file that is no store', ['mount', noStore, empty]);
  wrong('mount point missing', ['mount', join(base, 'a.db'), join(base, 'missing')]);
  ct.notOk(existsSync(join(base, 'a.db')), 'no store was made');
  wrong('mount point not empty', ['mount', join(base, 'b.db'), full]);
  wrong('mount point is a file', ['mount', join(base, 'c.db'), noStore]);
  wrong('a second mount of the same store', ['mount', mounted.store, empty]);
  wrong('mount point already used', ['mount', join(base, 'd.db'), mnt]);
  wrong('misspelt long option', ['mount', join(base, 'e.db'), empty, '--pagse', '1MiB']);
  wrong('misspelt -o option', ['mount', join(base, 'f.db'), empty, '-o', 'allow_otehr']);
  wrong('size that is none', ['mount', join(base, 'g.db'), empty, '--pages', 'many']);
  wrong('unknown verb', ['monut', join(base, 'h.db'), empty]);
  wrong('arguments missing', ['mount']);
  wrong('umount of what is not mounted', ['umount', empty]);
  wrong('fsck of a file that is no store', ['fsck', noStore]);
  wrong('fsck of nothing', ['fsck', join(base, 'nothing.db')]);
  wrong('mkfs over a store', ['mkfs', mounted.store]);
  wrong('store in a missing directory', ['mount', join(base, 'no/where.db'), empty]);
  ct.equal(mountedDevice(empty), undefined, 'nothing got mounted');
  writeFileSync(join(mnt, 'f'), 'the mount still works');
  mounted.fsck();
  ct.end();
});

await t.test('mkfs, then mount; mkfs --force starts anew', { skip }, (ct) => {
  const mounted = mountStore(ct);
  writeFileSync(join(mounted.mnt, 'f'), 'x');
  ct.not(cli(['mkfs', '--force', mounted.store]).status, 0, 'not while it is mounted');
  mounted.unmount();
  ct.not(cli(['mkfs', mounted.store]).status, 0);
  cliOk(['mkfs', '--force', mounted.store, '--label', 'fresh']);
  mounted.mount();
  ct.notOk(existsSync(join(mounted.mnt, 'f')));
  ct.end();
});
