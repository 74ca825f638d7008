/**
 * Memory that grew with the work done, though pages and vnodes were bounded: names of a directory that is never clean,
 * extended attributes and symlink targets kept with vnodes, and the log of a group that has no pages.
 */
import t from 'tap';
import { byteName, ROOT_INO, type Ino } from '../../src/base/ids.js';
import { WouldBlock } from '../../src/base/wait.js';
import { createTestCore, type InProcessCore } from '../harness/test-core.js';

const caller = { uid: 0, gid: 0, pid: 1 };
const VALUE = 60_000;

const make = ({ vfs }: InProcessCore, name: string): Ino => {
  const vp = vfs.mknod(caller, ROOT_INO, byteName(name), 0o100644, 0, 0);
  vfs.vrele(vp);
  return vp.ino;
};

/** Does it, waiting for write-back where it must. Returns how often it had to. */
const patiently = (core: InProcessCore, act: () => void): number => {
  for (let waits = 0; ; waits++) {
    try {
      act();
      return waits;
    } catch (error) {
      if (!(error instanceof WouldBlock)) throw error;
      core.advance();
    }
  }
};

const listed = ({ vfs }: InProcessCore): number => {
  let count = 0;
  let cookie = 0;
  for (let more = true; more;) {
    more = false;
    vfs.readdir(caller, ROOT_INO, cookie, (_name, _ino, _type, at) => {
      cookie = at;
      count++;
      return (more = true);
    });
  }
  return count - 2;
};

void t.test(
  'a directory in which names are made and removed all the time forgets those that are stored',
  (t) => {
    const core = createTestCore({ vnodesMax: 64 });
    const root = core.core.fs.mount.rootVnode;
    let longest = 0;
    let made = 0;
    for (let i = 0; i < 6000; i++) {
      patiently(core, () => void make(core, `f${i}`));
      made++;
      if (i % 3 === 0) {
        patiently(core, () => core.vfs.unlink(caller, ROOT_INO, byteName(`f${i}`)));
        made--;
      }
      // A group is committed now and then, the next one being open and not empty: the directory is never clean.
      if (i % 50 === 0) core.core.txgs.sealSoon();
      if (i % 50 === 25) core.advance();
      longest = Math.max(longest, root?.added?.length ?? 0);
      if (i % 1000 === 999) t.equal(listed(core), made, 'listed once each');
    }
    t.ok(longest < 1000, `at most ${longest} additions listed, of 6,000`);
    core.check();
    core.sync();
    t.equal(listed(core), made);
    core.close();
    t.end();
  },
);

void t.test(
  'extended attributes: a group is sealed by the volume of its log, and whoever outruns it waits',
  (t) => {
    const core = createTestCore({ pages: 64, vnodesMax: 4096 });
    const inos = Array.from({ length: 40 }, (_, i) => make(core, `f${i}`));
    core.sync();
    let waited = 0;
    for (const ino of inos) {
      const value = Buffer.alloc(VALUE, ino);
      waited += patiently(core, () => core.vfs.setxattr(caller, ino, byteName('user.x'), value, 0, false));
    }
    t.ok(waited > 5, `waited ${waited} times: the log of a group is bounded`);
    t.ok(core.core.txgs.commits > 10, `${core.core.txgs.commits} commits`);
    core.sync();
    const { values } = core.core.vnodes;
    for (const ino of inos) {
      const got = core.vfs.getxattr(caller, ino, byteName('user.x'));
      t.ok(Buffer.alloc(VALUE, ino).equals(got));
      core.check();
      if (values.bytes > values.maxBytes + VALUE + 1000)
        t.fail(`${values.bytes} bytes of attributes are kept`);
    }
    t.ok(values.evictions > 30, `${values.evictions} evictions`);
    core.close();
    t.end();
  },
);

void t.test('symlink targets: kept while there is room, read again when not', (t) => {
  const core = createTestCore({ pages: 64, vnodesMax: 4096 });
  const { values } = core.core.vnodes;
  const target = (i: number): Buffer => Buffer.from(`${i}/`.padEnd(4000, 'x'));
  const inos: Ino[] = [];
  for (let i = 0; i < 400; i++) {
    const vp = core.vfs.symlink(caller, ROOT_INO, byteName(`l${i}`), target(i));
    core.vfs.vrele(vp);
    inos.push(vp.ino);
    core.advance();
    if (i % 10 === 0) core.sync();
  }
  core.vfs.unlink(caller, ROOT_INO, byteName('l0'));
  core.sync();
  for (let round = 0; round < 2; round++) {
    for (let i = 1; i < 400; i++) {
      if (!target(i).equals(core.vfs.readlink(caller, inos[i]))) t.fail(`another target of ${i}`);
      if (values.bytes > values.maxBytes + 5000) t.fail(`${values.bytes} bytes are kept`);
    }
  }
  t.ok(values.evictions > 400, `${values.evictions} evictions`);
  core.check();
  core.close();
  t.end();
});
