/**
 * The command line with the memory dispatcher in place of the real one: `node memory-cli.js mount STORE
 * MOUNTPOINT …`.
 */
import { fileURLToPath } from 'node:url';
import { main, realContext } from '../../src/cli/main.js';
import { daemonPorts } from '../../src/daemon/wiring.js';
import { dispatcherStarter, syncerStarter } from '../../src/daemon/workers.js';

process.exitCode = await main(process.argv.slice(2), {
  ...realContext(),
  script: fileURLToPath(import.meta.url),
  loadDaemonPorts: (choice) =>
    Promise.resolve({
      ...daemonPorts(choice),
      startDispatcher: dispatcherStarter(
        new URL('./memory-dispatcher.js', import.meta.url),
        new URL('../../src/fuse/kernel/notifier-worker.js', import.meta.url),
      ),
      startSyncer: syncerStarter(new URL('./idle-worker.js', import.meta.url)),
    }),
});
