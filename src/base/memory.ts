/**
 * How the daemon takes memory from the system. In a virtual machine the first touch of a page may cost more than all else that
 * is done with it (16 µs on one), so memory is taken in large pieces, and kept.
 */
import { onMacos } from './macos/system.js';
import { addressOf, syscalls } from './syscalls.js';

/** madvise(2). */
const MADV_HUGEPAGE = 14;

/**
 * `bytes` zeros, backed by memory page by page as they are first touched; by 2 MiB at once where Linux has transparent huge
 * pages for those who ask ("madvise" or "always"). Throws RangeError if there isn't so much address space.
 */
export const sharedMemory = (bytes: number): SharedArrayBuffer => {
  // Only of growable ones does V8 align the memory to pages (it maps them; the others come from calloc).
  const Growable = SharedArrayBuffer as unknown as new (
    bytes: number,
    options: { maxByteLength: number },
  ) => SharedArrayBuffer;
  const memory = new Growable(bytes, { maxByteLength: bytes });
  // It is only advice: refused where the kernel has no huge pages.
  if (!onMacos && bytes > 0) syscalls().madvise(addressOf(new Uint8Array(memory)), bytes, MADV_HUGEPAGE);
  return memory;
};

/** mallopt(3). */
const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;
const TRIM_BYTES = 256 << 20;
/** The largest that glibc takes. */
const MMAP_BYTES = 32 << 20;

/**
 * What is freed stays with the process, up to 256 MiB an arena, instead of going back to the system to be asked for
 * again: a chunk of file data is a buffer of 64 KiB, made and dropped. The most that the process ever has doesn't change.
 * Does nothing where the C library isn't glibc.
 */
export const keepFreedMemory = (): void => {
  try {
    const sys = syscalls();
    sys.mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
    sys.mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
  } catch {
    // musl and macOS have no mallopt.
  }
};
