/** Parameters of a new store, chosen by scripts/bench/store-params.ts: figures in native-notes/decisions.md. */
export const DEFAULTS = {
  /** Bytes of file data per chunk. */
  chunkBytes: 128 * 1024,
  /** SQLite's page size. */
  pageBytes: 8192,
  /** Files up to this size are stored inline. */
  inlineMax: 2048,
} as const;
