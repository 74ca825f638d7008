/**
 * The one error type of the command line and of the daemon's main thread: a kind, which decides the exit code
 * (src/cli/exit-codes.ts), and one sentence for a person, saying what is wrong and what to do. It crosses from the
 * daemon to the command that started it as a line of JSON (src/daemon/ready.ts).
 */
export const FAILURE_KINDS = [
  'general',
  'usage',
  'store',
  'mount',
  'store-in-use',
  'busy',
  'timed-out',
  'damaged',
] as const;
export type FailureKind = (typeof FAILURE_KINDS)[number];

export class Failure extends Error {
  override readonly name = 'Failure';
  readonly kind: FailureKind;
  constructor(kind: FailureKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** The code of a Node system error ("ENOENT"), or an empty string. */
export const errorCode = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** The message of anything thrown, on one line. */
export const errorText = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, ' ');

/** A Failure stays what it is; anything else becomes a general one that keeps its cause. */
export const asFailure = (error: unknown): Failure =>
  error instanceof Failure ? error : new Failure('general', errorText(error), { cause: error });
