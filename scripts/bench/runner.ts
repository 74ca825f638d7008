/**
 * Runs the rounds. In a round each group of workloads is done on every target, one after another, in an order that
 * turns by one place a round, so that no target always follows the same other one.
 *
 * INVARIANT: nothing of an earlier trial is still being written when a timed step begins: the target, the mount and
 * the disk have been synced.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { dropCaches, syncFilesystem, waitForDiscards } from './machine.js';
import { unmountBelow } from './mounts.js';
import type { Processes } from './processes.js';
import { requestDelta, rotate, type RequestCounts } from './stats.js';
import type { MountedTarget, Target } from './target.js';
import type { Group, Settings, Sources, Step, StepContext } from './workload.js';

/** One measured value. */
export interface Trial {
  figure: string;
  target: string;
  round: number;
  value: number;
  /** Those of the timed step, with what it left to be written. */
  requests?: RequestCounts;
  /** For a step that writes: how long it then took until everything was on disk. */
  settleMs?: number;
}

export interface Failure {
  figure: string;
  target: string;
  round: number;
  message: string;
}

export interface RunPlan {
  processes: Processes;
  /** An existing folder of ours on the disk under test. */
  workspace: string;
  targets: readonly Target[];
  groups: readonly Group[];
  rounds: number;
  settings: Settings;
  sources: Sources;
  /** Without the right to, cold steps are not asked for; the others then begin with warm caches. */
  mayDropCaches: boolean;
  onProgress(text: string): void;
}

/** Only the steps whose figures are wanted, and those before them that they need. Empty groups are left out. */
export const selectGroups = (groups: readonly Group[], wanted: (figure: string, step: Step) => boolean) =>
  groups.flatMap((group): Group[] => {
    const isWanted = (step: Step): boolean => step.figure !== undefined && wanted(step.figure.name, step);
    const last = group.steps.findLastIndex(isWanted);
    if (last < 0) return [];
    const steps = group.steps.slice(0, last + 1).flatMap((step): Step[] => {
      if (isWanted(step)) return [step];
      return step.needed ? [{ ...step, figure: undefined }] : [];
    });
    return [{ ...group, steps }];
  });

export const runAll = async (plan: RunPlan): Promise<{ trials: Trial[]; failures: Failure[] }> => {
  const trials: Trial[] = [];
  const failures: Failure[] = [];
  const steps = plan.groups.reduce((sum, group) => sum + group.steps.length, 0);
  const total = plan.rounds * plan.targets.length * steps;
  let done = 0;
  for (let round = 1; round <= plan.rounds; round++) {
    for (const [place, group] of plan.groups.entries()) {
      for (const target of rotate(plan.targets, round - 1 + place)) {
        let at = group.name;
        const begin = (step: string): void => {
          at = step;
          plan.onProgress(`[${++done}/${total}] round ${round}, ${target.name}: ${step}`);
        };
        const before = done;
        try {
          await runGroup(plan, group, target, begin, (trial) => trials.push({ ...trial, round }));
        } catch (error) {
          if (plan.processes.aborted) throw error;
          failures.push({ figure: at, target: target.name, round, message: (error as Error).message });
        }
        done = before + group.steps.length;
      }
    }
  }
  return { trials, failures };
};

const runGroup = async (
  plan: RunPlan,
  group: Group,
  target: Target,
  begin: (step: string) => void,
  record: (trial: Omit<Trial, 'round'>) => void,
): Promise<void> => {
  const { processes, settings, sources } = plan;
  const place = join(plan.workspace, target.name.replace(/[^\w-]/g, '_'));
  mkdirSync(place);
  try {
    const mounted = await target.open(place, group.variant);
    try {
      const context: StepContext = { processes, settings, sources, root: mounted.root };
      for (const step of group.steps) {
        begin(step.figure?.name ?? 'preparing');
        const trial = await runStep(plan, mounted, step, context);
        if (step.figure !== undefined) record({ ...trial, figure: step.figure.name, target: target.name });
      }
    } finally {
      await mounted.close();
    }
  } finally {
    // Never delete through a mount that would not go.
    await unmountBelow(processes, place);
    rmSync(place, { recursive: true, force: true });
  }
};

const runStep = async (
  plan: RunPlan,
  mounted: MountedTarget,
  step: Step,
  context: StepContext,
): Promise<Pick<Trial, 'value' | 'requests' | 'settleMs'>> => {
  if (step.caches === 'cold') await mounted.remount();
  await settle(plan, mounted);
  await waitForDiscards(plan.workspace);
  if (plan.mayDropCaches && (step.caches === 'cold' || step.caches === 'dropped')) {
    await dropCaches(plan.processes);
  }
  if (step.caches === 'warm') await step.run(context);
  await step.prepare?.(context);
  const before = await mounted.requests();
  const value = await step.run(context);
  // Cold and warm steps only read. The others may leave dirty pages whose requests are theirs as well.
  const reads = step.caches === 'cold' || step.caches === 'warm';
  const settleMs = reads ? undefined : await settle(plan, mounted);
  const after = await mounted.requests();
  const requests = before === undefined || after === undefined ? undefined : requestDelta(before, after);
  return { value, requests, settleMs };
};

/** Brings everything dirty to the disk: the kernel's pages of the mount, the server's, the disk's. Milliseconds. */
const settle = async (plan: RunPlan, mounted: MountedTarget): Promise<number> => {
  const started = performance.now();
  await syncFilesystem(plan.processes, mounted.root);
  await mounted.sync();
  await syncFilesystem(plan.processes, plan.workspace);
  return performance.now() - started;
};
