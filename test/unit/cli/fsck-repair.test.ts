/** `fsck --repair` on real stores: what it asks, prints, copies and refuses. */
import Database from 'better-sqlite3';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { CliContext, Terminal } from '../../../src/cli/context.js';
import { ExitCode } from '../../../src/cli/exit-codes.js';
import { main, realContext } from '../../../src/cli/main.js';
import { lockStore } from '../../../src/store/lock.js';
import { has, tryRun } from '../../harness/commands.js';
import { REPOSITORY } from '../../harness/mount.js';
import { soundStore } from '../store/sound-store.js';
import { scratchDir } from '../store/scratch.js';

interface Run {
  code: number;
  out: string;
  err: string;
}

const run = async (terminal: Terminal | undefined, ...argv: string[]): Promise<Run> => {
  const result: Run = { code: -1, out: '', err: '' };
  const context: CliContext = {
    ...realContext(),
    out: (text) => void (result.out += text),
    err: (text) => void (result.err += text),
    terminal,
  };
  result.code = await main(['fsck', ...argv], context);
  return result;
};

const damagedStore = (t: { teardown: (fn: () => void) => void }): string => {
  const store = join(scratchDir(t), 's.db');
  soundStore(store);
  const db = new Database(store);
  db.exec("DELETE FROM dirent WHERE name = x'626967'");
  db.close();
  return store;
};

const answering = (answer: string | undefined, asked: string[] = []): Terminal => ({
  progress: () => undefined,
  ask: (question) => {
    asked.push(question);
    return Promise.resolve(answer);
  },
});

void t.test('a sound store is left alone, and needs no decision about a backup', async (t) => {
  const store = join(scratchDir(t), 's.db');
  soundStore(store);
  const before = readFileSync(store);
  const { code, out } = await run(undefined, store, '--repair');
  t.equal(code, ExitCode.OK);
  t.match(out, /is clean \(6 inodes, .*nothing to repair/);
  t.ok(before.equals(readFileSync(store)));
});

void t.test('progress: on a terminal, and gone from it when the result comes', async (t) => {
  const store = join(scratchDir(t), 's.db');
  soundStore(store);
  const shown: string[] = [];
  const terminal = { ...answering(undefined), progress: (text: string) => void shown.push(text) };
  t.match(await run(terminal, store), { code: ExitCode.OK, err: '' });
  t.equal(shown.pop(), '');
  t.ok(shown.length > 1, shown.join(', '));
  for (const text of shown) t.match(text, /^[a-z][a-z ,-]+( \d+ %)?$/i);
  t.strictSame(shown, [...new Set(shown)], 'nothing is written twice');
});

void t.test('progress of the real program', { skip: has('script') ? false : 'no script(1)' }, (t) => {
  const store = join(scratchDir(t), 's.db');
  soundStore(store);
  const args = [process.execPath, join(REPOSITORY, 'bin/vnodefs.js'), 'fsck', store];
  const onTerminal = tryRun('script', ['-qec', args.join(' '), '/dev/null']);
  t.equal(onTerminal.status, 0);
  t.match(onTerminal.stdout, /\r\x1b\[K[a-z]/i);
  t.match(onTerminal.stdout, /\r\x1b\[K\S*s\.db is clean/);
  const piped = tryRun(args[0], args.slice(1));
  t.match(piped, { status: 0, stderr: '' });
  t.notMatch(piped.stdout, /\x1b/);
  t.end();
});

void t.test('without a word about a backup nothing is changed', async (t) => {
  const store = damagedStore(t);
  const before = readFileSync(store);
  const refused = await run(undefined, store, '--repair');
  t.equal(refused.code, ExitCode.DAMAGED);
  t.match(refused.err, /was left alone: say --backup FILE/);
  for (const answer of ['quit', undefined]) {
    const quit = await run(answering(answer), store, '--repair');
    t.equal(quit.code, ExitCode.DAMAGED);
    t.match(quit.err, /was left alone/);
  }
  t.ok(before.equals(readFileSync(store)));
  const alone = await run(undefined, store, '--backup', 'x');
  t.equal(alone.code, ExitCode.USAGE);
});

void t.test('a repair with a copy, in JSON', async (t) => {
  const store = damagedStore(t);
  const before = readFileSync(store);
  const copy = `${store}.copy`;
  const { code, out, err } = await run(undefined, store, '--repair', '--backup', copy, '--json');
  t.equal(code, ExitCode.OK, err);
  const result = JSON.parse(out) as { problems: { kind: string }[]; steps: { kind: string }[] };
  const unreachable = ({ kind }: { kind: string }): boolean => kind === 'unreachable';
  t.match(result.problems.find(unreachable), { message: /inode 4: no path from the root/ });
  t.match(result.steps.find(unreachable), { action: 'moved to lost+found/#4' });
  t.match(result, {
    store,
    clean: true,
    repaired: true,
    backup: copy,
    remaining: [],
  });
  t.ok(before.equals(readFileSync(copy)), 'the copy is the damaged store');
  t.equal(statSync(copy).mode & 0o777, 0o600);
  const again = await run(undefined, store, '--repair', '--backup', copy, '--json');
  t.match(JSON.parse(again.out), { clean: true, repaired: false, steps: [] });
  const found = await run(undefined, store);
  t.equal(found.code, ExitCode.OK);
});

void t.test('a terminal is asked, and an existing copy is never replaced', async (t) => {
  const store = damagedStore(t);
  const exists = await run(undefined, store, '--repair', '--backup', store);
  t.equal(exists.code, ExitCode.STORE);
  t.match(exists.err, /can't be written: it exists already/);
  const asked: string[] = [];
  const { code, out } = await run(answering('', asked), store, '--repair');
  t.equal(code, ExitCode.OK);
  t.match(asked, [/Copy the store to .*before-repair before the repair\?/]);
  t.match(out, /a copy is in .*before-repair\n.*moved to lost\+found\/#4\n/);
  t.ok(existsSync(`${store}.before-repair`));
});

void t.test('a mounted store is examined, not repaired', async (t) => {
  const store = damagedStore(t);
  const lock = lockStore(store);
  const refused = await run(undefined, store, '--repair', '--no-backup');
  t.equal(refused.code, ExitCode.STORE_IN_USE);
  t.match(refused.err, /in use by another vnodefs/);
  t.equal((await run(undefined, store)).code, ExitCode.DAMAGED);
  lock.release();
  const { code, out } = await run(undefined, store, '--repair', '--no-backup');
  t.equal(code, ExitCode.OK, out);
});
