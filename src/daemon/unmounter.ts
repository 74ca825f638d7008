/**
 * The steps of an unmount, each within what is left of one deadline. Runs in the daemon's main thread, which asks the
 * dispatcher for what concerns vnodes and child processes for what may block on the mount.
 *
 *   plain        detach, refused while busy
 *   write-close  write-back, close writers, then detach; while readers are left: wait, or stay as a read-only mount
 *   force        write-back, close all, detach lazily
 *   all          finish: the dispatcher commits what is left, cuts the connection, closes the store
 *
 * INVARIANT: nothing here waits longer than its deadline, whatever kernel, dispatcher or disk do. The caller ends the
 * process when {@link Unmounter.run} says that it is unmounted.
 */
import { errorText } from './failure.js';
import { isBelow, mountsBelow, type Holder } from './holders.js';
import type { Host } from './host.js';
import type { ClosedFiles } from './messages.js';
import { Errno } from '../base/errno.js';
import type { Detached, MountEntry } from '../base/mountinfo.js';
import {
  ETIMEDOUT,
  type Phase,
  type PhaseName,
  type UnmountReport,
  type UnmountRequest,
} from './unmount-report.js';

/** How the deadline is shared out, as parts of the whole: a later step keeps what an earlier one needs not. */
const WRITE_BACK_UNTIL = 0.45;
const CLOSE_UNTIL = 0.7;
const WAIT_UNTIL = 0.6;
const FINISH_UNTIL = 0.95;
const DETACH_MIN_MS = 1_000;
/** So long a plain unmount is tried again while the mount is busy by nobody. */
const UNSEEN_MS = 1_000;
/** Between two looks at all processes, and many times what a look takes: it must not be what keeps the machine busy. */
const LOOK_AGAIN_MS = 100;
const LOOK_SHARE = 5;
/** What one look may take of the whole time. */
const LOOK_PART = 0.1;
const LOOK_MIN_MS = 500;

/** What became of the store, from the dispatcher's last message. */
export type FinishResult = Pick<UnmountReport, 'errno' | 'reason' | 'flushed' | 'dropped' | 'droppedMore'>;

/** One mount, as this file needs it. */
export interface Unmountable {
  readonly mountpoint: string;
  readonly store: string;
  readonly host: Host;
  /** Our mount, if it is still there. */
  mounted(): MountEntry | undefined;
  /** After a flush: what the kernel has written back is with the dispatcher. May never resolve. */
  arrived(limitMs: number): Promise<void>;
  /** Asks the dispatcher to force-close; see vflush. Must be given up by us if it doesn't answer. */
  closeFiles(how: 'writers' | 'all'): Promise<ClosedFiles>;
  /** From now on what is stored is counted, and what is lost is the unmount's. */
  tally(): void;
  /** The dispatcher commits, cuts the connection and closes the store, in `limitMs`. */
  finish(limitMs: number): Promise<FinishResult>;
  /** After a detach in order the dispatcher sees the end by itself. */
  finished(): Promise<FinishResult>;
}

interface Split {
  /** Their use is ended by what was closed. */
  cut: Holder[];
  /** They go on. */
  live: Holder[];
}

const DELETED = ' (deleted)';

/** Which holders a write-close ends: those who write, or use a file that somebody writes or that is unlinked. */
export const splitHolders = (holders: readonly Holder[], closed: ReadonlySet<string>): Split => {
  const isCut = ({ use, path }: Holder['uses'][number]): boolean =>
    use === 'writing' || (use !== 'cwd' && use !== 'root' && (path.endsWith(DELETED) || closed.has(path)));
  return {
    cut: holders.filter(({ uses }) => uses.some(isCut)),
    live: holders.flatMap((holder) => {
      const uses = holder.uses.filter((use) => !isCut(use));
      return uses.length === 0 ? [] : [{ ...holder, uses }];
    }),
  };
};

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves with `promise`, or with `late` after `ms`. */
const within = async <T, L>(promise: Promise<T>, ms: number, late: L): Promise<T | L> => {
  let timer: NodeJS.Timeout | undefined;
  const alarm = new Promise<L>((resolve) => (timer = setTimeout(() => resolve(late), ms)));
  try {
    return await Promise.race([promise, alarm]);
  } finally {
    clearTimeout(timer);
  }
};

export class Unmounter {
  readonly #mount: Unmountable;
  readonly #request: UnmountRequest;
  readonly #startMs = performance.now();
  readonly #phases: Phase[] = [];
  #cutOff: Holder[] = [];
  /** Set by a second signal or an urgent force: the waits of this one end. */
  #hurried = false;

  constructor(mount: Unmountable, request: UnmountRequest) {
    this.#mount = mount;
    this.#request = request;
  }

  /** Don't wait for readers any more. */
  hurry(): void {
    this.#hurried = true;
  }

  async run(): Promise<UnmountReport> {
    this.#mount.tally();
    switch (this.#request.mode) {
      case 'plain':
        return this.#plain();
      case 'write-close':
        return this.#writeClose();
      case 'force':
        return this.#force();
    }
  }

  /** What is left of the time until `part` of the deadline has passed; at least `leastMs`. */
  #left(part: number, leastMs = 0): number {
    return Math.max(leastMs, this.#startMs + this.#request.timeoutMs * part - performance.now());
  }

  get #lookMs(): number {
    return Math.max(LOOK_MIN_MS, this.#request.timeoutMs * LOOK_PART);
  }

  /** Measures a step; `act` returns what went wrong in it, or ''. */
  async #phase(name: PhaseName, act: () => Promise<string>): Promise<void> {
    const startMs = performance.now();
    let trouble: string;
    try {
      trouble = await act();
    } catch (error) {
      trouble = errorText(error);
    }
    this.#phases.push({ name, ms: Math.round(performance.now() - startMs), trouble });
  }

  async #plain(): Promise<UnmountReport> {
    let detached: Detached = { outcome: 'not-mounted' };
    await this.#phase('detach', async () => {
      if (this.#mount.mounted() === undefined) return '';
      detached = await this.#detachUnused();
      return detached.outcome === 'failed' ? detached.reason : '';
    });
    const { outcome } = detached as Detached;
    if (outcome === 'done' || outcome === 'not-mounted') return this.#finish(false);
    if (outcome === 'busy') return this.#report('busy');
    if (outcome === 'timed-out') return this.#report('busy', 'not unmounted in time', ETIMEDOUT);
    return this.#report('busy', this.#phases[0]?.trouble, Errno.EIO);
  }

  /**
   * As umount(2). Whoever looks a path up or asks statfs(2) at this very moment keeps a mount busy without being in any
   * list of who uses it: if nobody is to be seen, another attempt follows soon.
   */
  async #detachUnused(): Promise<Detached> {
    const { host, mountpoint } = this.#mount;
    const untilMs = performance.now() + UNSEEN_MS;
    for (;;) {
      const detached = await host.detach(mountpoint, false, this.#left(1, DETACH_MIN_MS));
      if (detached.outcome !== 'busy' || performance.now() >= untilMs || this.#isUsed()) return detached;
      await sleep(LOOK_AGAIN_MS);
    }
  }

  /** By somebody who is to be seen. */
  #isUsed(): boolean {
    const mount = this.#mount.mounted();
    if (mount === undefined) return false;
    return mountsBelow(mount, this.#mount.host.mounts()).length > 0 || this.#holders().length > 0;
  }

  async #writeClose(): Promise<UnmountReport> {
    await this.#writeBack();
    const { live, refusal } = await this.#closeWriters();
    if (refusal !== undefined)
      return this.#request.thenForce === true ? this.#force() : this.#report('busy', ...refusal);
    if (live && this.#request.thenForce === true) await this.#waitForReaders();
    if (!this.#usedByReaders()) {
      await this.#detachLazily();
      return this.#finish(true);
    }
    return this.#request.thenForce === true ? this.#force() : this.#report('read-only');
  }

  async #force(): Promise<UnmountReport> {
    const again = this.#phases.some(({ name }) => name === 'write-back');
    if (!again) await this.#writeBack();
    this.#cutOff = this.#holders();
    await this.#phase('close', async () => {
      const limitMs = this.#left(CLOSE_UNTIL, 100);
      const closed = await within(this.#mount.closeFiles('all'), limitMs + 200, undefined);
      return closed === undefined ? 'the dispatcher does not answer' : closed.trouble;
    });
    await this.#detachLazily();
    return this.#finish(true);
  }

  /** syncfs(2) by a child: the kernel's dirty pages reach the dispatcher. */
  async #writeBack(): Promise<void> {
    if (this.#mount.mounted() === undefined) return;
    await this.#phase('write-back', async () => {
      const trouble = await this.#mount.host.flush(this.#mount.mountpoint, this.#left(WRITE_BACK_UNTIL, 100));
      const limitMs = this.#left(WRITE_BACK_UNTIL);
      if (limitMs > 0) await within(this.#mount.arrived(limitMs), limitMs, undefined);
      return trouble;
    });
  }

  #closedPaths = new Set<string>();

  /** `refusal`: nothing has changed; why not, and an errno. */
  async #closeWriters(): Promise<{ live: boolean; refusal?: [string, number] }> {
    const before = this.#holders();
    let refusal: [string, number] | undefined = ['the dispatcher does not answer', ETIMEDOUT];
    await this.#phase('close', async () => {
      const limitMs = this.#left(CLOSE_UNTIL, 100);
      const answer = await within(this.#mount.closeFiles('writers'), limitMs + 200, undefined);
      if (answer === undefined) return 'the dispatcher does not answer';
      refusal = answer.done ? undefined : [answer.trouble, Errno.EIO];
      this.#closedPaths = new Set(answer.paths.map((path: string) => this.#absolute(path)));
      return answer.trouble;
    });
    if (refusal !== undefined) return { live: true, refusal };
    this.#cutOff = splitHolders(before, this.#closedPaths).cut;
    return { live: this.#usedByReaders() };
  }

  #absolute(path: string): string {
    const { mountpoint } = this.#mount;
    return isBelow(path, mountpoint) ? path : `${mountpoint === '/' ? '' : mountpoint}/${path}`;
  }

  #usedByReaders(): boolean {
    const mount = this.#mount.mounted();
    if (mount === undefined) return false;
    if (mountsBelow(mount, this.#mount.host.mounts()).length > 0) return true;
    const startMs = performance.now();
    const { live } = splitHolders(this.#mount.host.holders(mount, this.#lookMs), this.#closedPaths);
    return live.length > 0 || performance.now() - startMs >= this.#lookMs; // then not all was seen
  }

  async #waitForReaders(): Promise<void> {
    await this.#phase('wait', async () => {
      for (;;) {
        const startMs = performance.now();
        if (!this.#usedByReaders()) return '';
        const pauseMs = Math.max(LOOK_AGAIN_MS, (performance.now() - startMs) * LOOK_SHARE);
        const leftMs = this.#left(WAIT_UNTIL);
        if (this.#hurried || leftMs <= 0) return '';
        await sleep(Math.min(pauseMs, leftMs));
      }
    });
  }

  #holders(): Holder[] {
    const mount = this.#mount.mounted();
    return mount === undefined ? [] : this.#mount.host.holders(mount, this.#lookMs);
  }

  async #detachLazily(): Promise<void> {
    if (this.#mount.mounted() === undefined) return;
    await this.#phase('detach', async () => {
      const detached = await this.#mount.host.detach(
        this.#mount.mountpoint,
        true,
        this.#left(0.85, DETACH_MIN_MS),
      );
      if (detached.outcome === 'done' || detached.outcome === 'not-mounted') return '';
      return detached.outcome === 'failed' ? detached.reason : detached.outcome;
    });
  }

  /** `asked`: the kernel hasn't let go by itself, so the dispatcher must be told. */
  async #finish(asked: boolean): Promise<UnmountReport> {
    const late: FinishResult = {
      errno: Errno.EIO,
      reason: 'the dispatcher did not finish in time',
      flushed: { files: 0, bytes: 0 },
      dropped: [],
      droppedMore: 0,
    };
    let result = late;
    await this.#phase('finish', async () => {
      const limitMs = this.#left(FINISH_UNTIL, 200);
      const answer = asked ? this.#mount.finish(limitMs) : this.#mount.finished();
      result = await within(answer, this.#left(1, limitMs + 100), late);
      return '';
    });
    return { ...this.#report('unmounted', result.reason), ...result };
  }

  #report(outcome: UnmountReport['outcome'], reason = '', errno = 0): UnmountReport {
    const mount = outcome === 'unmounted' ? undefined : this.#mount.mounted();
    const holders = mount === undefined ? [] : this.#holders();
    return {
      mountpoint: this.#mount.mountpoint,
      store: this.#mount.store,
      mode: this.#request.mode,
      outcome,
      holders: outcome === 'read-only' ? splitHolders(holders, this.#closedPaths).live : holders,
      mountsBelow: mount === undefined ? [] : mountsBelow(mount, this.#mount.host.mounts()),
      cutOff: this.#cutOff,
      flushed: { files: 0, bytes: 0 },
      dropped: [],
      droppedMore: 0,
      phases: this.#phases,
      errno,
      reason,
    };
  }
}
