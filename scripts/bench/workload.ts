/**
 * The shape of a workload. A {@link Group} is a chain of steps on one new filesystem; each step is one process, and
 * at most one figure. All steps of a group run on one target, then on the next, so that the targets are interleaved
 * within minutes of each other.
 */
import type { Processes } from './processes.js';
import type { Better } from './stats.js';
import type { MountVariant } from './target.js';

/** Paths of what was made once for the whole run, outside the targets, on the same disk. */
export interface Sources {
  /** A tar of the generated source tree, whose one folder is `tree`. */
  tar: string;
  /** A git repository holding that tree in one commit. */
  repository: string;
}

export interface Settings {
  /** Of the file that fio works on, in bytes. */
  sizeBytes: number;
  /** Of create, stat, list and unlink. */
  files: number;
}

export interface StepContext {
  readonly processes: Processes;
  readonly settings: Settings;
  readonly sources: Sources;
  /** The target's folder. */
  readonly root: string;
}

/**
 * What is in the caches when the step begins. Before each, everything dirty has reached the disk.
 * - `cold`: unmounted and mounted again, and the kernel's caches dropped.
 * - `dropped`: the kernel's caches dropped; the mount goes on.
 * - `warm`: the step itself has just been done once, untimed.
 * - `as is`: what the steps before have left.
 */
export type Caches = 'cold' | 'dropped' | 'warm' | 'as is';

export interface Step {
  /** Names the figure; a step that only prepares has none. */
  figure?: { name: string; unit: string; better: Better };
  caches: Caches;
  /** Later steps need what this one leaves, so it runs even when its figure is not asked for. */
  needed: boolean;
  /** Untimed, after the caches are set: brings programs and sources (not the target) into memory. */
  prepare?(context: StepContext): Promise<void>;
  /** Returns the value of the figure, in its unit. */
  run(context: StepContext): Promise<number>;
}

export interface Group {
  name: string;
  variant: MountVariant;
  /** Whether its steps read {@link Sources}; they are made only for a run that needs them. */
  usesSources: boolean;
  steps: Step[];
}
