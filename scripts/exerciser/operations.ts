/** The operations of a task: drawn from its seed, or read from a log. */
import { readFileSync } from 'node:fs';
import { Prng } from '../../src/base/prng.js';
import type { Flag } from '../../test/harness/posix-client.js';
import type { TeamTask } from './exercise.js';
import { fileOps, type FileOp, HOWS } from './file-ops.js';
import { type TreeOp, treeOps } from './tree-exercise.js';

export type AnyOp = FileOp | TreeOp;

const ALLOCATIONS: ReadonlySet<string> = new Set(['punch', 'zero', 'zero-keep', 'allocate', 'allocate-keep']);

const needs = (op: AnyOp): Flag[] => {
  if (!('does' in op)) return ALLOCATIONS.has(op.op) ? ['fallocate'] : [];
  if (op.does.op === 'link') return ['linkedNames'];
  return op.does.op === 'rename' && op.does.flags !== 0 ? ['renameFlags'] : [];
};

/** The operations of a task: from its log, or as many as it asks for. */
export const operationsOf = function* (task: TeamTask): Generator<AnyOp> {
  if (task.log !== undefined) {
    for (const line of readFileSync(task.log, 'utf8').split('\n')) {
      if (line !== '') yield JSON.parse(line) as AnyOp;
    }
    return;
  }
  const prng = new Prng(task.seed);
  const hows = task.io === 'mixed' ? HOWS : [task.io];
  const source = task.kind === 'file' ? fileOps(prng, { ...task, hows }) : treeOps(prng, task.processes);
  for (let i = 0; i < task.count;) {
    const op = source.next().value;
    if (needs(op).some((flag) => task.lacks.includes(flag))) continue;
    i++;
    yield op;
  }
};
