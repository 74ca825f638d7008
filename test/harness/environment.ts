/**
 * The environment of the tests' children: ordinary programs, perhaps of another user. tap adds itself to every Node
 * process below a test, through NODE_OPTIONS and a hook in child_process (the package process-on-spawn) that puts the
 * option back. A daemon would carry tap's loader in each of its threads, 100 MiB in all, and each command line start
 * would take twice as long; nothing here asks for the coverage of children. Nor do daemons rehearse, a second of processor
 * time each, unless a test mounts with `-o rehearsal`.
 */
const hook = (globalThis as Record<symbol, unknown>)[Symbol.for('process-on-spawn@*:singletonId')];
if (hook !== undefined) (hook as { listeners: unknown[] }).listeners.length = 0;

export const childEnvironment = (more: Record<string, string> = {}): NodeJS.ProcessEnv => ({
  ...process.env,
  NODE_OPTIONS: '',
  VNODEFS_REHEARSAL: '0',
  ...more,
});
