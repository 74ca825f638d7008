/** What a rehearsal asks for: what programs do most. */
import { ROOT_INO } from '../../../base/ids.js';
import { S_IFREG } from '../../../vnode/vnode.js';
import { Fattr, Opcode, PROTOCOL_MAJOR, PROTOCOL_MINOR, WRITE_CACHE } from '../protocol.js';
import {
  createIn,
  entryOut,
  forgetIn,
  fsyncIn,
  getattrIn,
  getxattrIn,
  initInExt,
  mkdirIn,
  openIn,
  readIn,
  releaseIn,
  rename2In,
  setattrIn,
  writeIn,
} from '../structs.js';
import { LARGE_BYTES, type ScratchDirectory, scratchDirectories, SEC, SMALL_BYTES } from './scratch-store.js';
import type { ScriptedKernel } from './scripted-kernel.js';

const ACTS = 12;
const LIST_BYTES = 32 * 1024;
const READ_BYTES = 32 * 1024;
/** Files made in an act, and the lookups of each: CREATE, one of its new name, one by a listing. */
const MADE_FILES = 30;
const MADE_LOOKUPS = 3;
/** Few enough for one group. */
const LARGE_EVERY = 5;
const O_WRONLY = 1;
/** Requests between two yields, about. */
const STRIDE = 8;

/** Yields every few requests. After the whole of it the tree is what it was, and the kernel remembers nothing. */
export function* play(kernel: ScriptedKernel): Generator<void> {
  kernel.ask(Opcode.INIT, 0, {
    head: initInExt,
    values: {
      major: PROTOCOL_MAJOR,
      minor: PROTOCOL_MINOR,
      maxReadahead: 1 << 20,
      flags: 0xffffffff,
      flags2: 0xffffffff,
    },
  });
  for (let act = 0; act < ACTS; act++) {
    for (const directory of scratchDirectories) yield* walk(kernel, directory, act);
    yield* change(kernel);
  }
}

function* list(kernel: ScriptedKernel, ino: number, opcode: number): Generator<void> {
  const before = opcode === Opcode.READDIRPLUS ? entryOut.size : 0;
  let offset = 0;
  do {
    kernel.ask(opcode, ino, { head: readIn, values: { offset, size: LIST_BYTES } });
    offset = kernel.lastCookie(before);
    yield;
  } while (offset !== 0);
}

/** By turns a listing with attributes, the names one by one, or both; and every second time the files' contents. */
function* walk(
  kernel: ScriptedKernel,
  { name, ino: dir, files }: ScratchDirectory,
  act: number,
): Generator<void> {
  const [listed, looked, read] = [act % 3 !== 0, act % 3 !== 1, act % 2 === 0];
  kernel.ask(Opcode.LOOKUP, ROOT_INO, { names: [name] });
  if (listed) yield* list(kernel, dir, Opcode.READDIRPLUS);
  for (let f = 0; f < files.length; f++) {
    const ino = dir + 1 + f;
    if (looked) kernel.ask(Opcode.LOOKUP, dir, { names: [files[f]] });
    if (read) readFile(kernel, ino);
    if (f % STRIDE === 0) yield;
  }
  kernel.ask(Opcode.LOOKUP, dir, { names: ['.gitignore'] });
  yield* list(kernel, dir, Opcode.READDIR);
  kernel.forgetAll(dir + 1, files.length, (listed ? 1 : 0) + (looked ? 1 : 0));
  kernel.ask(Opcode.FORGET, dir, { head: forgetIn, values: { nlookup: 1 } });
  yield;
}

const readFile = (kernel: ScriptedKernel, ino: number): void => {
  kernel.ask(Opcode.GETATTR, ino, { head: getattrIn });
  kernel.ask(Opcode.OPEN, ino, { head: openIn });
  const fh = kernel.words[0];
  kernel.ask(Opcode.READ, ino, { head: readIn, values: { fh, size: READ_BYTES } });
  kernel.ask(Opcode.RELEASE, ino, { head: releaseIn, values: { fh } });
};

function* change(kernel: ScriptedKernel): Generator<void> {
  kernel.ask(Opcode.MKDIR, ROOT_INO, { head: mkdirIn, values: { mode: 0o755 }, names: ['new'] });
  const dir = kernel.words[0];
  for (let f = 0; f < MADE_FILES; f++) {
    const size = f % LARGE_EVERY === 0 ? LARGE_BYTES : SMALL_BYTES;
    makeFile(kernel, dir, `file-${f}`, size);
    const values = { newdir: dir };
    kernel.ask(Opcode.RENAME2, dir, { head: rename2In, values, names: [`file-${f}`, `renamed-${f}`] });
    yield;
  }
  yield* list(kernel, dir, Opcode.READDIRPLUS);
  for (let f = 0; f < MADE_FILES; f++) {
    const names = [`renamed-${f}`];
    kernel.ask(Opcode.LOOKUP, dir, { names });
    const ino = kernel.words[0];
    kernel.ask(Opcode.UNLINK, dir, { names });
    kernel.ask(Opcode.FORGET, ino, { head: forgetIn, values: { nlookup: MADE_LOOKUPS } });
    if (f % STRIDE === 0) yield;
  }
  kernel.ask(Opcode.RMDIR, ROOT_INO, { names: ['new'] });
  kernel.ask(Opcode.FORGET, dir, { head: forgetIn, values: { nlookup: 1 } });
  // A barrier: answered once the group is committed.
  kernel.ask(Opcode.FSYNCDIR, ROOT_INO, { head: fsyncIn });
  yield;
}

/** What cp and tar do for a file. */
const makeFile = (kernel: ScriptedKernel, dir: number, name: string, size: number): void => {
  kernel.ask(Opcode.LOOKUP, dir, { names: [name] });
  const mode = S_IFREG | 0o644;
  kernel.ask(Opcode.CREATE, dir, { head: createIn, values: { flags: O_WRONLY, mode }, names: [name] });
  const ino = kernel.words[0];
  const fh = kernel.words[entryOut.size >> 2];
  kernel.ask(Opcode.GETXATTR, ino, { head: getxattrIn, names: ['security.capability'] });
  kernel.ask(Opcode.WRITE, ino, {
    head: writeIn,
    values: { fh, size, writeFlags: WRITE_CACHE },
    dataBytes: size,
  });
  const times = { valid: Fattr.MTIME | Fattr.CTIME, mtime: SEC, ctime: SEC };
  kernel.ask(Opcode.SETATTR, ino, { head: setattrIn, values: times });
  kernel.ask(Opcode.RELEASE, ino, { head: releaseIn, values: { fh } });
  kernel.ask(Opcode.SETATTR, ino, {
    head: setattrIn,
    values: { valid: Fattr.MODE, mode: S_IFREG | 0o600 },
  });
};
