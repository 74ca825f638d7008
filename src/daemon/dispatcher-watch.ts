/**
 * The watchdog on the dispatcher of a daemon: silence is logged with the stack of the thread, and after the limit the
 * daemon is made to fail, which cuts the connections of all its mounts. With the fuse-native transport the dispatcher
 * shares the main thread, so that a silence is only ever noticed after it.
 */
import type { Log } from './log.js';
import { javaScriptStack, kernelState } from './thread-stack.js';
import { Watchdog, watchdogLimits } from './watchdog.js';

const STACK_MS = 5_000;
/** The worker's name, see src/daemon/workers.ts. */
const DISPATCHER = 'dispatcher';

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;

/** `ping` resolves with the dispatcher's thread; `cutMs` 0: never cut, only log. The caller starts and stops it. */
export const watchDispatcher = (
  ping: () => Promise<string>,
  cutMs: number,
  log: Log,
  fail: (error: Error) => void,
): Watchdog => {
  let task = '';
  const warn = async (silentMs: number): Promise<void> => {
    const state = task === '' ? 'unknown' : kernelState(task);
    const stack = await javaScriptStack(DISPATCHER, STACK_MS);
    log.write('error', 'the dispatcher does not answer', { silentMs, state, stack });
  };
  return new Watchdog(watchdogLimits(cutMs === 0 ? Infinity : cutMs), {
    ping: async () => {
      task = await ping();
    },
    warn: (silentMs) => void warn(silentMs),
    recovered: (silentMs) => log.write('warn', 'the dispatcher answers again', { silentMs }),
    cut: (silentMs) => fail(new Error(`the dispatcher has not answered for ${seconds(silentMs)}`)),
  });
};
