/** What the operations share: one for each session. */
import type { Caller, Vfs } from '../../vfs/api.js';
import type { HiddenFiles } from './hidden-files.js';
import type { OpenFiles } from './open-files.js';
import type { Platform } from './platform.js';
import type { Paths } from './paths.js';
import type { OwnerView } from './stat-array.js';

export interface NativeContext {
  readonly vfs: Vfs;
  /** The mounter: the binding doesn't say who asks. */
  readonly caller: Caller;
  readonly paths: Paths;
  readonly files: OpenFiles;
  readonly hidden: HiddenFiles;
  readonly view: OwnerView;
  readonly platform: Platform;
  /** The page pool that DataSink.pool's offsets refer to. */
  readonly pool: Uint8Array;
  /** fuse_thread_locals_t of the request that is being started. */
  readonly locals: Uint8Array;
  /** Carries out a pending unlink: see hidden-files.ts. Throws WouldBlock before any side effect. */
  settle(): void;
  /** For what the transport can't do and a user should know: logged once a session for each `what`. */
  warnOnce(what: string, fields: Record<string, unknown>): void;
}

/**
 * Gives the answer, once: `result` is a count, 0, or a negative errno. `extra` are what the binding's C side wants
 * besides; where it wants the request's buffer back, that is added by whoever calls the operation.
 */
export type Answer = (result: number, ...extra: unknown[]) => void;

/**
 * One operation with the arguments that the binding's C side passes it (fuse-native.c). Answers exactly once, perhaps
 * later. What it throws before that is the answer: an errno, or, for WouldBlock, it is called again from the start.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Operation = (cx: NativeContext, answer: Answer, ...args: any[]) => void;
