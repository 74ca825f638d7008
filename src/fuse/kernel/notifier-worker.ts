/**
 * The notifier thread: writes notifications to the device. To honour one the kernel may first have to write
 * pages back, so
 * the write may wait for the dispatcher; hence a thread of its own.
 */
import { workerData } from 'node:worker_threads';
import { EventFdWaker } from '../../base/descriptors.js';
import { addressOf, syscalls } from '../../base/syscalls.js';
import type { NotifierWorkerData, NotifyReply, NotifyRequest } from './notifier-messages.js';

const { deviceFd, wakeFd, dispatcher } = workerData as NotifierWorkerData;
const sys = syscalls();
const waker = new EventFdWaker(wakeFd);

dispatcher.on('message', ({ id, message }: NotifyRequest) => {
  const failed = sys.write(deviceFd, addressOf(message), message.length) < 0;
  const reply: NotifyReply = { id, errno: failed ? sys.errno() : 0 };
  dispatcher.postMessage(reply);
  waker.wake();
});
