/**
 * Locks, which are left to the kernel: flock(2), POSIX and open-file-description locks between processes; waiting,
 * being interrupted while waiting, and what a close or an end of a process gives back. Driven by flock(1) and perl.
 */
import * as fs from 'node:fs';
import t from 'tap';
import { has, tryRun } from '../harness/commands.js';
import { mountStore } from '../harness/mount.js';

/** A perl program with fcntl locks: `lock(fd, command, type)`; struct flock of 64-bit Linux. */
const PRELUDE = `
use strict; use warnings; use POSIX ();
use Fcntl qw(:flock F_SETLK F_SETLKW F_WRLCK F_RDLCK); use Errno qw(EAGAIN EINTR EACCES);
my $file = $ARGV[0];
my $OFD_SETLK = 37;
sub failure { $!{EAGAIN} || $!{EACCES} ? 'held' : $!{EINTR} ? 'interrupted' : "errno " . ($! + 0) }
sub lockIt {
  my ($fh, $cmd, $type, $start, $len) = @_;
  my $flock = pack('s s x4 q q i x4', $type, 0, $start, $len, 0);
  return fcntl($fh, $cmd, $flock) ? 'ok' : failure();
}
sub handle { open(my $fh, '+<', $file) or die "open: $!"; return $fh; }
# Runs a piece in a child: what it returns.
sub child {
  my ($work) = @_;
  my $pid = open(my $pipe, '-|') // die;
  if (!$pid) { print $work->(); close STDOUT; POSIX::_exit(0); }
  local $/; my $out = <$pipe>; close $pipe; return $out;
}
$SIG{ALRM} = sub {};
`;

const skip = has('perl') && has('flock') ? false : 'no perl or no flock(1)';
const perl = (file: string, program: string): string => {
  const { stdout, stderr } = tryRun('perl', ['-e', PRELUDE + program, file], { timeoutMs: 120_000 });
  return stdout + stderr;
};

await t.test('locks between processes', { skip }, async (ct) => {
  const mounted = mountStore(ct);
  const file = `${mounted.mnt}/locked`;
  fs.writeFileSync(file, Buffer.alloc(1000));

  await ct.test('POSIX: ranges conflict with other processes, a close or an end lets go', (pt) => {
    const program = `
my $a = handle(); print lockIt($a, F_SETLK, F_WRLCK, 10, 10), "\\n";
print child(sub { my $b = handle(); lockIt($b, F_SETLK, F_WRLCK, 15, 1) }), "\\n";
print child(sub { my $b = handle(); lockIt($b, F_SETLK, F_RDLCK, 19, 1) }), "\\n";
print child(sub { my $b = handle(); lockIt($b, F_SETLK, F_WRLCK, 20, 5) }), "\\n";
print lockIt(handle(), F_SETLK, F_WRLCK, 0, 0), "\\n";
print child(sub { my $b = handle(); lockIt($b, F_SETLK, F_WRLCK, 15, 1) }), "\\n";
`;
    // The fifth line: the same process never conflicts; that handle's close then lets go of every lock it has.
    pt.same(perl(file, program).trim().split('\n'), ['ok', 'held', 'held', 'ok', 'ok', 'ok']);
    pt.end();
  });

  await ct.test(
    'open file descriptions: conflict within one process, live as long as the description',
    (pt) => {
      const program = `
my $a = handle(); my $b = handle();
print lockIt($a, $OFD_SETLK, F_WRLCK, 0, 0), "\\n", lockIt($b, $OFD_SETLK, F_RDLCK, 5, 1), "\\n";
print child(sub { lockIt($a, $OFD_SETLK, F_WRLCK, 0, 0) }), "\\n";
close $a; print lockIt($b, $OFD_SETLK, F_RDLCK, 5, 1), "\\n";
`;
      pt.same(perl(file, program).trim().split('\n'), ['ok', 'held', 'ok', 'ok']);
      pt.end();
    },
  );

  await ct.test('waiting: granted when the holder ends, EINTR by a signal', (pt) => {
    const program = `
pipe(my $r, my $w);
my $pid = fork();
if (!$pid) {
  my $a = handle(); lockIt($a, F_SETLK, F_WRLCK, 0, 0); syswrite($w, 'x'); sleep 3; POSIX::_exit(0);
}
sysread($r, my $x, 1);
my $b = handle();
alarm 1; print lockIt($b, F_SETLKW, F_WRLCK, 0, 0), "\\n"; alarm 0;
print lockIt($b, F_SETLKW, F_WRLCK, 0, 0), "\\n";
my $c = handle(); flock($c, LOCK_EX) or die;
print child(sub { my $d = handle(); alarm 1; flock($d, LOCK_EX) ? 'ok' : failure() }), "\\n";
`;
    pt.same(perl(file, program).trim().split('\n'), ['interrupted', 'ok', 'interrupted']);
    pt.end();
  });

  await ct.test(
    'open file descriptions: a wait is granted by a close, EINTR by a signal; who holds it',
    (pt) => {
      const program = `
my ($F_GETLK, $OFD_GETLK, $OFD_SETLKW) = (5, 36, 38);
pipe(my $locked, my $tellLocked); pipe(my $told, my $tell);
my $holder = fork();
if (!$holder) {
  my $a = handle(); lockIt($a, $OFD_SETLK, F_WRLCK, 0, 100); syswrite($tellLocked, 'x');
  sysread($told, my $x, 1); sleep 1; close $a; sleep 60; POSIX::_exit(0);
}
sysread($locked, my $x, 1);
my $b = handle();
# The lock that stands in the way: type, start, length, pid (-1: of a description).
sub inTheWay {
  my ($fh, $cmd) = @_;
  my $flock = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0);
  fcntl($fh, $cmd, $flock) or die "fcntl: $!";
  my ($type, $whence, $start, $len, $pid) = unpack('s s x4 q q i', $flock);
  return join(' ', $type == F_WRLCK ? 'write' : $type, $start, $len, $pid);
}
print inTheWay($b, $F_GETLK), "\\n", inTheWay($b, $OFD_GETLK), "\\n";
alarm 1; print lockIt($b, $OFD_SETLKW, F_WRLCK, 50, 10), "\\n"; alarm 0;
syswrite($tell, 'x'); print lockIt($b, $OFD_SETLKW, F_WRLCK, 50, 10), "\\n";
kill 'KILL', $holder; waitpid($holder, 0);
print child(sub { my $c = handle(); lockIt($c, F_SETLK, F_WRLCK, 0, 0) }), "\\n";
close $b;
my $d = handle(); lockIt($d, F_SETLK, F_WRLCK, 200, 5);
my $me = $$;
print child(sub { my $c = handle(); inTheWay($c, $F_GETLK) eq "write 200 5 $me" ? 'its parent' : 'another' }), "\\n";
`;
      const wanted = ['write 0 100 -1', 'write 0 100 -1', 'interrupted', 'ok', 'held', 'its parent'];
      pt.same(perl(file, program).trim().split('\n'), wanted);
      pt.end();
    },
  );

  await ct.test('flock(1): exclusive, shared, a wait that ends in time', (pt) => {
    const held = (how: string, then: string): number | null =>
      tryRun('flock', [how, file, '-c', then], { timeoutMs: 60_000 }).status;
    pt.equal(held('-x', `flock -n -x ${file} -c true`), 1, 'an exclusive lock keeps others out');
    pt.equal(held('-s', `flock -n -s ${file} -c true`), 0, 'shared ones go together');
    pt.equal(held('-s', `flock -n -x ${file} -c true`), 1);
    pt.equal(held('-x', `flock -w 1 -x ${file} -c true`), 1, 'the wait ends');
    pt.equal(held('-x', 'true'), 0, 'and all is free again');
    pt.end();
  });
  mounted.fsck();
});
