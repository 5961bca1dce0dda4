// polkadot.js writes its notes straight to the console: `2026-01-02 03:04:05        API/INIT: ...`. Results own our stdout, so lines of that
// form go to the log instead. This wraps the console of the process, once, and lets every other line through.

import processConsole from 'node:console';
import type { Log } from '../../util/log.ts';

const DATE = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$/;
const SOURCE = /^\s*[A-Z][A-Z0-9/-]+:$/;

let diverted: Log | undefined;

/** From now on lines of polkadot.js go to `log` (debug); the last log given gets them. */
export function divertPolkadotLines(log: Log): void {
  const isFirst = diverted === undefined;
  diverted = log;
  if (!isFirst) return;
  // Its check for duplicated packages prints a long warning that is about other projects.
  process.env.POLKADOTJS_DISABLE_ESM_CJS_WARNING = '1';
  for (const level of ['log', 'warn', 'error'] as const) {
    const original = processConsole[level].bind(processConsole);
    processConsole[level] = (...args: unknown[]) => {
      const [date, source, ...rest] = args;
      if (!DATE.test(String(date)) || !SOURCE.test(String(source))) original(...args);
      else diverted?.debug('polkadot.js says', { source: String(source).trim(), text: rest.map(String).join(' ') });
    };
  }
}
