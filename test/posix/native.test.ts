/** The posix suite against a real mount by fuse-native; what that binding can't carry is skipped, with the capability that is missing. */
import t from 'tap';
import { mountCapabilities, mountStore } from '../harness/mount.js';
import { RealClient } from '../harness/real-client.js';
import { runPosixSuite } from './suite.js';

const mounted = mountStore(t, { args: ['-o', 'allow_other', '--transport', 'fuse-native'] });
await runPosixSuite(t, new RealClient('mount', mounted.mnt, mountCapabilities(mounted)));
await t.test('the store is sound afterwards', (ct) => {
  mounted.fsck();
  ct.end();
});
