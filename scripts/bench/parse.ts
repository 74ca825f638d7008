/**
 * Parsers of what other programs print: fio's JSON, `vnodefs status --json`, /proc/self/mountinfo, sizes given by
 * people. Each throws an Error that names what was missing, so that a change of format is not taken for a zero.
 */
import type { RequestCounts } from './stats.js';

/** What a fio job measured in one direction. Its time includes the fsync of `end_fsync`. */
export interface FioResult {
  bytesPerSecond: number;
  opsPerSecond: number;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const numberIn = (record: Record<string, unknown>, key: string): number => {
  const value = record[key];
  if (typeof value !== 'number') throw new Error(`fio printed no number "${key}"`);
  return value;
};

/** fio may print notes before its JSON. `direction` is the half of the job that is wanted. */
export const parseFio = (output: string, direction: 'read' | 'write'): FioResult => {
  const start = output.indexOf('{');
  if (start < 0) throw new Error('fio printed no JSON');
  const report: unknown = JSON.parse(output.slice(start));
  const jobs = isRecord(report) && Array.isArray(report.jobs) ? (report.jobs as unknown[]) : [];
  const job = jobs[0];
  if (!isRecord(job)) throw new Error('fio printed no job');
  if (job.error !== 0) throw new Error(`fio reported error ${String(job.error)}`);
  const half = job[direction];
  if (!isRecord(half)) throw new Error(`fio printed nothing under "${direction}"`);
  const result = { bytesPerSecond: numberIn(half, 'bw_bytes'), opsPerSecond: numberIn(half, 'iops') };
  if (result.bytesPerSecond <= 0) throw new Error(`fio measured nothing under "${direction}"`);
  return result;
};

/** The first mount of `vnodefs status MOUNTPOINT --json`. */
export interface VnodefsStatus {
  pid: number;
  requests: RequestCounts;
}

export const parseStatus = (output: string): VnodefsStatus => {
  const status: unknown = JSON.parse(output);
  const mounts = isRecord(status) && Array.isArray(status.mounts) ? (status.mounts as unknown[]) : [];
  const mount = mounts[0];
  if (!isRecord(mount)) throw new Error('vnodefs status --json shows no mount');
  if (typeof mount.pid !== 'number') throw new Error('vnodefs status --json shows no pid');
  if (!isRecord(mount.requests)) throw new Error('vnodefs status --json shows no requests');
  const requests: RequestCounts = {};
  for (const [kind, count] of Object.entries(mount.requests)) {
    if (typeof count === 'number') requests[kind] = count;
  }
  return { pid: mount.pid, requests };
};

/** A line of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export interface MountInfo {
  mountpoint: string;
  deviceMajor: number;
  /** Names the FUSE connection: /sys/fs/fuse/connections/MINOR. */
  deviceMinor: number;
  type: string;
}

export const parseMountInfo = (text: string): MountInfo[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const fields = line.split(' ');
      const separator = fields.indexOf('-', 6);
      const [deviceMajor, deviceMinor] = fields[2].split(':').map(Number);
      return {
        mountpoint: fields[4].replace(/\\([0-7]{3})/g, (_, octal: string) =>
          String.fromCharCode(parseInt(octal, 8)),
        ),
        deviceMajor,
        deviceMinor,
        type: fields[separator + 1],
      };
    });

/**
 * Discards that a device has completed since boot, from /proc/diskstats (Documentation/admin-guide/iostats.rst);
 * 0 for a device that is not there, as the unnamed one of a tmpfs.
 */
export const parseDiscards = (
  diskstats: string,
  device: Pick<MountInfo, 'deviceMajor' | 'deviceMinor'>,
): number => {
  for (const line of diskstats.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (Number(fields[0]) === device.deviceMajor && Number(fields[1]) === device.deviceMinor) {
      return Number(fields[14] ?? 0);
    }
  }
  return 0;
};

const units: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** `512MiB`, `512M`, `536870912` → bytes. */
export const parseSize = (text: string): number => {
  const match = /^(\d+)([KMG]?)(iB)?$/.exec(text);
  if (match === null) throw new Error(`"${text}" is not a size; write it like 512MiB`);
  return Number(match[1]) * units[match[2]];
};

/** `mount` arguments given as one string, taken apart: the values of every -o, and the other words in order. */
export interface MountOptions {
  /** For one `-o a,b,c`. */
  list: string[];
  words: string[];
}

/** Text that does not begin with a dash is itself a list for -o: `writeback=off` is `-o writeback=off`. */
export const parseMountOptions = (text: string): MountOptions => {
  const given = text.split(/\s+/).filter((word) => word !== '');
  if (given.length > 0 && !given[0].startsWith('-')) given.unshift('-o');
  const options: MountOptions = { list: [], words: [] };
  for (let i = 0; i < given.length; i++) {
    if (given[i] !== '-o') {
      options.words.push(given[i]);
      continue;
    }
    const value = given[++i];
    if (value === undefined) throw new Error('-o must be followed by options');
    options.list.push(...value.split(','));
  }
  return options;
};
