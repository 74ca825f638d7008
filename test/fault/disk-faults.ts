/** Which operations of the fault-injecting disk go wrong, and how. Rules are looked at in order; the first that applies decides. */
import { Prng } from '../../src/base/prng.js';

export type FaultTarget = 'main' | 'wal' | 'any';
export type FaultOp = 'write' | 'fsync' | 'truncate';

export interface FaultRule {
  op: FaultOp;
  file: FaultTarget;
  /**
   * `fail`: nothing is done, the errno is returned. `tear`: a write puts some of its 512-byte sectors on the disk, then
   * fails. `drop`: success is reported and nothing done (a disk that lies). `delay`: done, after `delayMs`.
   */
  kind: 'fail' | 'tear' | 'drop' | 'delay';
  errno?: 'EIO' | 'ENOSPC';
  delayMs?: number;
  /** One of so many, at random; default every one. */
  oneIn?: number;
  /** Lets so many matching operations pass first. */
  after?: number;
  /** Applies at most so often; default always. */
  times?: number;
}

export const SECTOR_BYTES = 512;

interface Armed extends FaultRule {
  seen: number;
  done: number;
}

const targetOf = (name: string): FaultTarget => (name.endsWith('-wal') ? 'wal' : 'main');

export class DiskFaults {
  readonly random: Prng;
  #rules: Armed[] = [];
  /** Faults injected, by rule kind and operation. */
  readonly counts: Record<string, number> = {};

  constructor(seed: number) {
    this.random = new Prng(seed);
  }

  set(rules: readonly FaultRule[]): void {
    this.#rules = rules.map((rule) => ({ ...rule, seen: 0, done: 0 }));
  }

  /** The rule that this operation falls under, counted as applied. The -shm file is memory, not disk: never faulty. */
  match(op: FaultOp, name: string): FaultRule | undefined {
    if (name.endsWith('-shm')) return undefined;
    for (const rule of this.#rules) {
      if (rule.op !== op || (rule.file !== 'any' && rule.file !== targetOf(name))) continue;
      if (rule.seen++ < (rule.after ?? 0)) continue;
      if (rule.done >= (rule.times ?? Infinity)) continue;
      if (rule.oneIn !== undefined && this.random.int(rule.oneIn) !== 0) continue;
      rule.done++;
      const key = `${rule.kind} ${op}`;
      this.counts[key] = (this.counts[key] ?? 0) + 1;
      return rule;
    }
    return undefined;
  }
}
