/** Progress and questions, on stderr: stdout is for results. */
import { createInterface } from 'node:readline/promises';
import type { Terminal } from './context.js';

const ERASE_LINE = '\r\x1b[K';

/** Empty unless a person can both see and answer. */
export const terminalOf = (): { terminal?: Terminal } => {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return {};
  return {
    terminal: {
      progress: (text) => void process.stderr.write(ERASE_LINE + text),
      ask: async (question) => {
        const lines = createInterface({ input: process.stdin, output: process.stderr });
        const ended = new Promise<undefined>((resolve) => lines.once('close', () => resolve(undefined)));
        try {
          return await Promise.race([lines.question(question), ended]);
        } finally {
          lines.close();
        }
      },
    },
  };
};
