/** Waiting, interrupting, answering twice, and messages that no kernel should send. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { body, FakeKernel, z } from '../../../support/fake-kernel.js';
import { MemoryVfs } from '../../../support/memory-vfs.js';
import { InvariantError } from '../../../../src/base/assert.js';
import { Errno, fsError } from '../../../../src/base/errno.js';
import type { Fh, Ino } from '../../../../src/base/ids.js';
import { Prng } from '../../../../src/base/prng.js';
import {
  type Attributes,
  type Caller,
  type Done,
  type WaitChannel,
  WouldBlock,
} from '../../../../src/vfs/api.js';
import { Opcode, OPCODE_COUNT } from '../../../../src/fuse/kernel/protocol.js';
import * as s from '../../../../src/fuse/kernel/structs.js';

/** A channel that the test wakes. */
class TestChannel implements WaitChannel {
  readonly wakes = new Set<() => void>();
  cancelled = 0;
  wait(wake: () => void): () => void {
    this.wakes.add(wake);
    return () => {
      this.wakes.delete(wake);
      this.cancelled++;
    };
  }
  wakeAll(): void {
    for (const wake of [...this.wakes]) {
      this.wakes.delete(wake);
      wake();
    }
  }
}

/** Blocks getattr and write while told to; keeps barriers; can be made to fail. */
class SlowVfs extends MemoryVfs {
  readonly channel = new TestChannel();
  blocked = false;
  bug: Error | undefined;
  readonly barriers: Done[] = [];
  override getattr(caller: Caller, ino: Ino): Attributes {
    if (this.bug !== undefined) throw this.bug;
    if (this.blocked) throw new WouldBlock(this.channel);
    return super.getattr(caller, ino);
  }
  override write(caller: Caller, ino: Ino, fh: Fh, offset: number, data: Uint8Array): number {
    if (this.blocked) throw new WouldBlock(this.channel);
    return super.write(caller, ino, fh, offset, data);
  }
  override fsync(_ino: Ino, _fh: Fh | undefined, _dataOnly: boolean, done: Done): void {
    this.barriers.push(done);
  }
}

const started = (options: { traceFile?: string } = {}): { kernel: FakeKernel; vfs: SlowVfs } => {
  const pool = new SharedArrayBuffer(1 << 20);
  const vfs = new SlowVfs(pool);
  const kernel = new FakeKernel(vfs, pool, options);
  kernel.init();
  return { kernel, vfs };
};

const createFile = (kernel: FakeKernel, name: string): { ino: number; fh: number } => {
  const { payload } = kernel.ask(Opcode.CREATE, 1, body(s.createIn, { flags: 2, mode: 0o100666 }), z(name));
  return { ino: s.entryOut.decode(payload).nodeid, fh: s.openOut.decode(payload, s.entryOut.size).fh };
};

await t.test('a deferred WRITE keeps its data', (t) => {
  const { kernel, vfs } = started();
  const { ino, fh } = createFile(kernel, 'f');
  vfs.blocked = true;
  const first = kernel.send(Opcode.WRITE, ino, body(s.writeIn, { fh, size: 5 }), Buffer.from('first'));
  kernel.session.handleOne();
  const second = kernel.send(Opcode.GETATTR, ino, body(s.getattrIn, {}));
  kernel.session.handleOne();
  t.same(kernel.answers(), []);
  t.equal(kernel.session.counters().deferredNow, 2);
  vfs.channel.wakeAll();
  t.same(kernel.answers(), [], 'still blocked: they wait again');
  t.equal(vfs.channel.wakes.size, 2);
  vfs.blocked = false;
  vfs.channel.wakeAll();
  t.same(
    kernel.answers().map(({ unique, errno }) => [unique, errno]),
    [
      [first, 0],
      [second, 0],
    ],
  );
  t.equal(kernel.ask(Opcode.READ, ino, body(s.readIn, { fh, size: 99 })).payload.toString(), 'first');
  kernel.close();
  t.end();
});

await t.test('INTERRUPT', (t) => {
  const { kernel, vfs } = started();
  vfs.blocked = true;
  const waiting = kernel.send(Opcode.GETATTR, 1, body(s.getattrIn, {}));
  kernel.session.handleOne();
  kernel.send(Opcode.INTERRUPT, 0, body(s.interruptIn, { unique: 12345 }));
  kernel.session.handleOne();
  t.same(kernel.answers(), [], 'of something unknown: ignored');
  kernel.send(Opcode.INTERRUPT, 0, body(s.interruptIn, { unique: waiting }));
  kernel.session.handleOne();
  t.same(
    kernel.answers().map(({ unique, errno }) => [unique, errno]),
    [[waiting, Errno.EINTR]],
  );
  t.equal(vfs.channel.cancelled, 1);
  t.equal(vfs.channel.wakes.size, 0);
  kernel.close();
  t.end();
});

await t.test('the end of the connection drops what waits', (t) => {
  const { kernel, vfs } = started();
  vfs.blocked = true;
  kernel.send(Opcode.GETATTR, 1, body(s.getattrIn, {}));
  kernel.session.handleOne();
  const [wake] = vfs.channel.wakes;
  kernel.close();
  t.equal(vfs.channel.cancelled, 1);
  t.same(kernel.ended, ['unmounted']);
  wake();
  kernel.session.end('aborted');
  t.same(kernel.ended, ['unmounted'], 'ends once');
  t.end();
});

await t.test('barriers answer when done, and only once', (t) => {
  const { kernel, vfs } = started();
  const { ino, fh } = createFile(kernel, 'f');
  kernel.send(Opcode.FSYNC, ino, body(s.fsyncIn, { fh }));
  kernel.send(Opcode.WRITE, ino, body(s.writeIn, { fh, size: 2, flags: 0o4010000 }), Buffer.from('ab'));
  kernel.session.handleOne();
  kernel.session.handleOne();
  t.same(kernel.answers(), []);
  vfs.barriers[1](undefined);
  const [write] = kernel.answers();
  t.equal(s.writeOut.decode(write.payload).size, 2);
  vfs.barriers[0](fsError('ENOSPC'));
  t.equal(kernel.answers()[0].errno, Errno.ENOSPC);
  t.throws(() => vfs.barriers[0](undefined), InvariantError);
  t.same(kernel.answers(), []);
  kernel.close();
  t.end();
});

await t.test('errors of the core', (t) => {
  const { kernel, vfs } = started();
  const ask = (): number => kernel.ask(Opcode.GETATTR, 1, body(s.getattrIn, {})).errno;
  vfs.bug = fsError('EOVERFLOW');
  t.equal(ask(), Errno.EOVERFLOW);
  t.same(kernel.logged, []);
  vfs.bug = new TypeError('a bug');
  t.equal(ask(), Errno.EIO);
  t.match(kernel.logged[0], /a bug/);
  t.equal(kernel.session.counters().unexpectedErrors, 1);
  vfs.bug = new InvariantError('broken');
  kernel.send(Opcode.GETATTR, 1, body(s.getattrIn, {}));
  t.throws(() => kernel.session.handleOne(), InvariantError);
  kernel.close();
  t.end();
});

await t.test('names that no kernel may send', (t) => {
  const { kernel } = started();
  for (const name of ['a/b', '/', '', '.', '..']) {
    t.equal(kernel.ask(Opcode.UNLINK, 1, z(name)).errno, Errno.EINVAL, `unlink "${name}"`);
  }
  for (const name of ['a/b', '']) t.equal(kernel.ask(Opcode.LOOKUP, 1, z(name)).errno, Errno.EINVAL);
  t.equal(kernel.ask(Opcode.LOOKUP, 1, Buffer.from('unterminated')).errno, Errno.EINVAL);
  t.equal(kernel.ask(Opcode.RENAME2, 1, body(s.rename2In, { newdir: 1 }), z('only one')).errno, Errno.EINVAL);
  t.equal(kernel.ask(Opcode.SYMLINK, 1, z('name'), z('')).errno, Errno.EINVAL);
  kernel.close();
  t.end();
});

await t.test('torn messages', (t) => {
  const { kernel } = started();
  t.equal(kernel.ask(Opcode.READ, 1, Buffer.alloc(8)).errno, Errno.EINVAL, 'a body too short');
  kernel.send(Opcode.FORGET, 1);
  kernel.end.write(Buffer.alloc(12));
  const header = Buffer.alloc(60);
  s.inHeader.encode(header, 0, { len: 9999, opcode: Opcode.GETATTR, unique: 4711, nodeid: 1 });
  kernel.end.write(header);
  for (let i = 0; i < 3; i++) t.equal(kernel.session.handleOne(), 'again');
  t.match(kernel.answers(), [{ unique: 4711, errno: Errno.EIO }]);
  t.equal(kernel.session.counters().malformedRequests, 4);
  kernel.close();
  t.end();
});

await t.test('anything at all: no throw, one answer at most', (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e9);
  t.comment(`seed ${seed}`);
  const prng = new Prng(seed);
  const { kernel } = started();
  const { ino, fh } = createFile(kernel, 'f');
  for (let i = 0; i < 5000; i++) {
    const opcode = prng.int(10) === 0 ? prng.int(2 ** 32) : prng.int(OPCODE_COUNT + 2);
    const bytes = prng.fill(Buffer.alloc(prng.int(prng.int(2) === 0 ? 30 : 300)));
    // Now and then, small fields and zeros, to get further than the first check.
    for (let at = 0; at < bytes.length; at += 1 + prng.int(12)) bytes[at] = prng.pick([0, 0, 0, 1, fh, 0x61]);
    if (prng.int(3) > 0) bytes.subarray(1, 8).fill(0);
    const message = Buffer.concat([Buffer.alloc(40), bytes]);
    s.inHeader.encode(message, 0, {
      len: prng.int(20) === 0 ? prng.int(2 ** 32) : message.length,
      opcode,
      unique: 1000 + 2 * i,
      nodeid: prng.pick([0, 1, ino, 2 ** 52, 77]),
      uid: prng.int(2 ** 32),
    });
    kernel.end.write(message.subarray(0, prng.int(30) === 0 ? 1 + prng.int(message.length) : message.length));
    t.equal(kernel.session.handleOne(), 'again', `seed ${seed} step ${i}`);
    const answers = kernel.answers();
    if (answers.length > 1) t.fail(`seed ${seed} step ${i}: ${answers.length} answers`);
  }
  t.same(kernel.logged, [], 'nothing was a bug');
  kernel.close();
  t.end();
});

await t.test('the trace', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vnodefs-trace-'));
  const traceFile = join(dir, 'trace');
  const { kernel } = started({ traceFile });
  const { ino, fh } = createFile(kernel, 'name');
  kernel.ask(Opcode.WRITE, ino, body(s.writeIn, { fh, size: 6 }), Buffer.from('secret'));
  kernel.ask(Opcode.SETXATTR, 1, body(s.setxattrIn, { size: 6 }), z('user.x'), Buffer.from('secret'));
  kernel.ask(Opcode.LOOKUP, 77, z('x'));
  kernel.close();
  const text = readFileSync(traceFile, 'utf8');
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.same(
    lines.map(({ op, errno }) => [op, errno]),
    [
      ['INIT', 0],
      ['CREATE', 0],
      ['WRITE', 0],
      ['SETXATTR', 0],
      ['LOOKUP', Errno.ESTALE],
    ],
  );
  t.match(lines[1], { names: ['name'], uid: 1000, gid: 100, pid: 77, nodeid: 1, size: 144 });
  t.match(lines[2], { args: { fh, offset: 0, size: 6 } });
  t.match(lines[3], { names: ['user.x'] });
  t.notMatch(text, /secret/);
  rmSync(dir, { recursive: true });
  t.end();
});
