/** Why a mount or unmount failed, as one sentence for people and a code for programs. */
import { Errno, errnoName } from '../../base/errno.js';

export type MountErrorCode =
  | 'no-device'
  | 'no-permission'
  | 'no-fusermount'
  | 'bad-mountpoint'
  | 'stale-mountpoint'
  | 'allow-other'
  | 'busy'
  | 'not-mounted'
  | 'unsupported'
  | 'failed';

export class MountError extends Error {
  override readonly name = 'MountError';
  readonly code: MountErrorCode;
  constructor(code: MountErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** For opening /dev/fuse. */
export const deviceError = (errno: number): MountError => {
  switch (errno) {
    case Errno.ENOENT:
    case Errno.ENODEV:
    case Errno.ENXIO:
      return new MountError('no-device', 'There is no /dev/fuse: the kernel’s fuse module is not loaded.');
    case Errno.EACCES:
    case Errno.EPERM:
      return new MountError('no-permission', 'This user or container may not open /dev/fuse.');
    default:
      return new MountError('failed', `Opening /dev/fuse failed: ${errnoName(errno)}.`);
  }
};

/** For mount(2). */
export const mountCallError = (errno: number, mountpoint: string): MountError => {
  switch (errno) {
    case Errno.EPERM:
    case Errno.EACCES:
      return new MountError('no-permission', 'Mounting needs CAP_SYS_ADMIN, which this root does not have.');
    case Errno.ENODEV:
      return new MountError('no-device', 'The kernel has no FUSE filesystem.');
    case Errno.EBUSY:
      return new MountError('busy', `${mountpoint} is busy.`);
    default:
      return new MountError('failed', `Mounting on ${mountpoint} failed: ${errnoName(errno)}.`);
  }
};

/** For umount2(2). */
export const unmountCallError = (errno: number, mountpoint: string): MountError => {
  switch (errno) {
    case Errno.EBUSY:
      return new MountError('busy', `${mountpoint} is in use.`);
    case Errno.EINVAL:
    case Errno.ENOENT:
      return new MountError('not-mounted', `${mountpoint} is not a mount point.`);
    case Errno.EPERM:
      return new MountError('no-permission', `This user may not unmount ${mountpoint}.`);
    default:
      return new MountError('failed', `Unmounting ${mountpoint} failed: ${errnoName(errno)}.`);
  }
};

/** From what fusermount3 says on its standard error (util/fusermount.c); the rest is passed on in its words. */
export const fusermountError = (stderr: string, mountpoint: string): MountError => {
  const said = stderr
    .split('\n')
    .map((line) => line.replace(/^.*fusermount3?: */, '').trim())
    .filter((line) => line !== '')
    .join('; ');
  const cases: [RegExp, MountErrorCode, string][] = [
    [
      /user_allow_other/,
      'allow-other',
      'allow_other needs the line "user_allow_other" in /etc/fuse.conf, which only root can add.',
    ],
    [
      /\/dev\/fuse.*(permission|not permitted)|failed to open.*permission/i,
      'no-permission',
      'This user may not open /dev/fuse.',
    ],
    [/\/dev\/fuse|modprobe|device not found/i, 'no-device', 'There is no usable /dev/fuse on this machine.'],
    [
      /no write access|owner of mountpoint/i,
      'no-permission',
      `This user may only mount on a directory of its own that it can write: ${mountpoint} is not.`,
    ],
    [/too many|mount_max/i, 'failed', 'This user has too many FUSE mounts (mount_max in /etc/fuse.conf).'],
    [
      /not found in|not mounted|invalid argument/i,
      'not-mounted',
      `${mountpoint} is not a mount of this user.`,
    ],
    [/busy/i, 'busy', `${mountpoint} is in use.`],
    [/not permitted|permission denied/i, 'no-permission', `fusermount3 was not permitted: ${said}.`],
  ];
  for (const [pattern, code, message] of cases) if (pattern.test(said)) return new MountError(code, message);
  return new MountError('failed', `fusermount3 failed${said === '' ? '' : `: ${said}`}.`);
};
