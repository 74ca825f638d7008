/** What a {@link KernelSession} is made from. */
import type { Vfs } from '../../vfs/api.js';
import type { Notify } from './context.js';
import type { ReaddirPlus } from './negotiate.js';
import { PROTOCOL_MINOR } from './protocol.js';

export interface KernelSessionOptions {
  /** How long the kernel may keep attributes and names, in milliseconds. We are the only writer: a day. */
  attrTtlMs: number;
  entryTtlMs: number;
  /** Shown as the owner and group of every file; undefined: their own. */
  forcedUid: number | undefined;
  forcedGid: number | undefined;
  writebackCache: boolean;
  readdirPlus: ReaddirPlus;
  /** The newest 7.x to speak. */
  minorMax: number;
  /**
   * Answer STATX, so that birth times show. Its price: LOOKUP can't carry a birth time, so the first statx(2) of each
   * inode that asks for one (as Node's fs.stat and stat(1) do, ls doesn't) costs a request. False: ENOSYS once, and the
   * kernel never asks again.
   */
  birthTimes: boolean;
  maxReadaheadBytes: number;
  maxBackground: number;
  congestionThreshold: number;
  /** Where to write the protocol trace; not below a mount of this process. */
  traceFile: string | undefined;
}

const DAY_MS = 86_400_000;

export const defaultSessionOptions: Readonly<KernelSessionOptions> = {
  attrTtlMs: DAY_MS,
  entryTtlMs: DAY_MS,
  forcedUid: undefined,
  forcedGid: undefined,
  writebackCache: true,
  readdirPlus: 'auto',
  minorMax: PROTOCOL_MINOR,
  birthTimes: true,
  maxReadaheadBytes: 1 << 20,
  maxBackground: 64,
  congestionThreshold: 48,
  traceFile: undefined,
};

export type SessionLog = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields: Record<string, unknown>,
) => void;

/** `unmounted`: the kernel let go in order. `aborted`: the connection was cut (fusectl), or the device failed. */
export type EndCause = 'unmounted' | 'aborted';

export interface KernelSessionInit {
  /** The device, open and non-blocking; closed by whoever opened it, after the session has ended. */
  fd: number;
  vfs: Vfs;
  /** See HandlerContext.notify. */
  notify?: Notify;
  /** The page pool that DataSink.pool's offsets refer to. */
  pool: SharedArrayBuffer;
  options: KernelSessionOptions;
  log: SessionLog;
  /** INIT has been answered. `protocol` like "7.45". */
  onInit: (protocol: string, features: string[]) => void;
  /** Called once. No request comes any more; deferred ones have been dropped. */
  onEnd: (cause: EndCause) => void;
}
