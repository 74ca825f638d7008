/**
 * Where a worker thread of this process is, for the log, when it has stopped answering. Two views, since either may be
 * blind: the inspector interrupts JavaScript and shows its stack (a loop that never ends), /proc shows the system call
 * that a thread sits in (a read from a disk that doesn't answer), which no JavaScript interrupt gets through to.
 */
import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector';

interface CallFrame {
  functionName: string;
  location: { scriptId: string; lineNumber: number };
}
interface InspectorMessage {
  method?: string;
  params?: { scriptId?: string; url?: string; callFrames?: CallFrame[] };
}
interface AttachedWorker {
  sessionId: string;
  workerInfo: { title: string };
}

/** A thread as `/proc/thread-self` names it: "12/task/15". */
export type TaskName = string;

const describeFrame = ({ functionName, location }: CallFrame, urls: ReadonlyMap<string, string>): string => {
  const file = urls.get(location.scriptId)?.replace(/^.*\/(build|node_modules)\//, '') ?? '?';
  return `${functionName || '(anonymous)'} ${file}:${location.lineNumber + 1}`;
};

/**
 * The JavaScript stack of the worker that was started with `name`, innermost frame first. The worker is interrupted
 * for a moment, then goes on. Empty if it runs no JavaScript that could be interrupted within `timeoutMs`, or
 * if there is no such worker. Not two at a time.
 */
export const javaScriptStack = (name: string, timeoutMs: number): Promise<string[]> =>
  new Promise((resolve) => {
    const session = new Session();
    const urls = new Map<string, string>();
    let wanted: string | undefined;
    const finish = (stack: string[]): void => {
      clearTimeout(timer);
      session.removeAllListeners();
      session.post('NodeWorker.disable');
      session.disconnect();
      resolve(stack);
    };
    const timer = setTimeout(() => finish([]), timeoutMs);
    const tell = (id: number, method: string): void => {
      const message = JSON.stringify({ id, method });
      if (wanted !== undefined)
        session.post('NodeWorker.sendMessageToWorker', { sessionId: wanted, message });
    };
    session.on('NodeWorker.attachedToWorker', ({ params }: { params: AttachedWorker }) => {
      // The title of a worker is "[worker 1] name".
      if (!params.workerInfo.title.endsWith(`] ${name}`)) return;
      wanted = params.sessionId;
      tell(1, 'Debugger.enable');
      tell(2, 'Debugger.pause');
    });
    session.on(
      'NodeWorker.receivedMessageFromWorker',
      ({ params }: { params: { sessionId: string; message: string } }) => {
        if (params.sessionId !== wanted) return;
        const { method, params: details } = JSON.parse(params.message) as InspectorMessage;
        if (method === 'Debugger.scriptParsed') urls.set(details?.scriptId ?? '', details?.url ?? '');
        if (method !== 'Debugger.paused') return;
        tell(3, 'Debugger.resume');
        finish((details?.callFrames ?? []).map((frame) => describeFrame(frame, urls)));
      },
    );
    session.connect();
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false }, (error) => {
      if (error !== null) finish([]);
    });
  });

/** What the kernel says that a thread does: its state, the function it sleeps in, the number of its system call. */
export const kernelState = (task: TaskName, procRoot = '/proc'): string => {
  const read = (file: string): string => {
    try {
      return readFileSync(`${procRoot}/${task}/${file}`, 'latin1').trim();
    } catch {
      return '?'; // the thread has ended, or this kernel doesn't tell
    }
  };
  const state = /^State:\s+(.*)$/m.exec(read('status'))?.[1] ?? '?';
  return `state ${state}, waiting in ${read('wchan')}, system call ${read('syscall').split(' ')[0]}`;
};
