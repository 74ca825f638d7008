/**
 * The table of unmounts: who uses the mount, and how it is ended; each cell on a real mount with a daemon of its own,
 * several side by side. native-notes/unmount.md shows the same table. VNODEFS_UNMOUNT_CELLS=TEXT plays only cells whose
 * name contains the text; VNODEFS_FULL=1 has 1 GiB of dirty pages in those that are about them; for
 * VNODEFS_UNMOUNT_DEADLINE see unmount-cell.ts.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { onPlainDirectory, REPOSITORY } from '../harness/mount.js';
import { ENDS, makeTemplate, playCell, USERS, type Cell } from './unmount-cell.js';
import { cellText, expectedOf, tableText } from './unmount-expected.js';

const SIDE_BY_SIDE = 4;
const TABLE_MS = 1_200_000;
/** The fault disk and tmpfs are mounted; what is said of umount(8) is root's. */
const skip = onPlainDirectory ? 'about mounts' : process.getuid?.() === 0 ? false : 'needs root';

t.setTimeout(TABLE_MS);

await t.test('the document shows the table', (ct) => {
  const document = readFileSync(join(REPOSITORY, 'native-notes/unmount.md'), 'utf8');
  const isThere = document.includes(`\n${tableText()}\n`);
  ct.ok(isThere, 'native-notes/unmount.md has it');
  if (!isThere) ct.comment(`put this into native-notes/unmount.md:\n${tableText()}`);
  ct.end();
});

await t.test('every user, every end', { skip, timeout: TABLE_MS }, async (ct) => {
  const base = mkdtempSync(join(tmpdir(), 'vnodefs-table-'));
  ct.teardown(() => rmSync(base, { recursive: true }));
  const template = await makeTemplate(base);
  const only = process.env['VNODEFS_UNMOUNT_CELLS'] ?? '';
  const cells = USERS.flatMap((user) => ENDS.map((end) => ({ user, end, name: `${user}, ${end}` }))).filter(
    ({ name }) => name.includes(only),
  );
  let slowestMs = 0;
  const play = async (): Promise<void> => {
    for (let next = cells.shift(); next !== undefined; next = cells.shift()) {
      const { user, end, name } = next;
      const played = await playCell(user, end, template).catch((error: unknown): Cell => {
        const wrong = [error instanceof Error ? String(error.stack) : String(error)];
        return { exit: '?', saw: '?', daemon: '?', endMs: 0, wrong };
      });
      ct.equal(cellText(played), expectedOf(user, end), name);
      ct.strictSame(played.wrong, [], `${name}: nothing wrong`);
      slowestMs = Math.max(slowestMs, played.endMs);
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, play));
  ct.comment(`the slowest daemon had gone after ${Math.round(slowestMs)} ms`);
});
