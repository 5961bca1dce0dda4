// Runs a command of the program in this process, with flags as typed and its output caught: what a process would do, without its second.

import type { Command } from '../../src/cli/command.ts';
import { COMMON_OPTIONS } from '../../src/cli/command.ts';
import { exitCodeOf } from '../../src/cli/exit.ts';
import { createAsk } from '../../src/cli/passphrase.ts';
import { originOf, resolveOptions, sourceOf } from '../../src/node/options.ts';
import { errorMessage } from '../../src/util/errors.ts';
import { silentLog } from '../../src/util/log.ts';

export interface Ran {
  readonly code: number;
  /** What --json would print. */
  readonly results: readonly Record<string, unknown>[];
  /** What a person sees on stdout. */
  readonly text: string;
  /** Prose, and the error if there was one. */
  readonly notes: string;
}

export async function runCommand(
  command: Command,
  given: {
    readonly flags?: Readonly<Record<string, unknown>>;
    readonly action?: string;
    readonly text?: string;
    readonly dataDir: string;
    readonly json?: boolean;
    readonly signal?: AbortSignal;
  },
): Promise<Ran> {
  const sources = { flags: given.flags ?? {}, env: {}, file: {} };
  const results: Record<string, unknown>[] = [];
  const texts: string[] = [];
  const notes: string[] = [];
  let code = 0;
  try {
    await command.run({
      options: resolveOptions([...command.options, ...COMMON_OPTIONS], sources),
      action: given.action ?? '',
      text: given.text ?? '',
      given: (name) => originOf(name, sources) !== 'default',
      source: (name) => sourceOf(name, sources),
      dataDir: given.dataDir,
      dataDirGiven: true,
      ask: createAsk(
        typeof sources.flags['passphrase-file'] === 'string' ? sources.flags['passphrase-file'] : undefined,
      ),
      io: {
        json: given.json ?? false,
        result: (object, text) => {
          results.push(object as Record<string, unknown>);
          texts.push(text);
        },
        stream: (text) => texts.push(text),
        note: (text) => notes.push(text),
      },
      log: silentLog,
      signal: given.signal ?? new AbortController().signal,
    });
  } catch (error) {
    code = exitCodeOf(error);
    notes.push(errorMessage(error));
    if (code === 1 && !(error instanceof Error && 'facts' in error)) throw error;
  }
  return { code, results, text: texts.join('\n'), notes: notes.join('\n') };
}
