// What a shell offers at TAB: command names, action words, flags. Loads the one command that is being typed, so that it answers at once.

import yargs from 'yargs';
import { COMMON_OPTIONS, type Command } from './command.ts';

/** yargs' script for bash and zsh asks the program with this flag. */
export const ASK_FLAG = '--get-yargs-completions';

/** The script itself, to be put into ~/.bashrc or ~/.zshrc. */
export function printCompletionScript(): void {
  yargs().scriptName('tessera').completion('completion').showCompletionScript();
}

/**
 * @param words what was typed, from `tessera` on; the last one is being typed
 * @param load undefined for words that are no command
 */
export async function complete(
  words: readonly string[],
  commands: readonly string[],
  load: (word: string) => Promise<Command | undefined>,
): Promise<readonly string[]> {
  const [, name = '', ...rest] = words;
  const current = rest.at(-1);
  if (current === undefined) return commands.filter((command) => command.startsWith(name));
  const command = await load(name);
  if (command === undefined) return [];
  const flags = [...command.options, ...COMMON_OPTIONS].map((option) => `--${option}`);
  const actions = rest.length === 1 ? Object.keys(command.actions) : [];
  const offered = current.startsWith('-') ? flags : actions;
  return offered.filter((word) => word.startsWith(current));
}
