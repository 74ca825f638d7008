/**
 * The notifier thread: writes notifications to the devices of all mounts. To honour one the kernel may first have to
 * write pages back, so the write may wait for the dispatcher; hence a thread of its own. It also closes devices, so
 * that none is closed under a notification.
 */
import { workerData } from 'node:worker_threads';
import { EventFdWaker } from '../../base/descriptors.js';
import { addressOf, syscalls } from '../../base/syscalls.js';
import type { NotifierWorkerData, NotifyReply, NotifyRequest } from './notifier-messages.js';

const { wakeFd, dispatcher } = workerData as NotifierWorkerData;
const sys = syscalls();
const waker = new EventFdWaker(wakeFd);

dispatcher.on('message', (request: NotifyRequest) => {
  if (request.kind === 'close') {
    sys.close(request.deviceFd);
    return;
  }
  const { id, deviceFd, messages } = request;
  let errno = 0;
  for (const message of messages) {
    if (sys.write(deviceFd, addressOf(message), message.length) < 0) errno = sys.errno();
  }
  const reply: NotifyReply = { id, errno };
  dispatcher.postMessage(reply);
  waker.wake();
});
