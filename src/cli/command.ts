// What a command is: its words, its options, one function. main.ts turns argv into a context; nothing else knows yargs.

import type { OptionName, Values } from '../node/options.ts';
import type { Log } from '../util/log.ts';
import type { AskPassphrase } from '../util/sealed.ts';
import type { Io } from './io.ts';

/** Options that every command takes. */
export const COMMON_OPTIONS = [
  'json',
  'log-level',
  'log-format',
  'data-dir',
  'config',
  'passphrase-file',
] as const satisfies readonly OptionName[];

type CommonOption = (typeof COMMON_OPTIONS)[number];

export interface CommandContext<Name extends OptionName> {
  readonly options: Values<Name | CommonOption>;
  /** The word that says which of the command's actions is wanted; empty for a command without any. */
  readonly action: string;
  /** The words after the command (and its action), in one string. */
  readonly text: string;
  /** Whether an option was given by a person (flag, environment, config file), not by its default. */
  given(name: Name): boolean;
  /** Where its value came from, in words. */
  source(name: Name): string;
  readonly dataDir: string;
  /** Whether --data-dir was given (devnet resumes only then). */
  readonly dataDirGiven: boolean;
  /** For the passphrases of encrypted keys. */
  readonly ask: AskPassphrase;
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
  /** Words of which one must follow the command, with their meaning; empty for none. */
  readonly actions: Readonly<Record<string, string>>;
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
  readonly actions?: Readonly<Record<string, string>>;
  readonly positional?: string;
  run(context: CommandContext<Name>): Promise<void>;
}

/** Keeps the option types inside the command and erases them for the table in main.ts. */
export function defineCommand<Name extends OptionName>(definition: CommandDefinition<Name>): Command {
  return {
    aliases: [],
    actions: {},
    positional: undefined,
    ...definition,
    run: (context) => definition.run(context as unknown as CommandContext<Name>),
  };
}
