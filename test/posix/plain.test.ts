/** The posix suite against an ordinary directory: shows that the suite itself is right. */
import t from 'tap';
import { openPlainTarget } from '../harness/plain-target.js';
import { runPosixSuite } from './suite.js';

const target = openPlainTarget();
t.teardown(() => target.close());
await runPosixSuite(t, target.client);
