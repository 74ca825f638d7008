/**
 * One process of a team, `node team-member.js ME TASK`. All processes draw the same operations from the same seed, and
 * apply all of them to their own model; each performs its own ones, while it holds the turn.
 *
 * The turn: descriptor FIRST_TURN_FD + 2k is the end that process k reads from, the next one is the end that is written
 * to. A byte there gives k the turn. Process 0 begins.
 */
import { readSync, writeSync } from 'node:fs';
import type { Exercise, TeamMessage, TeamTask } from './exercise.js';
import { directAlignment, FileExercise } from './file-actor.js';
import { FileModel } from './file-model.js';
import { type AnyOp, operationsOf } from './operations.js';
import { TreeExercise } from './tree-exercise.js';

const FIRST_TURN_FD = 3;
const PROGRESS_EVERY = 1_000;

const tell = (message: TeamMessage): void => void writeSync(1, `${JSON.stringify(message)}\n`);

const exerciseOf = (task: TeamTask): Exercise<AnyOp> => {
  if (task.kind === 'tree') return new TreeExercise(task.dir, task.prefix);
  const model = new FileModel(task.files, task.bytesMax, directAlignment(task.dir));
  return new FileExercise(`${task.dir}/${task.prefix}`, model);
};

const work = (me: number, task: TeamTask): void => {
  const exercise = exerciseOf(task);
  const byte = Buffer.alloc(1);
  let holder = 0;
  const turnTo = (next: number): void => {
    if (next === holder) return;
    if (holder === me) writeSync(FIRST_TURN_FD + 2 * next + 1, byte);
    else if (next === me) readSync(FIRST_TURN_FD + 2 * me, byte, 0, 1, null);
    holder = next;
  };
  const report = (index: number, what: string): void => {
    tell({ kind: 'difference', index, what });
    process.exit(1);
  };

  if (me === 0) exercise.setUp();
  let index = 0;
  for (const op of operationsOf(task)) {
    turnTo(op.p);
    if (op.p === me) {
      const what = exercise.perform(op);
      if (what !== undefined) report(index, `${JSON.stringify(op)}: ${what}`);
    } else exercise.follow(op);
    if (++index % PROGRESS_EVERY === 0 && holder === me) tell({ kind: 'progress', done: index });
    if (index % task.wholeEvery === 0 && holder === me) {
      const what = exercise.compareWhole();
      if (what !== undefined) report(index - 1, `in the whole: ${what}`);
    }
  }
  if (holder === me) {
    const what = exercise.compareWhole();
    if (what !== undefined) report(index - 1, `at the end: ${what}`);
  }
  exercise.close();
  if (holder === me) tell({ kind: 'finished', expected: exercise.expected() });
};

const [, , me, task] = process.argv;
work(Number(me), JSON.parse(task) as TeamTask);
