/** The commander program: verbs, and errors as one sentence. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { Failure } from '../daemon/failure.js';
import type { CliContext } from './context.js';
import { EXIT_CODES } from './exit-codes.js';
import { addFsck } from './fsck.js';
import { addMkfs } from './mkfs.js';
import { addMount } from './mount.js';
import { addRemount } from './remount.js';
import { addStatus } from './status.js';
import { addSync } from './sync.js';
import { addUmount } from './umount.js';

const version = (): string => {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
};

export const buildProgram = (context: CliContext): Command => {
  const program = new Command('vnodefs')
    .description('A real filesystem in one SQLite file')
    .version(version())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.out(text),
      writeErr: () => undefined, // the exception carries the same message; see usageFailure
    })
    .addHelpText('after', `\nExit codes:\n${EXIT_CODES.map((e) => `  ${e.code}  ${e.meaning}`).join('\n')}`);
  for (const add of [addMkfs, addMount, addUmount, addRemount, addStatus, addSync, addFsck])
    add(program, context);
  return program;
};

export const verbsOf = (program: Command): string[] => [...program.commands.map((c) => c.name()), 'help'];

/** Undefined for help and version, which are no failure. */
export const usageFailure = (error: CommanderError): Failure | undefined => {
  if (error.exitCode === 0) return undefined;
  const [first = '', ...rest] = error.message.split('\n').filter((line) => line !== '');
  const problem = first.replace(/^error: /, '').replace(/\.$/, '');
  const hint = rest.join(' ').replace(/^\(Did you mean (.*)\?\)$/, 'did you mean $1?');
  if (error.code === 'commander.help')
    return new Failure('usage', "a command is missing: see 'vnodefs --help'");
  return new Failure('usage', `${problem}: ${hint || "see 'vnodefs --help'"}`);
};
