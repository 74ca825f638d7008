/** The koffi bindings: addresses, descriptors, the clock; in the main thread and in a worker. */
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { createEventFd, EventFdWaker, receiveDescriptor, socketPair } from '../../../src/base/descriptors.js';
import { Errno, FsError } from '../../../src/base/errno.js';
import {
  addressOf,
  LOCK_EX,
  LOCK_NB,
  POLLIN,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  syscallError,
  syscalls,
} from '../../../src/base/syscalls.js';
import { sharedMemory } from '../../../src/base/memory.js';
import { SystemClock } from '../../../src/base/system-clock.js';

await t.test('addressOf', (t) => {
  const shared = new SharedArrayBuffer(8192);
  const whole = new Uint8Array(shared);
  const address = addressOf(whole);
  t.equal(addressOf(new Uint8Array(shared, 4096)), address + 4096);
  t.equal(addressOf(new Uint32Array(shared, 8)), address + 8);
  t.equal(addressOf(Buffer.from(shared, 100, 10)), address + 100);
  t.end();
});

await t.test('memory that threads share begins at a page, is zeros, and reaches other threads', async (t) => {
  const memory = sharedMemory(3 * 4096);
  t.equal(memory.byteLength, 3 * 4096);
  const bytes = new Uint8Array(memory);
  t.equal(addressOf(bytes) % 4096, 0);
  t.ok(bytes.every((byte) => byte === 0));
  const worker = new Worker('new Uint8Array(require("worker_threads").workerData).fill(7)', {
    eval: true,
    workerData: memory,
  });
  await new Promise((resolve) => worker.once('exit', resolve));
  t.ok(bytes.every((byte) => byte === 7));
  t.throws(() => sharedMemory(2 ** 52), RangeError);
});

await t.test('read, write, errno, eventfd, poll', (t) => {
  const sys = syscalls();
  const buffer = new Uint32Array(2);
  const fd = createEventFd();
  t.equal(sys.read(fd, addressOf(buffer), 8), -1);
  t.equal(sys.errno(), Errno.EAGAIN);
  const pollfd = new Int32Array([fd, POLLIN]);
  t.equal(sys.poll(addressOf(pollfd), 1, 0), 0);
  const waker = new EventFdWaker(fd);
  waker.wake();
  waker.wake();
  t.equal(sys.poll(addressOf(pollfd), 1, 1000), 1);
  t.equal(pollfd[1], (POLLIN << 16) | POLLIN);
  t.equal(sys.read(fd, addressOf(buffer), 8), 8);
  t.equal(buffer[0], 2);
  t.equal(sys.close(fd), 0);
  t.equal(sys.close(fd), -1);
  t.match(syscallError('close'), { errno: Errno.EBADF, op: 'close' });
  t.type(syscallError('x'), FsError);
  t.end();
});

await t.test('flock', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vnodefs-flock-'));
  const one = openSync(join(dir, 'f'), 'w');
  const two = openSync(join(dir, 'f'), 'r');
  t.equal(syscalls().flock(one, LOCK_EX | LOCK_NB), 0);
  t.equal(syscalls().flock(two, LOCK_EX | LOCK_NB), -1);
  t.equal(syscalls().errno(), Errno.EAGAIN);
  closeSync(one);
  t.equal(syscalls().flock(two, LOCK_EX | LOCK_NB), 0);
  closeSync(two);
  rmSync(dir, { recursive: true });
  t.end();
});

await t.test('receiveDescriptor: an end of stream, and a message without a descriptor', (t) => {
  const [a, b] = socketPair(SOCK_STREAM | SOCK_CLOEXEC);
  const byte = new Uint8Array([65]);
  syscalls().write(a, addressOf(byte), 1);
  t.equal(receiveDescriptor(b), undefined);
  syscalls().close(a);
  t.equal(receiveDescriptor(b), undefined);
  syscalls().close(b);
  t.end();
});

await t.test('the clock', (t) => {
  const clock = new SystemClock();
  for (let i = 0; i < 100; i++) {
    clock.read();
    const ms = clock.sec * 1000 + clock.nsec / 1e6;
    t.ok(Math.abs(Date.now() - ms) < 1000, 'the wall clock');
    t.ok(Number.isInteger(clock.sec) && clock.nsec >= 0 && clock.nsec < 1e9);
  }
  const before = clock.monotonicMs();
  t.ok(clock.monotonicMs() >= before);
  t.end();
});

await t.test('in a worker', async (t) => {
  const module = new URL('../../../src/base/system-clock.js', import.meta.url).href;
  const code = `const { parentPort } = require('node:worker_threads');
    import(${JSON.stringify(module)}).then(({ SystemClock }) => parentPort.postMessage(new SystemClock().sec));`;
  const worker = new Worker(code, { eval: true });
  const sec = await new Promise<number>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  t.ok(Math.abs(Date.now() / 1000 - sec) < 5);
  await worker.terminate();
});
