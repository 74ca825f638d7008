/** The families of the posix suite, in the order in which they run. */
import { aclCases } from './cases/acl.js';
import { dataCases } from './cases/data.js';
import { directoryCases } from './cases/directory.js';
import { flagCases } from './cases/flags.js';
import { linkCases } from './cases/links.js';
import { mappedCases } from './cases/mapped.js';
import { modeCases } from './cases/modes.js';
import { openCases } from './cases/open.js';
import { persistenceCases } from './cases/persistence.js';
import { renameCases } from './cases/rename.js';
import { ruleCases } from './cases/rules.js';
import { sparseCases } from './cases/sparse.js';
import { timeCases } from './cases/times.js';
import { truncateCases } from './cases/truncate.js';
import { xattrCases } from './cases/xattr.js';
import type { Family } from './suite.js';

export const families: readonly Family[] = [
  openCases,
  dataCases,
  mappedCases,
  truncateCases,
  linkCases,
  renameCases,
  directoryCases,
  timeCases,
  modeCases,
  xattrCases,
  aclCases,
  flagCases,
  ruleCases,
  sparseCases,
  persistenceCases,
];
