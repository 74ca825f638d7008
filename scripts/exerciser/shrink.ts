/** Makes a failing log short: a suffix that still fails, then without halves, quarters, … single operations. */

/** Replays a log in a fresh place: the index of the operation that shows the difference, undefined if none does. */
export type Replay<Op> = (log: readonly Op[]) => Promise<number | undefined>;

export interface ShrinkLimits {
  /** Replays at most. */
  replays: number;
  seconds: number;
}

const FIRST_SUFFIX = 50;

/** The shortest failing log found within the limits; `log` itself if nothing shorter fails. */
export const shrinkLog = async <Op>(
  failing: readonly Op[],
  replay: Replay<Op>,
  limits: ShrinkLimits,
): Promise<Op[]> => {
  const end = performance.now() + limits.seconds * 1000;
  let left = limits.replays;
  const mayReplay = (): boolean => left > 0 && performance.now() < end;
  /** The part up to the difference; undefined if there is none. */
  const attempt = async (log: readonly Op[]): Promise<Op[] | undefined> => {
    left--;
    const index = await replay(log);
    return index === undefined ? undefined : log.slice(0, index + 1);
  };

  let log = [...failing];
  for (let length = FIRST_SUFFIX; length < log.length && mayReplay(); length *= 4) {
    const found = await attempt(log.slice(-length));
    if (found !== undefined) {
      log = found;
      break;
    }
  }
  for (let size = Math.ceil(log.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = 0; start < log.length && mayReplay();) {
      const found = await attempt([...log.slice(0, start), ...log.slice(start + size)]);
      if (found !== undefined) log = found;
      else start += size;
    }
  }
  return log;
};
