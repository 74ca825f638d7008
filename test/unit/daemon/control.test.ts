import { connect } from 'node:net';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { askOnce, ControlClient } from '../../../src/daemon/control-client.js';
import { LINE_BYTES_MAX, LineSplitter, parseRequest } from '../../../src/daemon/control-protocol.js';
import { ControlServer } from '../../../src/daemon/control-server.js';
import type { DispatcherStatus } from '../../../src/daemon/messages.js';
import type { MountSettings } from '../../../src/daemon/settings.js';
import { Failure } from '../../../src/daemon/failure.js';

/** Not below t.testdir(), whose paths may be too long for a socket. */
const socketPath = (t: Test): string => {
  const dir = mkdtempSync(join(tmpdir(), 'vnodefs-control-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 's');
};
const never = (): Promise<never> => new Promise(() => undefined);
const STATUS = { state: 'running', handles: 3 } as DispatcherStatus;

void t.test('requests', (t) => {
  t.strictSame(parseRequest('{"id":3,"op":"sync","extra":1}'), { id: 3, op: 'sync' });
  t.strictSame(parseRequest('{"id":3,"op":"explode"}'), { id: 3, error: "unknown request 'explode'" });
  for (const line of ['', 'x', '3', 'null', '{"op":"sync"}']) t.ok('error' in parseRequest(line), line);
  t.end();
});

void t.test('lines', (t) => {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const part of ['a', 'b\nc\n\n', 'd']) splitter.push(part);
  t.strictSame(lines, ['ab', 'c']);
  t.throws(() => splitter.push('x'.repeat(LINE_BYTES_MAX + 1)), RangeError);
  t.end();
});

void t.test('questions and answers', async (t) => {
  const path = socketPath(t);
  let end = (_: { errno: number; reason: string }): void => undefined;
  const ended = new Promise<{ errno: number; reason: string }>((resolve) => (end = resolve));
  const server = new ControlServer({
    status: () => Promise.resolve(STATUS),
    sync: () => Promise.reject(new Failure('general', 'disk full')),
    end: () => ended,
    unmount: () => Promise.reject(new Failure('busy', 'in use')),
    remount: () => Promise.reject(new Failure('busy', 'in use')),
    join: (args) => Promise.reject(new Failure('usage', `not ${JSON.stringify(args)}`)),
  });
  await server.listen(path);
  t.strictSame(await askOnce(path, 'status', 1000), STATUS);
  await t.rejects(askOnce(path, 'sync', 1000), { kind: 'general', message: 'disk full' });
  await t.rejects(askOnce(path, 'join', 1000, { store: '/s' } as MountSettings), {
    kind: 'usage',
    message: 'not {"store":"/s"}',
  });
  const client = await ControlClient.open(path, 1000);
  const late = client.ask('end', Infinity);
  t.strictSame(await client.ask('status', 1000), STATUS, 'answered while another waits');
  const rude = connect(path);
  rude.write('rubbish\n');
  const [answer] = (await once(rude, 'data')) as [Buffer];
  t.strictSame(JSON.parse(answer.toString()), { id: 0, ok: false, error: 'not JSON' });
  end({ errno: 28, reason: 'full' });
  t.strictSame(await late, { errno: 28, reason: 'full' });
  await server.close();
  await t.rejects(client.ask('status', 1000), { kind: 'general', message: /ended/ });
  await t.rejects(askOnce(path, 'status', 1000), { kind: 'general', message: /cannot reach the daemon/ });
});

void t.test('a daemon that does not answer, and one that goes away', async (t) => {
  const path = socketPath(t);
  const server = new ControlServer({
    status: never,
    sync: never,
    end: never,
    join: never,
    unmount: never,
    remount: never,
  });
  await server.listen(path);
  await t.rejects(askOnce(path, 'status', 50), { kind: 'timed-out', message: /within 0.05 s/ });
  const client = await ControlClient.open(path, 1000);
  const asked = t.rejects(client.ask('end', Infinity), { message: /ended without an answer/ });
  await server.close();
  await asked;
});
