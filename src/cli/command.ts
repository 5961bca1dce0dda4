// What a command is: its words, its options, one function. main.ts turns argv into a context; nothing else knows yargs.

import type { OptionName, Values } from '../node/options.ts';
import type { Log } from '../util/log.ts';
import type { Io } from './io.ts';

/** Options that every command takes. */
export const COMMON_OPTIONS = ['json', 'log-level', 'data-dir', 'config'] as const satisfies readonly OptionName[];

export interface CommandContext<Name extends OptionName> {
  readonly options: Values<Name>;
  /** The words after the command, in one string. */
  readonly text: string;
  readonly dataDir: string;
  /** Whether --data-dir was given (devnet resumes only then). */
  readonly dataDirGiven: boolean;
  readonly io: Io;
  readonly log: Log;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

export interface Command<Name extends OptionName = OptionName> {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly describe: string;
  /** Shown by --help: command lines a person can copy. */
  readonly examples: readonly string[];
  readonly options: readonly Name[];
  /** Name of the free text that the command takes, if any. */
  readonly positional: string | undefined;
  readonly run: (context: CommandContext<Name>) => Promise<void>;
}

interface CommandDefinition<Name extends OptionName> {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly describe: string;
  readonly examples: readonly string[];
  readonly options: readonly Name[];
  readonly positional?: string;
  run(context: CommandContext<Name>): Promise<void>;
}

/** Keeps the option types inside the command and erases them for the table in main.ts. */
export function defineCommand<Name extends OptionName>(definition: CommandDefinition<Name>): Command {
  return {
    aliases: [],
    positional: undefined,
    ...definition,
    run: (context) => definition.run(context as unknown as CommandContext<Name>),
  };
}
