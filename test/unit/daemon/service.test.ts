/** The life of a mount, with fakes for everything below and short limits. */
import type { Holder } from '../../../src/daemon/holders.js';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import t from 'tap';
import { Failure } from '../../../src/daemon/failure.js';
import type { Detached } from '../../../src/base/mountinfo.js';
import type { Host } from '../../../src/daemon/host.js';
import type {
  DispatcherStatus,
  FromDispatcher,
  FromMount,
  ToDispatcher,
} from '../../../src/daemon/messages.js';
import type { MountEntry } from '../../../src/base/mountinfo.js';
import type { DaemonPorts, OnWorkerTrouble } from '../../../src/daemon/ports.js';
import { MountService } from '../../../src/daemon/service.js';
import { defaultFlags, defaultTuning } from '../../../src/daemon/settings.js';
import { DaemonThreads } from '../../../src/daemon/threads.js';

const LIMITS = { readyMs: 300, stopMs: 300, noticeMs: 30 };
const MOUNT: MountEntry = {
  mountId: 1,
  device: '0:77',
  mountpoint: '/m',
  options: [],
  fsType: 'fuse.vnodefs',
  source: '/s',
  superOptions: [],
};

interface Script {
  /** What the dispatcher does with a message; default: answers like a good one. */
  dispatcher?: (message: ToDispatcher, say: (message: FromDispatcher) => void) => void;
  onStart?: FromDispatcher | undefined;
  detach?: (lazy: boolean) => Detached;
  claim?: () => never;
  holders?: Holder[];
}

const good = (message: ToDispatcher, say: (message: FromDispatcher) => void): void => {
  if (message.kind === 'status')
    say({
      kind: 'status',
      mount: 1,
      id: message.id,
      status: { requests: {}, counters: {} } as DispatcherStatus,
    });
  if (message.kind === 'sync') say({ kind: 'synced', mount: 1, id: message.id, errno: 0, reason: '' });
  if (message.kind === 'close')
    say({ kind: 'closed', mount: 1, id: message.id, closed: { done: true, paths: ['w'], trouble: '' } });
  if (message.kind === 'finish') say({ kind: 'finished', mount: 1, errno: 0, reason: '', cause: 'asked' });
};

const setUp = (script: Script) => {
  const events: string[] = [];
  let mounted = false;
  let theirs: MessagePort | undefined;
  let trouble: OnWorkerTrouble = () => undefined;
  const say = (message: FromDispatcher): void => theirs?.postMessage(message);
  const host: Host = {
    mounts: () => (mounted ? [MOUNT] : []),
    probe: () => Promise.resolve({ state: 'alive' }),
    detach: (_, lazy) => {
      const detached = script.detach?.(lazy) ?? { outcome: 'done' };
      events.push(`${lazy ? 'lazy ' : ''}detach: ${detached.outcome}`);
      if (detached.outcome === 'done') mounted = false;
      return Promise.resolve(detached);
    },
    holders: () => script.holders ?? [],
    abort: () => false,
    flush: () => {
      events.push('flush');
      return Promise.resolve('');
    },
  };
  const ports: DaemonPorts = {
    store: {
      create: () => {
        throw new Failure('general', 'not here');
      },
      check: () => ({ problems: [], counts: {}, waiting: 0 }),
      openRepair: () => {
        throw new Failure('general', 'not here');
      },
      claim:
        script.claim ??
        (() => ({
          superblock: {} as never,
          created: true,
          replayed: 0,
          release: () => events.push('release'),
        })),
    },
    transport: { name: 'kernel', reason: 'test' },
    mounter: {
      mount: () => {
        mounted = true;
        return { deviceFd: 9 };
      },
      settled: () => undefined,
      remount: () => Promise.resolve('done' as const),
    },
    system: {
      eventfd: () => 8,
      waker: () => () => undefined,
      exit: (code) => {
        throw new Failure('general', `exit ${code}`);
      },
    },
    startDispatcher: (_, onTrouble) => {
      const { port1, port2 } = new MessageChannel();
      theirs = port2;
      trouble = onTrouble;
      port2.on('message', (message: ToDispatcher) => {
        if (message.kind === 'add') start();
        else if (message.kind === 'drop') port2.close();
        else if (!['tally', 'sync', 'status'].includes(message.kind)) events.push(message.kind);
        (script.dispatcher ?? good)(message, say);
      });
      return port1;
    },
    startSyncer: () => ({
      dispatcher: new MessageChannel().port1,
      ended: Promise.resolve(),
      stop: () => {
        events.push('syncer ended');
        return Promise.resolve();
      },
    }),
  };
  const start = (): void => {
    const ready: FromMount = { kind: 'ready', mount: 1, protocol: '7.45', features: [] };
    const first = 'onStart' in script ? script.onStart : ready;
    if (first !== undefined) say(first);
  };
  const log = { write: () => undefined, reopen: () => undefined, flush: () => undefined };
  const settings = {
    store: '/s',
    mountpoint: '/m',
    transport: 'auto' as const,
    flags: defaultFlags(),
    tuning: { ...defaultTuning(), pagesMax: 16 },
    logFile: '/l',
    logLevel: 'info' as const,
  };
  const threads = new DaemonThreads(settings.tuning, ports, (error) => void service.fail(error));
  const service: MountService = new MountService(settings, ports, host, log, threads, LIMITS);
  return {
    service,
    events,
    close: () => theirs?.close(),
    say,
    trouble: (error: Error) => trouble(error),
    isMounted: () => mounted,
    unmountedByOthers: () => (mounted = false),
  };
};

void t.test('mounted, then unmounted by somebody', async (t) => {
  const { service, say, unmountedByOthers, events } = setUp({});
  t.strictSame(await service.start(), { created: true, protocol: '7.45' });
  t.strictSame(await service.sync(), { errno: 0, reason: '' });
  unmountedByOthers();
  say({ kind: 'finished', mount: 1, errno: 0, reason: '', cause: 'unmounted' });
  t.strictSame(await service.ended, { exitCode: 0, errno: 0, reason: '' });
  t.strictSame(events, ['release']);
  t.throws(() => service.status(), { kind: 'general', message: 'the mount is not running' });
});

void t.test('what could not be saved makes the exit code', async (t) => {
  const { service, say, isMounted } = setUp({});
  await service.start();
  say({ kind: 'finished', mount: 1, errno: 28, reason: 'disk full', cause: 'aborted' });
  t.strictSame(await service.ended, { exitCode: 1, errno: 28, reason: 'disk full' });
  t.notOk(isMounted(), 'an aborted mount is detached');
});

void t.test('a start that fails leaves nothing', async (t) => {
  const cases: [Script, { kind?: string; message: string | RegExp }][] = [
    [{ onStart: { kind: 'fatal', message: 'broken', stack: 's' } }, { message: /failed at start: broken/ }],
    [{ onStart: undefined }, { kind: 'timed-out', message: /did not come up in 0.3 s/ }],
    [
      { onStart: { kind: 'finished', mount: 1, errno: 5, reason: 'bad store', cause: 'aborted' } },
      { message: /before it was ready \(bad store\)/ },
    ],
    [
      {
        claim: () => {
          throw new Failure('store-in-use', 'in use');
        },
      },
      { kind: 'store-in-use', message: 'in use' },
    ],
  ];
  for (const [script, wanted] of cases) {
    const { service, isMounted, close } = setUp(script);
    await t.rejects(service.start(), wanted);
    close();
    t.notOk(isMounted());
    t.equal(service.state, 'ended');
  }
  const { service } = setUp({ onStart: undefined });
  const started = t.rejects(service.start(), { message: /stopped by SIGTERM before/ });
  await service.stop('SIGTERM');
  await started;
});

const WRITER: Holder = {
  pid: 7,
  command: 'w',
  uid: 0,
  user: 'root',
  uses: [{ use: 'writing', path: '/m/w' }],
};
const READER: Holder = { ...WRITER, pid: 8, uses: [{ use: 'reading', path: '/m/r' }] };
/** Reads what somebody writes. */
const BOTH: Holder = { ...WRITER, pid: 9, uses: [{ use: 'reading', path: '/m/w' }] };
const CLOSE = ['flush', 'close'];
const END = ['lazy detach: done', 'finish', 'release'];

void t.test('SIGTERM: write-close, detach, finish', async (t) => {
  const { service, events } = setUp({});
  await service.start();
  await service.stop('SIGTERM');
  t.match(await service.ended, { exitCode: 0 });
  t.strictSame(events, [...CLOSE, ...END]);
});

void t.test('SIGTERM: readers have a while, then it is forced', async (t) => {
  const { service, events } = setUp({ holders: [WRITER, READER] });
  await service.start();
  await service.stop('SIGTERM');
  t.match(await service.ended, { exitCode: 0 });
  t.strictSame(events, [...CLOSE, 'close', ...END]);
});

void t.test('busy for a moment, by nobody who is to be seen', async (t) => {
  let attempts = 0;
  const passing = setUp({ detach: () => ({ outcome: ++attempts < 3 ? 'busy' : 'done' }) });
  await passing.service.start();
  t.match(await passing.service.unmount({ mode: 'plain', timeoutMs: 1000 }), { outcome: 'unmounted' });
  t.equal(attempts, 3);
  const lasting = setUp({ detach: (lazy) => ({ outcome: lazy ? 'done' : 'busy' }) });
  await lasting.service.start();
  t.match(await lasting.service.unmount({ mode: 'plain', timeoutMs: 1000 }), {
    outcome: 'busy',
    holders: [],
  });
  t.equal(lasting.service.state, 'running');
  await lasting.service.unmount({ mode: 'force', timeoutMs: 1000 });
});

void t.test('plain, write-close and force', async (t) => {
  const busy = setUp({
    detach: (lazy) => ({ outcome: lazy ? 'done' : 'busy' }),
    holders: [WRITER, READER, BOTH],
  });
  await busy.service.start();
  const refused = await busy.service.unmount({ mode: 'plain', timeoutMs: 1000 });
  t.match(refused, { outcome: 'busy', holders: [{ pid: 7 }, { pid: 8 }, { pid: 9 }], cutOff: [] });
  t.strictSame(busy.events, ['detach: busy']);
  const readOnly = await busy.service.unmount({ mode: 'write-close', timeoutMs: 1000 });
  t.match(readOnly, { outcome: 'read-only', holders: [{ pid: 8 }], cutOff: [{ pid: 7 }, { pid: 9 }] });
  t.ok(busy.isMounted());
  t.equal(busy.service.state, 'running');
  const first = busy.service.unmount({ mode: 'write-close', timeoutMs: 1000 });
  await t.rejects(busy.service.unmount({ mode: 'plain', timeoutMs: 9 }), {
    kind: 'busy',
    message: /in progress/,
  });
  await first;
  const forced = await busy.service.unmount({ mode: 'force', timeoutMs: 1000 });
  t.match(forced, { outcome: 'unmounted', cutOff: [{ pid: 7 }, { pid: 8 }, { pid: 9 }], errno: 0 });
  t.match(
    forced.phases.map(({ name }) => name),
    ['write-back', 'close', 'detach', 'finish'],
  );
  t.notOk(busy.isMounted());
  const deaf = setUp({ dispatcher: () => undefined });
  await deaf.service.start();
  const late = await deaf.service.unmount({ mode: 'force', timeoutMs: 300 });
  t.match(late, { outcome: 'unmounted', errno: 5, reason: /did not finish in time/ });
  t.match(await deaf.service.ended, { exitCode: 1 });
});

void t.test('a dispatcher that does not finish: the deadline, or a second signal', async (t) => {
  const deaf = { dispatcher: () => undefined };
  const slow = setUp(deaf);
  await slow.service.start();
  await slow.service.stop('SIGTERM');
  t.match(await slow.service.ended, { exitCode: 1, reason: /because of the deadline/ });
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(
    slow.events.slice(-2),
    ['syncer ended', 'release'],
    'the store is locked as long as somebody may write to it',
  );
  const impatient = setUp({ ...deaf, detach: (lazy) => ({ outcome: lazy ? 'done' : 'busy' }) });
  await impatient.service.start();
  void impatient.service.stop('SIGINT'); // waits for a sync that is never answered
  await impatient.service.stop('SIGINT');
  t.match(await impatient.service.ended, { exitCode: 1, reason: /because of a second SIGINT/ });
  t.notOk(impatient.isMounted());
});

void t.test('a worker that fails', async (t) => {
  const { service, trouble, isMounted, say } = setUp({});
  await service.start();
  const answer = t.rejects(service.status(), { message: 'the mount has ended' });
  trouble(new Error('boom'));
  t.match(await service.ended, { exitCode: 1, reason: /boom/ });
  await answer;
  t.notOk(isMounted());
  trouble(new Error('again'));
  say({ kind: 'finished', mount: 1, errno: 0, reason: '', cause: 'asked' });
  t.equal(service.state, 'ended');
});
