/** Runs one command line and turns every outcome into an exit code and, for failures, one sentence on stderr. */
import { CommanderError } from 'commander';
import { fileURLToPath } from 'node:url';
import { onMacos } from '../base/macos/system.js';
import { asFailure, type Failure } from '../daemon/failure.js';
import { realHost } from '../daemon/host.js';
import { macosHost } from '../daemon/macos-host.js';
import { surroundings } from '../daemon/places.js';
import type { CliContext } from './context.js';
import { ExitCode, exitCodeOf, type ExitCodeValue } from './exit-codes.js';
import { mount } from './mount.js';
import { isRemount, parseMount8 } from './mount8.js';
import { terminalOf } from './terminal.js';
import { remountAsMount8 } from './remount.js';
import { buildProgram, usageFailure, verbsOf } from './program.js';

export const realContext = (): CliContext => ({
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  ...terminalOf(),
  here: surroundings(),
  host: onMacos ? macosHost : realHost,
  loadStore: async () => (await import('../daemon/wiring.js')).storePort(),
  loadDaemonPorts: async (choice) => (await import('../daemon/wiring.js')).daemonPorts(choice),
  script: fileURLToPath(new URL('../../../bin/vnodefs.js', import.meta.url)),
});

/** `argv` without the interpreter and the script. */
export const main = async (argv: readonly string[], context = realContext()): Promise<ExitCodeValue> => {
  try {
    await dispatch(argv, context);
    return ExitCode.OK;
  } catch (error) {
    const failure = error instanceof CommanderError ? usageFailure(error) : asFailure(error);
    if (failure === undefined) return ExitCode.OK;
    context.err(`vnodefs: ${oneSentence(failure)}\n`);
    if (context.here.env.VNODEFS_DEBUG && failure.stack !== undefined) context.err(`${failure.stack}\n`);
    return exitCodeOf(failure.kind);
  }
};

const oneSentence = ({ message }: Failure): string => message.replaceAll(/\s*\n\s*/g, ' ');

const dispatch = async (argv: readonly string[], context: CliContext): Promise<void> => {
  const program = buildProgram(context);
  const call = parseMount8(argv, verbsOf(program));
  if (call === undefined) {
    await program.parseAsync(argv, { from: 'user' });
    return;
  }
  if (call.fake) return;
  if (isRemount(call)) await remountAsMount8(context, call);
  else await mount(context, call.store, call.mountpoint, { options: call.options });
};
