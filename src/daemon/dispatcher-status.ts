/** The dispatcher's answer to `vnodefs status`. */
import type { Pruner } from '../fuse/kernel/pruner.js';
import type { Core } from '../vfs/core.js';
import type { DispatcherStatus } from './messages.js';
import type { ServedSession } from './served-mount.js';

export const statusOf = (
  core: Core,
  session: ServedSession,
  pruner: Pruner | undefined,
  protocol: string,
  ending: boolean,
): DispatcherStatus => {
  const { vnodes, vnlru, txgs, fs, pool } = core;
  const { bufs, names, values } = vnodes;
  const running = fs.readOnly ? 'read-only' : 'running';
  return {
    state: ending ? 'unmounting' : txgs.failing !== undefined ? 'failing' : running,
    reason: txgs.failing?.reason ?? txgs.logHeld,
    protocol,
    fsid: fs.fsid,
    capabilities: fs.state.options.capabilities,
    vnodes: { resident: vnodes.count, max: vnodes.max, active: vnodes.active, ofMount: fs.mount.table.size },
    pages: { resident: pool.resident, dirty: bufs.dirtyPages, max: pool.size },
    names: names.size,
    handles: fs.state.handles.size,
    txg: { open: txgs.openId, committed: txgs.committed, durable: txgs.durable },
    walBytes: txgs.walBytes,
    requests: session.requestCounts(),
    counters: {
      ...session.counters(),
      kernelLookups: fs.lookups,
      prunedInodes: pruner?.inodes ?? 0,
      pruneNotifications: pruner?.notifications ?? 0,
      pruneRefusals: pruner?.refusals ?? 0,
      pruneSkipped: pruner?.skipped ?? 0,
      vnodeAllocations: vnodes.allocations,
      vnodeReclaims: vnodes.reclaims,
      vnodeHits: vnodes.hits,
      vnodeMisses: vnodes.misses,
      vnodeReclaimsPass0: vnlru.reclaimsByPass[0],
      vnodeReclaimsPass1: vnlru.reclaimsByPass[1],
      vnodeReclaimsPass2: vnlru.reclaimsByPass[2],
      vnodeReclaimsPass3: vnlru.reclaimsByPass[3],
      vnodesDead: vnodes.dummymount.queueSize,
      vnlruSlices: vnlru.slices,
      vnlruExamined: vnlru.examined,
      vnlruNowhere: vnlru.nowhere,
      vnlruNowhereTotal: vnlru.nowhereTotal,
      vnlruWaits: vnlru.waits,
      vnlruWaitUs: Math.round(vnlru.waitMs * 1000),
      vnlruLongestSliceUs: Math.round(vnlru.longestSliceMs * 1000),
      nameHits: names.hits,
      nameNegativeHits: names.negativeHits,
      nameMisses: names.misses,
      nameEvictions: names.evictions,
      valueBytes: values.bytes,
      valueEvictions: values.evictions,
      bufHits: bufs.hits,
      bufMisses: bufs.misses,
      bufEvictions: bufs.evictions,
      bufEvictionsHot: bufs.hotEvictions,
      chunksReadAhead: core.fs.state.readAhead.hits,
      commits: txgs.commits,
      intents: txgs.intents?.parts ?? 0,
      throttles: txgs.throttles,
      throttleUs: Math.round(core.shared.room.throttledMs(core.shared.clock.monotonicMs()) * 1000),
      lastCommitUs: Math.round(txgs.commitMs * 1000),
      inodes: txgs.counters.inodeCount,
      allocatedPages: txgs.counters.allocPages,
    },
  };
};
