/** A rehearsal is played whole: every request is answered as a kernel would expect it, and nothing is left. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Errno } from '../../../../src/base/errno.js';
import { ROOT_INO } from '../../../../src/base/ids.js';
import { opcodeName } from '../../../../src/fuse/kernel/protocol.js';
import { Rehearsal } from '../../../../src/fuse/kernel/rehearsal/rehearsal.js';
import { scratchDirectories } from '../../../../src/fuse/kernel/rehearsal/scratch-store.js';
import { checkInvariants } from '../../../../src/vfs/invariants.js';

const directory = mkdtempSync(join(tmpdir(), 'vnodefs-rehearsal-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const descriptors = (): number => readdirSync('/proc/self/fd').length;

await t.test('the whole script', (t) => {
  const before = descriptors();
  const rehearsal = new Rehearsal(directory);
  t.same(readdirSync(directory), [], 'the scratch store has no name any more');
  const { kernel, core } = rehearsal;
  const answers = new Map<string, number>();
  const ask = kernel.ask.bind(kernel);
  kernel.ask = (opcode, nodeid, what) => {
    const errno = ask(opcode, nodeid, what);
    const key = `${opcodeName(opcode)} ${errno}`;
    answers.set(key, (answers.get(key) ?? 0) + 1);
    return errno;
  };
  while (!rehearsal.next());
  const failed = [...answers.keys()].filter((key) => !key.endsWith(' 0'));
  t.same(failed, [`GETXATTR ${Errno.ENODATA}`], 'only the attribute that no file has is refused');
  const files = scratchDirectories.reduce((sum, { files }) => sum + files.length, 0);
  t.ok((answers.get('READ 0') ?? 0) >= 3 * files, 'files were read');
  t.ok((answers.get('UNLINK 0') ?? 0) >= 100, 'and unlinked');
  t.same(checkInvariants(core.vnodes, false), []);
  const root = core.vnodes.table(core.fs.mount).get(ROOT_INO);
  t.equal(root?.size, scratchDirectories.length, 'the tree is what it was');
  t.equal(core.fs.lookups, 0, 'the kernel remembers nothing');
  t.equal(core.txgs.dirtyObjects, 0, 'all is said to be committed');
  t.ok(core.txgs.commits >= 10, 'a group an act');
  rehearsal.close();
  t.equal(descriptors(), before, 'no descriptor is left');
  t.end();
});

await t.test('by steps, until it has worked long enough', (t) => {
  const rehearsal = new Rehearsal(directory);
  let steps = 0;
  while (rehearsal.step(1)) steps++;
  t.ok(steps > 10, 'it lets others have their turn');
  t.ok(rehearsal.kernel.requests > 1000);
  rehearsal.close();
  t.end();
});

await t.test('what a killed daemon left is removed, a living one’s is not', (t) => {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  for (const owner of [pid, process.ppid]) mkdirSync(join(directory, `rehearsal-${owner}-x`));
  new Rehearsal(directory).close();
  t.same(readdirSync(directory), [`rehearsal-${process.ppid}-x`]);
  t.end();
});

await t.test('no place for the scratch store', (t) => {
  t.throws(() => new Rehearsal(join(directory, 'missing')), { code: 'ENOENT' });
  t.end();
});
