import t from 'tap';
import { applyOptionList, defaultMountOptions } from '../../../src/cli/mount-options.js';
import { daemonArgs, parseMountCommand } from '../../../src/cli/mount.js';
import { defaultFlags, defaultTuning } from '../../../src/daemon/settings.js';

const parse = (...lists: string[]): ReturnType<typeof defaultMountOptions> => {
  const options = defaultMountOptions();
  for (const list of lists) applyOptionList(options, list);
  return options;
};

void t.test('defaults', (t) => {
  const { flags, tuning } = parse();
  t.strictSame(flags, defaultFlags());
  t.strictSame(parse('default_permissions'), defaultMountOptions());
  t.equal(tuning.pagesMax * 4096, 256 * 2 ** 20);
  t.equal(tuning.vnodesMax, 100_000);
  t.equal(tuning.syncIntervalMs, 5_000);
  t.end();
});

void t.test('what fstab, mount(8) and systemd pass is understood', (t) => {
  const list =
    'rw,auto,noauto,user,users,owner,group,_netdev,nofail,x-systemd.automount,X-mount.mkdir=755,comment=a b,' +
    'defaults,dev,suid,exec,atime,user=ann,uhelper=hal';
  t.strictSame(parse(list), defaultMountOptions());
  t.end();
});

void t.test('flags; the last one wins', (t) => {
  const { flags, tuning, nonempty } = parse(
    'ro,allow_other,noatime,nosuid,nodev,noexec,uid=5,gid=6,fsname=data,nonempty',
  );
  t.strictSame(flags, {
    readOnly: true,
    allowOther: true,
    noatime: true,
    nosuid: true,
    nodev: true,
    noexec: true,
    fsname: 'data',
  });
  t.match(tuning, { forcedUid: 5, forcedGid: 6 });
  t.ok(nonempty);
  t.match(parse('ro,noatime', 'rw,relatime').flags, { readOnly: false, noatime: false });
  t.match(parse('nosuid,nodev,noexec,suid,dev,exec').flags, { nosuid: false, nodev: false, noexec: false });
  t.end();
});

void t.test('tuning', (t) => {
  // This test may itself run below one whose daemons don't rehearse.
  delete process.env.VNODEFS_REHEARSAL;
  const { tuning, logLevel, logFile } = parse(
    'no_writeback_cache,attr_timeout=0,entry_timeout=1.5,poll_us=0,pages=8MiB,vnodes=500,sync_interval=2,protocol=7.36',
    'log_level=debug,log_file=/x.log',
  );
  t.strictSame(tuning, {
    ...defaultTuning(),
    writebackCache: false,
    protocolMinor: 36,
    attrTtlMs: 0,
    entryTtlMs: 1_500,
    pollUs: 0,
    pagesMax: 2048,
    vnodesMax: 500,
    syncIntervalMs: 2_000,
  });
  t.strictSame([logLevel, logFile], ['debug', '/x.log']);
  t.equal(parse('no_writeback_cache,writeback_cache').tuning.writebackCache, true);
  process.env.VNODEFS_REHEARSAL = '0';
  t.equal(parse('').tuning.rehearsal, false);
  t.equal(parse('rehearsal').tuning.rehearsal, true);
  delete process.env.VNODEFS_REHEARSAL;
  t.equal(parse('no_rehearsal').tuning.rehearsal, false);
  t.equal(parse('no_intent_log').tuning.intentLog, false);
  t.equal(parse('no_intent_log,intent_log').tuning.intentLog, true);
  t.end();
});

void t.test('refusals say what to do', (t) => {
  const bad: [string, RegExp][] = [
    ['allow_ohter', /did you mean allow_other\?$/],
    ['no_atime', /did you mean noatime\?$/],
    ['frobnicate', /vnodefs mount --help/],
    ['uid', /write -o uid=VALUE/],
    ['uid=', /write -o uid=VALUE/],
    ['uid=ann', /whole number/],
    ['ro=1', /write -o ro$/],
    ['strictatime', /leave strictatime out/],
    ['remount', /is changed by 'vnodefs remount MOUNTPOINT -o ro' or rw/],
    ['attr_timeout=x', /needs seconds/],
    ['pages=4KiB', /at least 1MiB/],
    ['transport=tcp', /takes auto, kernel, fuse-native/],
  ];
  for (const [list, message] of bad) t.throws(() => parse(list), { kind: 'usage', message }, list);
  t.end();
});

void t.test('long options win over -o, and reach the daemon', (t) => {
  const given = { options: ['ro,pages=8MiB', 'noatime'], pages: '16MiB', logLevel: 'warn', traceFile: '/t' };
  const parsed = parseMountCommand(given);
  t.equal(parsed.tuning.pagesMax, 4096);
  t.equal(parsed.logLevel, 'warn');
  const settings = { ...parsed, store: '/s.db', mountpoint: '/m', logFile: '/l' };
  t.equal(
    daemonArgs(settings, given).join(' '),
    'mount /s.db /m -o ro,pages=8MiB -o noatime --pages 16MiB --log-file /l --log-level warn --trace-file /t ' +
      '--foreground --ready-fd 3',
  );
  t.equal(parseMountCommand({ transport: 'fuse-native' }).transport, 'fuse-native');
  t.throws(() => parseMountCommand({ vnodes: '3' }), { kind: 'usage', message: /--vnodes/ });
  t.end();
});
