/** The oracle: a fresh ordinary directory of the host, removed afterwards. Needs root, as the suite does. */
import { mkdtempSync, rmSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RealClient } from './real-client.js';
import { kernelCapabilities } from '../../src/fuse/kernel/capabilities.js';
import { capabilitiesOf, type PosixClient } from './posix-client.js';

export interface Target {
  client: PosixClient;
  close(): void;
}

export const openPlainTarget = (): Target => {
  const root = mkdtempSync(join(tmpdir(), 'vnodefs-plain-'));
  chmodSync(root, 0o755);
  const client = new RealClient('plain', root, {
    ...capabilitiesOf(kernelCapabilities()),
    permissions: true,
    openSpecial: true,
    // ext4 orders a directory by a hash of the name.
    orderedCookies: false,
    // btrfs says 1; ext4 and tmpfs count.
    processes: true,
    directoryLinks: true,
    // ext4 with 4 KiB blocks: 2^32 - 1 blocks.
    maxFileBytes: (2 ** 32 - 1) * 4096,
  });
  return { client, close: () => rmSync(root, { recursive: true, force: true }) };
};
