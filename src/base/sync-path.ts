import { closeSync, fsyncSync, openSync } from 'node:fs';

/** Makes a file's contents, or a directory's names, durable. Errors: Node's. */
export function syncPath(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
