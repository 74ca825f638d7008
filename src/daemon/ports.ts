/**
 * What the main thread needs from the layers below, as narrow interfaces: src/daemon/wiring.ts plugs the real ones in,
 * tests plug in fakes. Everything here throws {@link Failure}, with a sentence for people.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Superblock } from '../store/types.js';
import type { SyncerWorkerData } from '../syncer/messages.js';
import type { DispatcherConfig } from './messages.js';
import type { MountFlags } from './settings.js';
import type { ChosenTransport } from './transport.js';

export interface NewStore {
  label: string;
  /** 0 is no limit. */
  sizeLimitBytes: number;
  inodeLimit: number;
  /** Replace whatever is there. */
  force: boolean;
}

export interface Problem {
  /** A short, stable word: `integrity`, `link-count`, `unreachable`, … */
  kind: string;
  message: string;
}

export interface FsckReport {
  /** At most 1,000 of a kind; a problem of the kind `omitted` says how many more there are. */
  problems: Problem[];
  /** What was looked at: inodes, dirents, chunks, bytes, … */
  counts: Record<string, number>;
  /** Groups that a crash left in the intent log: the next mount brings them in. */
  waiting: number;
}

/** `fraction` of the step is done, 0 to 1. */
export type OnFsckProgress = (step: string, fraction: number) => void;

/** A problem and what was done about it. */
export interface RepairStep extends Problem {
  action: string;
}

export interface RepairReport {
  steps: RepairStep[];
  /** After the repair. */
  remaining: Problem[];
  counts: Record<string, number>;
}

/** Holds the store's lock until it is closed. */
export interface RepairSession {
  check(): FsckReport;
  /** Copies the store; an existing file is not replaced. */
  backup(file: string): void;
  repair(): RepairReport;
  close(): void;
}

/** Held for as long as the mount lives: no other daemon can claim the same store. */
export interface StoreClaim {
  superblock: Superblock;
  /** True if the store was missing and has been made. */
  created: boolean;
  /** Groups that an intent log brought in which a crash had left; or why it could not be used. */
  replayed: number | string;
  /** `closed`: no thread of the daemon has the store open any more. */
  release(closed: boolean): void;
}

export interface StorePort {
  /** Makes a store. Refuses to replace a file unless `force`. */
  create(path: string, options: NewStore): Superblock;
  /** Examines a store as of its last commit; changes nothing. Problems are results, not failures. */
  check(path: string, onProgress?: OnFsckProgress): FsckReport;
  /** Refuses a store that is mounted. */
  openRepair(path: string, onProgress?: OnFsckProgress): RepairSession;
  /** Makes the store if it is missing (not if `readOnly`), checks that it can be used, and takes its lock. */
  claim(path: string, readOnly: boolean): StoreClaim;
}

export interface MountRequest {
  mountpoint: string;
  /** The source column of /proc/mounts. */
  source: string;
  flags: MountFlags;
}

/** A mounted FUSE connection; INIT waits in it. */
export interface MountedDevice {
  /** -1: nothing is mounted yet; the dispatcher of this transport mounts by itself. */
  deviceFd: number;
}

export interface Mounter {
  mount(request: MountRequest): MountedDevice;
  /** mount(2) with MS_REMOUNT; only root may. Touches nothing below the mount but its root. */
  remount(mountpoint: string, flags: MountFlags): Promise<'done' | 'not-root' | 'busy' | { reason: string }>;
  /** INIT has been answered: what can only be set now. Touches nothing below the mount; never throws. */
  settled(mountpoint: string): void;
}

export interface System {
  /** eventfd(2), close-on-exec, non-blocking. */
  eventfd(): number;
  /** A function that adds 1 to an eventfd. */
  waker(fd: number): () => void;
  /** _exit(2): ends the process even while a worker thread is inside a system call, which process.exit does not. */
  exit(code: number): never;
}

/** Called when a worker threw, or ended when it should not have; perhaps more than once. */
export type OnWorkerTrouble = (error: Error) => void;

/** Starts dispatcher and notifier; returns our end of the channel to the dispatcher. */
export type StartDispatcher = (config: DispatcherConfig, onTrouble: OnWorkerTrouble) => MessagePort;

export interface RunningSyncer {
  /** The dispatcher's end of the channel to the syncer, to be transferred. */
  dispatcher: MessagePort;
  /** Resolves when the thread has ended. */
  ended: Promise<void>;
  /** Ends the thread, if it hasn't ended; resolves when it has. One that is inside a system call ends after it. */
  stop(): Promise<void>;
}

export type StartSyncer = (
  config: Omit<SyncerWorkerData, 'dispatcher'>,
  onTrouble: OnWorkerTrouble,
) => RunningSyncer;

export interface DaemonPorts {
  transport: ChosenTransport;
  store: StorePort;
  mounter: Mounter;
  system: System;
  startDispatcher: StartDispatcher;
  startSyncer: StartSyncer;
}
