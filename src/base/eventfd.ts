/** eventfd(2) as a doorbell between threads: adding 1 to its counter makes it readable. */
import { writeSync } from 'node:fs';

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** A counter that is full (EAGAIN) is readable already. */
export const wakeEventfd = (fd: number): void => {
  try {
    writeSync(fd, ONE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
};
