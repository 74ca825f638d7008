/** The posix suite against the core in process: no kernel, no mount, every failure in one stack trace. */
import t from 'tap';
import { coreExists, openCoreTarget } from '../harness/core-target.js';
import { runPosixSuite } from './suite.js';

await t.test('posix suite', { skip: coreExists ? false : 'no core in this tree' }, async (ct) => {
  const target = await openCoreTarget();
  await runPosixSuite(ct, target.client);
  target.close();
});
