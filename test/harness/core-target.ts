/**
 * The core in process. The factory is test/harness/test-core.ts, exporting
 *
 *     createTestCore(): TestCore
 *
 * which makes a store in a temporary directory, a page pool and a Vfs over them, all in this thread, and returns
 *  - `vfs`: the {@link Vfs};
 *  - `pool`: a Uint8Array over the shared page pool, for DataSink.pool;
 *  - `advance()`: does one piece of deferred work now: commits what is sealed, runs what is due, wakes who waits;
 *  - `close()`: unmounts, throws if a vnode, page, handle or lookup count is left, and removes the store.
 */
import { existsSync } from 'node:fs';
import { CoreClient } from './core-client.js';
import type { CreateTestCore } from './core-walk.js';
import type { TestCoreOptions } from './test-core.js';
import { VNODEFS_CAPABILITIES } from './mount.js';

export interface CoreTarget {
  client: CoreClient;
  /** Throws if an invariant is broken. */
  check(options?: { asksStore?: boolean }): void;
  /** See InProcessCore.checkCrash. */
  checkCrash(): number;
  close(): void;
}

const factory = new URL('./test-core.js', import.meta.url);
/** False in a tree that holds the suite without the core: nothing to test then. */
export const coreExists = existsSync(factory);

export const openCoreTarget = async (options?: TestCoreOptions): Promise<CoreTarget> => {
  const { createTestCore } = (await import(factory.href)) as { createTestCore: CreateTestCore };
  const core = createTestCore(options);
  const client = new CoreClient(core, {
    ...VNODEFS_CAPABILITIES,
    permissions: false,
    openSpecial: false,
    processes: false,
  });
  return {
    client,
    check: (options) => core.check(options),
    checkCrash: () => core.checkCrash(),
    close: () => {
      client.closeAll();
      core.close();
    },
  };
};
