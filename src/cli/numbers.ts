/** Sizes, counts and durations as people type them. Each parser throws a usage {@link Failure} naming the option. */
import { Failure } from '../daemon/failure.js';

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/**
 * `64MiB`, `1GiB`, `4096`, `10MB` (powers of 1000), `1.5G` (a bare K, M, G, T is a power of 1024, as in mount(8)
 * and truncate(1)). Returns whole bytes, exact to 2^53 - 1.
 */
export const parseSize = (text: string, option: string): number => {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  const unit = match === null ? undefined : UNIT_BYTES[match[2].toUpperCase()];
  const bytes = match === null || unit === undefined ? Number.NaN : Math.floor(Number(match[1]) * unit);
  if (!Number.isSafeInteger(bytes))
    throw new Failure('usage', `${option} needs a size such as 64MiB, 1GiB or 4096, not '${text}'`);
  return bytes;
};

export const parseCount = (
  text: string,
  option: string,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number => {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new Failure('usage', `${option} needs a whole number ${range}, not '${text}'`);
  }
  return value;
};

/** Seconds, with a fraction if wanted, to whole milliseconds. */
export const parseSeconds = (text: string, option: string, minMs: number, maxMs: number): number => {
  const ms = /^\d+(?:\.\d+)?$/.test(text) ? Math.round(Number(text) * 1000) : Number.NaN;
  if (!(ms >= minMs && ms <= maxMs))
    throw new Failure(
      'usage',
      `${option} needs seconds from ${minMs / 1000} to ${maxMs / 1000}, such as 5 or 0.5, not '${text}'`,
    );
  return ms;
};

/** For people: 268435456 is `256MiB`. */
export const formatSize = (bytes: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let i = 0;
  while (value >= 1024 && i < units.length - 1) {
    value /= 1024;
    i++;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)}${units[i]}`;
};
