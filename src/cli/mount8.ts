/**
 * The form in which mount(8) and mount.fuse3(8) call the helper of a type: `vnodefs STORE MOUNTPOINT [-sfnvrw] [-o
 * OPTS] [-t TYPE]` (mount(8), "External helpers"). It is told from a misspelt verb by its two paths.
 */
import { existsSync } from 'node:fs';
import { Failure } from '../daemon/failure.js';

export interface Mount8Call {
  store: string;
  mountpoint: string;
  /** Each `-o` list, in order; `-r` and `-w` as `ro` and `rw`. */
  options: string[];
  /** `-f`: do everything but mount. */
  fake: boolean;
}

/** Undefined when `argv` isn't of this form. Throws a usage failure when it is, but is wrong. */
export const parseMount8 = (argv: readonly string[], verbs: readonly string[]): Mount8Call | undefined => {
  const first = argv[0];
  if (argv.length < 2 || first === undefined || first.startsWith('-') || verbs.includes(first))
    return undefined;
  const positional: string[] = [];
  const options: string[] = [];
  let fake = false;
  let sawFlag = false;
  let unknown: string | undefined;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i];
    if (!word.startsWith('-')) {
      positional.push(word);
    } else if (/^-[snvfrw]+$/.test(word)) {
      sawFlag = true;
      if (word.includes('f')) fake = true;
      if (word.includes('r')) options.push('ro');
      if (word.includes('w')) options.push('rw');
    } else if (/^-[ot]/.test(word)) {
      sawFlag = true;
      const value = word.length > 2 ? word.slice(2) : argv[++i];
      if (value === undefined)
        throw new Failure('usage', `${word} needs a value: see 'vnodefs mount --help'`);
      if (word[1] === 'o') options.push(value);
    } else {
      unknown ??= word;
    }
  }
  const isPath = first.includes('/') || first.includes('.') || sawFlag || existsSync(first);
  if (positional.length !== 2 || !isPath) return undefined;
  if (unknown !== undefined)
    throw new Failure(
      'usage',
      `unknown option '${unknown}': write 'vnodefs mount ${positional.join(' ')} ${unknown}'`,
    );
  return { store: positional[0], mountpoint: positional[1], options, fake };
};

/** `mount -o remount,…`: about a mount that is there. */
export const isRemount = ({ options }: Mount8Call): boolean =>
  options.some((list) => list.split(',').includes('remount'));
