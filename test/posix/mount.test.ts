/** The posix suite against a real mount, made by the command line and served by another process. */
import t from 'tap';
import { mountStore, VNODEFS_CAPABILITIES } from '../harness/mount.js';
import { RealClient } from '../harness/real-client.js';
import { runPosixSuite } from './suite.js';

const mounted = mountStore(t, { args: ['-o', 'allow_other'] });
await runPosixSuite(t, new RealClient('mount', mounted.mnt, VNODEFS_CAPABILITIES));
await t.test('the store is sound afterwards', (ct) => {
  mounted.fsck();
  ct.end();
});
