/** How much of a write-ahead log counts: up to the last whole transaction whose checksums are right. After sqlite.org/walformat.html. */

const MAGIC_LITTLE_ENDIAN = 0x377f0682;

/**
 * Bytes from the log's start to the end of the last valid commit; 0 if none. Logs of big-endian machines count whole.
 * Requires: `log` starts at a multiple of 4.
 */
export const committedBytes = (log: Buffer): number => {
  if (log.length < 32) return 0;
  if (log.readUInt32BE(0) !== MAGIC_LITTLE_ENDIAN) return log.length;
  let [a, b] = [0, 0];
  const words = new Int32Array(log.buffer, log.byteOffset, log.length >> 2);
  const sum = (from: number, to: number): void => {
    for (let i = from >> 2; i < to >> 2; i += 2) {
      a = (a + words[i] + b) | 0;
      b = (b + words[i + 1] + a) | 0;
    }
  };
  sum(0, 24);
  if (log.readInt32BE(24) !== a || log.readInt32BE(28) !== b) return 0;
  const frame = 24 + log.readUInt32BE(8);
  let committed = 0;
  for (let at = 32; at + frame <= log.length; at += frame) {
    if (log.compare(log, 16, 24, at + 8, at + 16) !== 0) break;
    sum(at, at + 8);
    sum(at + 24, at + frame);
    if (log.readInt32BE(at + 16) !== a || log.readInt32BE(at + 20) !== b) break;
    if (log.readUInt32BE(at + 4) !== 0) committed = at + frame;
  }
  return committed;
};
