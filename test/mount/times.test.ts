/** Times across mounts: noatime and relatime, and explicit times that written data must not undo, whenever it is written back. */
import t from 'tap';
import {
  type MountedStore,
  mountStore,
  onPlainDirectory,
  TEST_CAPABILITIES,
  TIME_STEP_NS,
} from '../harness/mount.js';
import { O } from '../harness/posix-client.js';
import { RealClient } from '../harness/real-client.js';

const clientOf = (mounted: MountedStore): RealClient =>
  new RealClient('mount', mounted.mnt, TEST_CAPABILITIES);

/** What tests set is told apart on every transport. */
const UNIT = TIME_STEP_NS;
const mtime = (i: number): bigint => BigInt(1_000_000 + i) * UNIT;

/** Reads the file past the kernel's cache; its atime afterwards. */
const atimeAfterRead = (client: RealClient, path: string): bigint => {
  const fd = client.open(path, O.RDONLY);
  client.evict(fd);
  client.read(fd, 10, 0);
  const { atimeNs } = client.fstat(fd);
  client.close(fd);
  return atimeNs;
};

for (const [option, moves] of [
  ['relatime', true],
  ['noatime', false],
] as const) {
  const skip = onPlainDirectory ? 'needs a mount with options of its own' : false;
  await t.test(`${option}: a read ${moves ? 'moves' : 'never moves'} an old atime`, { skip }, (ct) => {
    const mounted = mountStore(ct, { args: ['-o', option] });
    const client = clientOf(mounted);
    const path = `${mounted.mnt}/f`;
    const fd = client.open(path, O.WRONLY | O.CREAT);
    client.write(fd, Buffer.from('ten bytes!'));
    client.close(fd);
    client.utimens(path, 1000n * UNIT, 2000n * UNIT);
    ct.equal(atimeAfterRead(client, path) !== 1000n * UNIT, moves);
    const { atimeNs } = client.stat(path);
    mounted.remount();
    ct.equal(client.stat(path).atimeNs, atimeNs, 'the next mount shows the same');
    mounted.fsck();
    ct.end();
  });
}

await t.test('explicit times outlive data that is written back later, and the mount', (ct) => {
  const mounted = mountStore(ct);
  const client = clientOf(mounted);
  const paths = Array.from({ length: 20 }, (_, i) => `${mounted.mnt}/f${i}`);
  const open = paths.map((path, i) => {
    const fd = client.open(path, O.RDWR | O.CREAT);
    client.write(fd, Buffer.alloc(1 + i * 7000, i));
    if (i % 2 === 0) client.utimens(path, 11n * UNIT, mtime(i));
    else client.futimens(fd, 11n * UNIT, mtime(i));
    return fd;
  });
  // A third is synced first; the others are written back by the close.
  open.forEach((fd, i) => {
    if (i % 3 === 0) client.fsync(fd);
    client.close(fd);
  });
  const times = (): bigint[][] => paths.map((path) => [client.stat(path).atimeNs, client.stat(path).mtimeNs]);
  const wanted = paths.map((_, i) => [11n * UNIT, mtime(i)]);
  ct.same(times(), wanted);
  mounted.remount();
  ct.same(times(), wanted, 'after a new mount');
  mounted.fsck();
  ct.end();
});
