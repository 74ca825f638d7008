/**
 * Everything that macOS does in its own way lies in this folder, as pure functions that any system can test; nothing
 * here was run on macOS (native-notes/macos.md). Who uses them: the system calls (../syscalls.ts), fuse-native's
 * platform, and the daemon's macos-host.ts.
 */

export const onMacos = process.platform === 'darwin';

/** Darwin has no coarse clock: CLOCK_REALTIME. (Linux's number 5 is an uptime there.) */
export const DARWIN_CLOCK_REALTIME = 0;

/** There is no /run. */
export const MACOS_ROOT_RUNTIME_DIR = '/var/run/vnodefs';

/**
 * On the BSDs flock(2) and the record locks of fcntl(2), which SQLite takes, shut each other out even within a process.
 * So the store's own lock goes to a file beside it, which stays.
 */
export const macosLockFile = (store: string): string => `${store}-lock`;
