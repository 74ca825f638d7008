/** Memory that threads share, in as few page-table entries as the system allows. */
import { onMacos } from './macos/system.js';
import { addressOf, syscalls } from './syscalls.js';

/** madvise(2). */
const MADV_HUGEPAGE = 14;

/**
 * `bytes` zeros, backed by memory page by page as they are first touched; by 2 MiB at once where Linux has transparent huge
 * pages for those who ask ("madvise" or "always"). In a virtual machine each first touch of a page may cost more than
 * all else that is done with it (16 µs on one, 0.7 with huge pages). Throws RangeError if there isn't so much address
 * space.
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
