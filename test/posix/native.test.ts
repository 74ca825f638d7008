/** The posix suite against a real mount by fuse-native; what that binding can't carry is skipped, with the capability that is missing. */
import t from 'tap';
import { NATIVE, withoutNative } from '../harness/fuse-native.js';
import { mountCapabilities, mountStore } from '../harness/mount.js';
import { RealClient } from '../harness/real-client.js';
import { runPosixSuite } from './suite.js';

await t.test('on fuse-native', { skip: withoutNative }, async (t) => {
  const mounted = mountStore(t, { args: ['-o', 'allow_other', ...NATIVE] });
  await runPosixSuite(t, new RealClient('mount', mounted.mnt, mountCapabilities(mounted)));
  await t.test('the store is sound afterwards', (ct) => {
    mounted.fsck();
    ct.end();
  });
});
