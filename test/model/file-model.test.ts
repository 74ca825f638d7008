/**
 * Random operations on file data, those of scripts/fsx, on the core in process with next to no memory; commits fall
 * between them at random, and the store is examined at the end. Deterministic: a difference shrinks to the operations
 * that matter. VNODEFS_SEED replays one seed.
 */
import t from 'tap';
import { Prng } from '../../src/base/prng.js';
import { FileModel } from '../../scripts/exerciser/file-model.js';
import { type FileOp, fileOps } from '../../scripts/exerciser/file-ops.js';
import { shrinkLog } from '../../scripts/exerciser/shrink.js';
import { CoreClient } from '../harness/core-client.js';
import { fullSize, VNODEFS_CAPABILITIES } from '../harness/mount.js';
import { errorCode, O } from '../harness/posix-client.js';
import { createTestCore } from '../harness/test-core.js';

const FILES = 3;
const BYTES_MAX = 512 << 10;
const COUNT = fullSize ? 10_000 : 1_500;
const given = process.env['VNODEFS_SEED'];
const SEEDS = given !== undefined ? [Number(given)] : [1, 2, 26, Date.now() % 1_000_000];
/** A quarter of what the files hold, and no more vnodes than one directory needs. */
const SMALL = { pages: 96, vnodesMax: 8 };
const MODES = { allocate: 0, 'allocate-keep': 1, punch: 3, zero: 16, 'zero-keep': 17 } as const;

/** So few that its halves are used in turns. */
const INTENT_BYTES = 192 << 10;
/** Operations between two crashes. */
const CRASH_EVERY = 40;

type OnFile = Extract<FileOp, { f: number }>;

class CoreFilesActor {
  readonly #fs: CoreClient;
  readonly #model = new FileModel(FILES, BYTES_MAX, 4096);
  readonly #fds: number[];

  constructor(fs: CoreClient) {
    this.#fs = fs;
    this.#fds = this.#model.files.map((_, f) => fs.open(`/f${f}`, O.RDWR | O.CREAT));
  }

  /** How the outcome differs from the model's. */
  perform(op: OnFile): string | undefined {
    let what: string | undefined;
    try {
      what = this.#attempt(op);
    } catch (error) {
      what = errorCode(error);
    }
    this.#model.apply(op);
    return what;
  }

  #attempt(op: OnFile): string | undefined {
    const [fs, model] = [this.#fs, this.#model];
    const [fd, file] = [this.#fds[op.f], model.files[op.f]];
    switch (op.op) {
      case 'read': {
        const wanted = file.data.subarray(op.at, Math.max(op.at, Math.min(file.size, op.at + op.length)));
        return wanted.equals(fs.read(fd, op.length, op.at)) ? undefined : 'the bytes differ';
      }
      case 'write':
        return this.#write(fd, model.noise(op.seed, op.length), op.at);
      case 'append':
        return this.#write(fd, model.noise(op.seed, model.appendLength(op.f, op.length)), file.size);
      case 'truncate':
        return void fs.ftruncate(fd, op.size);
      case 'punch':
      case 'zero':
      case 'zero-keep':
      case 'allocate':
      case 'allocate-keep':
        return void fs.fallocate(fd, MODES[op.op], op.at, op.length);
      case 'copy': {
        const wanted = model.copyLength(op);
        for (let done = 0; wanted !== 'EINVAL' && done < wanted;) {
          const count = fs.copyFileRange(fd, op.at + done, this.#fds[op.g], op.to + done, wanted - done);
          if (count === 0) return `copied ${done} bytes, wanted ${wanted}`;
          done += count;
        }
        return undefined;
      }
      case 'stat': {
        const { size } = fs.fstat(fd);
        return size === file.size ? undefined : `size ${size}, wanted ${file.size}`;
      }
      case 'fsync':
        return void fs.fsync(fd);
      case 'reopen':
        fs.close(fd);
        this.#fds[op.f] = fs.open(`/f${op.f}`, O.RDWR);
        return undefined;
      case 'replace':
        fs.unlink(`/f${op.f}`);
        fs.close(fd);
        this.#fds[op.f] = fs.open(`/f${op.f}`, O.RDWR | O.CREAT | O.EXCL);
        return undefined;
      default:
        return undefined;
    }
  }
  #write(fd: number, data: Buffer, at: number): undefined {
    for (let done = 0; done < data.length;) done += this.#fs.write(fd, data.subarray(done), at + done);
  }
}

interface Difference {
  index: number;
  what: string;
}

/** Performs a log on a new core: undefined if all agrees, and the store is in order at the end. */
const replay = (
  log: readonly OnFile[],
  churn: number,
  crashes?: { brought: number },
): Difference | undefined => {
  const core = createTestCore({ ...SMALL, churn, intents: crashes === undefined ? undefined : INTENT_BYTES });
  const fs = new CoreClient(core, { ...VNODEFS_CAPABILITIES, permissions: false, openSpecial: false });
  let found: Difference | undefined;
  try {
    const actor = new CoreFilesActor(fs);
    for (let index = 0; index < log.length && found === undefined; index++) {
      const what = actor.perform(log[index]);
      if (crashes !== undefined && index % CRASH_EVERY === 0) crashes.brought += core.checkCrash();
      if (what !== undefined) found = { index, what: `${JSON.stringify(log[index])}: ${what}` };
    }
    fs.closeAll();
    core.close();
  } catch (error) {
    found ??= { index: log.length - 1, what: (error as Error).message };
  }
  return found;
};

const WAYS = [
  { way: 'with no crash', crashes: (): undefined => undefined },
  { way: 'with an intent log, crashed again and again', crashes: () => ({ brought: 0 }) },
];

for (const seed of SEEDS) {
  for (const { way, crashes } of WAYS) {
    await t.test(`seed ${seed}, ${COUNT} operations, ${way}`, async (ct) => {
      const sizes = {
        processes: 1,
        files: FILES,
        bytesMax: BYTES_MAX,
        hows: ['buffered'],
        dropCaches: false,
      } as const;
      const source = fileOps(new Prng(seed), sizes);
      const log = Array.from({ length: COUNT }, () => source.next().value).filter((op) => 'f' in op);
      const counted = crashes();
      const difference = replay(log, seed, counted);
      ct.equal(difference, undefined);
      if (counted !== undefined)
        ct.ok(counted.brought > 0, `the intent log brought ${counted.brought} groups`);
      if (difference === undefined) return;
      const limits = { replays: 300, seconds: 60 };
      const attempt = (part: readonly OnFile[]): Promise<number | undefined> =>
        Promise.resolve(replay(part, seed, crashes())?.index);
      const shrunk = await shrinkLog(log.slice(0, difference.index + 1), attempt, limits);
      ct.comment(
        [replay(shrunk, seed, crashes())?.what, ...shrunk.map((op) => JSON.stringify(op))].join('\n'),
      );
    });
  }
}
