/** Plugs the layers below into the ports of src/daemon/ports.ts: the only file of the main thread that knows their modules. */
import { Failure } from './failure.js';
import type { DaemonPorts, StorePort } from './ports.js';

export const storePort = (): StorePort => {
  throw new Failure('general', 'this build has no store layer: merge it first');
};

export const daemonPorts = (): DaemonPorts => {
  throw new Failure('general', 'this build has no kernel transport: merge it first');
};
