/** What macFUSE and FUSE-T take besides libfuse's own options. */
import { basename } from 'node:path';

const VOLUME_NAME_MAX = 127;

/**
 * `volname`: what the Finder shows. `noappledouble` is left out: it would refuse `._` files that come from elsewhere.
 * `noapplexattr` likewise, since com.apple.* attributes are kept. `daemon_timeout` cuts a daemon that is silent for so
 * long: as long as our own patience. Nothing about case: names are bytes, and the volume is case-sensitive.
 */
export const macosOptions = (mountpoint: string): string[] => {
  const name = basename(mountpoint)
    .replaceAll(/[,\\:/]/g, '_')
    .slice(0, VOLUME_NAME_MAX);
  return [`volname=${name}`, 'daemon_timeout=600', 'iosize=131072'];
};
