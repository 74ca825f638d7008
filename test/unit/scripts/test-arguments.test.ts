/** scripts/test refuses names under which there is no test: without a file tap would run all of them. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const SCRIPT = fileURLToPath(new URL('../../../../scripts/test', import.meta.url));

for (const name of ['test/mount/nothing.test.ts', 'test/nothing', 'test/mount/large']) {
  await t.test(name, (t) => {
    const { status, stderr } = spawnSync(SCRIPT, [name], { encoding: 'utf8', timeout: 30_000 });
    t.equal(status, 2);
    t.match(stderr, `there are no tests in ${name}: name a folder below test, or a file with its .ts`);
    t.end();
  });
}
