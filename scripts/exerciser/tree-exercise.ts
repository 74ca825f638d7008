/**
 * The tree exerciser: the operations, model and actor of test/model, performed by several processes in turns on one
 * tree. Other teams may work in the same directory at the same time, under names with another prefix.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import type { Prng } from '../../src/base/prng.js';
import { VNODEFS_CAPABILITIES } from '../../test/harness/mount.js';
import { RealClient } from '../../test/harness/real-client.js';
import { type Op, randomOp, TreeModel } from '../../test/model/tree-model.js';
import { compareWhole, explain, outcome, TreeActor } from '../../test/model/tree-runner.js';
import type { Exercise, Inspector } from './exercise.js';

export interface TreeOp {
  /** The process that performs it. */
  p: number;
  does: Op;
}

const TURN = 6;
/** No process has more handles than this: the model numbers them all. */
const HANDLES_APART = 16;

export function* treeOps(prng: Prng, processes: number): Generator<TreeOp, never> {
  let p = 0;
  for (;;) {
    if (prng.int(TURN) === 0) p = prng.int(processes);
    const op = randomOp(prng);
    // Descriptors belong to a process.
    yield { p, does: 'handle' in op ? { ...op, handle: op.handle + p * HANDLES_APART } : op };
  }
}

export class TreeExercise implements Exercise<TreeOp> {
  readonly #model = new TreeModel();
  readonly #actor: TreeActor;

  constructor(dir: string, prefix: string) {
    this.#actor = new TreeActor(new RealClient('mount', dir, VNODEFS_CAPABILITIES), dir, prefix);
  }

  setUp(): void {
    // The tree starts empty.
  }
  perform({ does }: TreeOp): string | undefined {
    const wanted = outcome(() => this.#model.apply(does));
    const got = outcome(() => this.#actor.apply(does));
    return wanted === got ? undefined : explain(wanted, got);
  }
  follow({ does }: TreeOp): void {
    outcome(() => this.#model.apply(does));
  }
  compareWhole(): string | undefined {
    return compareWhole(this.#model, this.#actor);
  }
  close(): void {
    this.#actor.closeAll();
  }

  expected(): string[] {
    const lines: string[] = [];
    const visit = (node: TreeModel['root'], path: string): void => {
      for (const [name, child] of node.children) {
        const childPath = `${path}${name}`;
        const content = child.kind === 'file' ? child.data : Buffer.from(child.target);
        lines.push(describeNode(childPath, child.kind, child.links, content));
        visit(child, `${childPath}/`);
      }
    };
    visit(this.#model.root, '');
    return lines.sort();
  }
}

const describeNode = (path: string, kind: string, links: number, content: Buffer): string =>
  `${path} ${kind} ${links} ${createHash('sha1').update(content).digest('hex')}`;

export const inspectTree: Inspector = (dir, prefix) => {
  const lines: string[] = [];
  const visit = (real: string, path: string): void => {
    for (const entry of fs.readdirSync(real, { withFileTypes: true })) {
      if (path === '' && !entry.name.startsWith(prefix)) continue;
      const child = `${real}/${entry.name}`;
      const shown = path === '' ? entry.name.slice(prefix.length) : `${path}/${entry.name}`;
      const { nlink } = fs.lstatSync(child);
      if (entry.isDirectory()) {
        lines.push(describeNode(shown, 'dir', nlink, Buffer.alloc(0)));
        visit(child, shown);
      } else if (entry.isSymbolicLink()) {
        lines.push(describeNode(shown, 'symlink', nlink, fs.readlinkSync(child, { encoding: 'buffer' })));
      } else lines.push(describeNode(shown, 'file', nlink, fs.readFileSync(child)));
    }
  };
  visit(dir, '');
  return lines.sort();
};
