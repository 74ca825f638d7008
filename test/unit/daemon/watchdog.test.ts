/** The watchdog's counting, and both views of a thread that is stuck. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { javaScriptStack, kernelState } from '../../../src/daemon/thread-stack.js';
import { Watchdog, watchdogLimits } from '../../../src/daemon/watchdog.js';

const TICK_MS = 5;

const watch = (ct: Test, ping: () => Promise<unknown>, cutMs = 20 * TICK_MS) => {
  const events: string[] = [];
  let cut: () => void = () => undefined;
  const wasCut = new Promise<void>((resolve) => (cut = resolve));
  const dog = new Watchdog(
    { tickMs: TICK_MS, warnMs: 5 * TICK_MS, cutMs },
    {
      ping,
      warn: (ms) => events.push(`warn ${ms}`),
      recovered: () => events.push('recovered'),
      cut: (ms) => {
        events.push(`cut ${ms}`);
        cut();
      },
    },
  );
  dog.start();
  ct.teardown(() => dog.stop());
  return { events, wasCut, dog };
};

void t.test('silence is warned about once, then cut', async (ct) => {
  const { events, wasCut } = watch(ct, () => new Promise(() => undefined));
  await wasCut;
  await sleep(10 * TICK_MS);
  ct.strictSame(events, ['warn 25', 'cut 100']);
});

void t.test('an answer ends the alarm; the end of the mount ends the watch', async (ct) => {
  let answer: () => void = () => undefined;
  let asked = 0;
  const { events } = watch(
    ct,
    () => (++asked === 1 ? new Promise<void>((resolve) => (answer = resolve)) : Promise.resolve()),
    Infinity,
  );
  while (events.length === 0) await sleep(TICK_MS);
  answer();
  while (events.length === 1) await sleep(TICK_MS);
  ct.strictSame(events, ['warn 25', 'recovered']);
  while (asked < 4) await sleep(TICK_MS);
  ct.equal(events.length, 2);
  const ended = watch(ct, () => Promise.reject(new Error('ended')));
  await sleep(30 * TICK_MS);
  ct.strictSame(ended.events, []);
});

void t.test('limits', (ct) => {
  ct.strictSame(watchdogLimits(60_000), { tickMs: 1_000, warnMs: 10_000, cutMs: 60_000 });
  ct.strictSame(watchdogLimits(900), { tickMs: 90, warnMs: 300, cutMs: 900 });
  ct.end();
});

const stuck = async (ct: Test, how: 'spin' | 'call' | 'idle'): Promise<string> => {
  const worker = new Worker(new URL('../../support/stuck-worker.js', import.meta.url), {
    name: `stuck-${how}`,
    workerData: how,
  });
  if (how !== 'call')
    ct.teardown(() => worker.terminate()); // a system call outlives even that
  else worker.unref();
  const [task] = (await once(worker, 'message')) as [string];
  await sleep(100);
  return task;
};

void t.test('the stack of a thread that loops', async (ct) => {
  const task = await stuck(ct, 'spin');
  await stuck(ct, 'idle');
  const stack = await javaScriptStack('stuck-spin', 10_000);
  ct.match(stack[0], /^spinForLong test\/support\/stuck-worker\.js:\d+$/);
  ct.match(kernelState(task), /^state R/);
  ct.strictSame(await javaScriptStack('no-such-thread', 300), []);
});

void t.test('the system call of a thread that is blocked in one', async (ct) => {
  const task = await stuck(ct, 'call');
  ct.strictSame(await javaScriptStack('stuck-call', 300), []);
  ct.match(kernelState(task), /^state S .*waiting in .*(poll|0|\?).*, system call \d+/);
  ct.match(kernelState('1/task/none'), /^state \?/);
});
