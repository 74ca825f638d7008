/** The loop: serves, wakes, keeps deadlines, stops; and the policy of looking before sleeping. */
import t from 'tap';
import { body, FakeKernel } from '../../../support/fake-kernel.js';
import { MemoryVfs } from '../../../support/memory-vfs.js';
import { createEventFd, EventFdWaker } from '../../../../src/base/descriptors.js';
import { syscalls } from '../../../../src/base/syscalls.js';
import { DeviceLoop } from '../../../../src/fuse/kernel/device-loop.js';
import { Opcode } from '../../../../src/fuse/kernel/protocol.js';
import { SpinPolicy } from '../../../../src/fuse/kernel/spin-policy.js';
import { getattrIn } from '../../../../src/fuse/kernel/structs.js';

const kernelOf = (): FakeKernel => {
  const pool = new SharedArrayBuffer(4096);
  const kernel = new FakeKernel(new MemoryVfs(pool), pool);
  kernel.init();
  return kernel;
};

await t.test('two sessions, more than a batch; idle; a wake; stop', (t) => {
  const wakeFd = createEventFd();
  const waker = new EventFdWaker(wakeFd);
  const kernels = [kernelOf(), kernelOf()];
  const loop = new DeviceLoop({ wakeFd, pollUs: 50 });
  for (const kernel of kernels) {
    loop.add(kernel.session);
    for (let i = 0; i < 50; i++) kernel.send(Opcode.GETATTR, 1, body(getattrIn, {}));
  }
  let idles = 0;
  let wakes = 0;
  loop.run(
    () => {
      wakes++;
      loop.stop();
    },
    () => {
      idles++;
      t.same(
        kernels.map((kernel) => kernel.answers().length),
        [50, 50],
        'all served before idling',
      );
      waker.wake();
    },
  );
  t.equal(wakes, 1);
  t.equal(idles, 1);
  for (const kernel of kernels) kernel.close();
  syscalls().close(wakeFd);
  t.end();
});

await t.test('looking ahead: when nothing is waiting, as often as there is something, then idle', (t) => {
  const wakeFd = createEventFd();
  const waker = new EventFdWaker(wakeFd);
  const kernel = kernelOf();
  const seen: string[] = [];
  const answered = (): void => {
    seen.push(...kernel.answers().map(() => 'answer'));
  };
  let left = 3;
  const loop = new DeviceLoop({
    wakeFd,
    pollUs: 0,
    lookAhead: () => {
      answered();
      if (left === 0) return false;
      seen.push('ahead');
      // What comes meanwhile is served first.
      if (left-- === 2) kernel.send(Opcode.GETATTR, 1, body(getattrIn, {}));
      return true;
    },
  });
  loop.add(kernel.session);
  kernel.send(Opcode.GETATTR, 1, body(getattrIn, {}));
  loop.run(
    () => loop.stop(),
    () => {
      seen.push('idle');
      waker.wake();
    },
  );
  t.same(seen, ['answer', 'ahead', 'ahead', 'answer', 'ahead', 'idle']);
  kernel.close();
  syscalls().close(wakeFd);
  t.end();
});

await t.test('a session that ends leaves the loop, the other goes on', (t) => {
  const wakeFd = createEventFd();
  const waker = new EventFdWaker(wakeFd);
  const [gone, stays] = [kernelOf(), kernelOf()];
  const loop = new DeviceLoop({ wakeFd, pollUs: 0 });
  loop.add(gone.session);
  loop.add(stays.session);
  gone.end.close();
  stays.send(Opcode.GETATTR, 1, body(getattrIn, {}));
  loop.run(
    () => loop.stop(),
    () => waker.wake(),
  );
  t.same(gone.ended, ['unmounted']);
  t.equal(stays.answers().length, 1);
  t.same(stays.ended, []);
  gone.end.closeOther();
  stays.close();
  syscalls().close(wakeFd);
  t.end();
});

await t.test('deadlines', (t) => {
  const wakeFd = createEventFd();
  const startMs = performance.now();
  let nextMs = startMs + 20;
  let calls = 0;
  const loop = new DeviceLoop({
    wakeFd,
    pollUs: 50,
    nextDeadlineMs: () => nextMs,
    onDeadline: () => {
      nextMs += 20;
      if (++calls === 3) loop.stop();
    },
  });
  loop.run(() => t.fail('nobody wakes'));
  t.equal(calls, 3);
  t.ok(performance.now() - startMs >= 60);
  t.ok(loop.sleeps < 20, 'it sleeps meanwhile');
  syscalls().close(wakeFd);
  t.end();
});

await t.test('SpinPolicy', (t) => {
  const never = new SpinPolicy(0);
  never.slept(0.001, true);
  t.equal(never.budgetMs(), 0);

  const policy = new SpinPolicy(0.05);
  t.equal(policy.budgetMs(), 0.05);
  const exhaust = (): number => {
    let misses = 0;
    for (; policy.budgetMs() > 0; misses++) policy.missed();
    return misses;
  };
  t.equal(exhaust(), 4, 'a few misses and it sleeps at once');
  policy.slept(1000, true);
  policy.slept(0.01, false);
  t.equal(policy.budgetMs(), 0, 'neither a long sleep nor a wake is a reason to look');
  policy.slept(0.06, true);
  t.equal(policy.budgetMs(), 0.05, 'a short one is');
  const sleepsUntilLooking = (): number => {
    for (let n = 1; ; n++) {
      policy.slept(0.06, true);
      if (policy.budgetMs() > 0) return n;
    }
  };
  const counts: number[] = [];
  for (let i = 0; i < 12; i++) {
    exhaust();
    counts.push(sleepsUntilLooking());
  }
  t.same(counts, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024], 'less and less often');
  policy.found();
  exhaust();
  t.equal(sleepsUntilLooking(), 1, 'success forgives all');
  t.end();
});
