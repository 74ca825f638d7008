/** A broken invariant is a programmer's error: it throws this, and the daemon stops (saving what is safe). */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Stays on in production. `message` is a constant string: build nothing on the hot path. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
