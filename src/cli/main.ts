// The `tessera` command: finds the command, merges flags, environment and config file, runs it, and turns errors into exit codes.

import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import yaml from 'yaml';
import yargs, { type Argv } from 'yargs';
import {
  OPTIONS,
  type OptionName,
  type OptionSources,
  originOf,
  resolveOptions,
  shownDefault,
  sourceOf,
} from '../node/options.ts';
import { createLog } from '../util/log.ts';
import { COMMON_OPTIONS, type Command } from './command.ts';
import { ASK_FLAG, complete, printCompletionScript } from './completion.ts';
import { describeError, exitCodeOf, UsageError } from './exit.ts';
import { createIo } from './io.ts';
import { createAsk } from './passphrase.ts';

const loadActivate = async (): Promise<Command> => (await import('./commands/activate.ts')).activate;

/** Each is loaded when it is wanted: a chain client, an overlay and an engine take their second to start. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  devnet: async () => (await import('./commands/devnet.ts')).devnet,
  devchain: async () => (await import('./commands/devchain.ts')).devchain,
  keygen: async () => (await import('./commands/keygen.ts')).keygen,
  keys: async () => (await import('./commands/keys.ts')).keys,
  slashing: async () => (await import('./commands/slashing.ts')).slashing,
  'register-subnet': async () => (await import('./commands/register-subnet.ts')).registerSubnet,
  'activate-subnet': async () => (await import('./commands/activate-subnet.ts')).activateSubnet,
  'register-subnet-node': async () => (await import('./commands/register-subnet-node.ts')).registerSubnetNode,
  activate: loadActivate,
  'activate-subnet-node': loadActivate,
  run: async () => (await import('./commands/run.ts')).run,
  bootnode: async () => (await import('./commands/bootnode.ts')).bootnode,
  gateway: async () => (await import('./commands/gateway.ts')).gateway,
  generate: async () => (await import('./commands/generate.ts')).generate,
  chat: async () => (await import('./commands/chat.ts')).chat,
  bench: async () => (await import('./commands/bench.ts')).bench,
  embed: async () => (await import('./commands/embed.ts')).embed,
  balance: async () => (await import('./commands/balance.ts')).balance,
  stake: async () => (await import('./commands/stake.ts')).stake,
  delegate: async () => (await import('./commands/delegate.ts')).delegate,
  'update-peer': async () => (await import('./commands/update-peer.ts')).updatePeer,
  'update-hotkey': async () => (await import('./commands/update-hotkey.ts')).updateHotkey,
  'update-coldkey': async () => (await import('./commands/update-coldkey.ts')).updateColdkey,
  'clean-expired': async () => (await import('./commands/clean-expired.ts')).cleanExpired,
  'remove-node': async () => (await import('./commands/remove-node.ts')).removeNode,
  'update-subnet': async () => (await import('./commands/update-subnet.ts')).updateSubnet,
  epochs: async () => (await import('./commands/epochs.ts')).epochs,
  config: async () => (await import('./commands/config.ts')).config,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
  scores: async () => (await import('./commands/scores.ts')).scores,
  'verify-epoch': async () => (await import('./commands/verify-epoch.ts')).verifyEpoch,
  status: async () => (await import('./commands/status.ts')).status,
  model: async () => (await import('./commands/model.ts')).model,
};

function loadCommand(word: string): Promise<Command> | undefined {
  return Object.hasOwn(COMMANDS, word) ? COMMANDS[word]?.() : undefined;
}

/** The one that is named, or all of them for help and for words that are no command. */
function loadCommands(word: string | undefined): Promise<Command[]> {
  const named = word !== undefined && Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
  const wanted = named === undefined ? new Set(Object.values(COMMANDS)) : [named];
  return Promise.all([...wanted].map((load) => load()));
}

type Flags = Readonly<Record<string, unknown>> & { readonly _: readonly (string | number)[] };

/** Operators of other networks know the flags with underscores: `--subnet_id` is `--subnet-id`. The container's `node register-subnet-node` is `register-subnet-node`. */
function normalizeWords(argv: readonly string[]): string[] {
  const words = argv[0] === 'node' ? argv.slice(1) : argv;
  return words.map((word) => {
    const [flag = '', ...rest] = word.split('=');
    return word.startsWith('--') ? [flag.replaceAll('_', '-'), ...rest].join('=') : word;
  });
}

function yargsOption(name: OptionName): Record<string, unknown> {
  const { describe: meaning, kind } = OPTIONS[name];
  if (kind === 'flag') return { describe: meaning, type: 'boolean' };
  const shown = shownDefault(name);
  const describe = shown === undefined ? meaning : `${meaning} [${shown}]`;
  return kind === 'list'
    ? { describe, type: 'array', string: true, requiresArg: true }
    : { describe, type: 'string', requiresArg: true };
}

async function parse(
  argv: readonly string[],
  onCommand: (command: Command, flags: Flags) => Promise<void>,
): Promise<void> {
  const words = normalizeWords(argv);
  const commands = await loadCommands(words[0]);
  const named = commands.length === 1 ? commands[0] : undefined;
  let parser = yargs(words)
    .scriptName('tessera')
    .usage('tessera <command> [options]\n\nA staking node for decentralized inference and training.')
    .epilogue('`tessera <command> --help` has examples; `tessera completion >> ~/.bashrc` teaches the shell.')
    .strict()
    .demandCommand(1, 'Say a command; `tessera --help` lists them.')
    .recommendCommands()
    .version(packageVersion())
    .exitProcess(false)
    .showHelpOnFail(false)
    .parserConfiguration({ 'camel-case-expansion': false, 'greedy-arrays': true })
    .wrap(Math.min(120, process.stdout.columns || 120))
    .fail((message: string | null, error: Error | undefined) => {
      // yargs throws its own errors for some kinds of wrong usage; everything else comes from a command.
      if (error !== undefined && error.name !== 'YError') throw error;
      if (message?.startsWith('Not enough non-option arguments') && named !== undefined)
        throw new UsageError(`say what: tessera ${named.name} ${Object.keys(named.actions).join('|')}`);
      throw new UsageError(`${message ?? error?.message ?? 'wrong usage'} (see tessera --help)`);
    });
  for (const command of commands) {
    const actions = Object.entries(command.actions);
    const word = [
      command.name,
      ...(actions.length === 0 ? [] : ['<action>']),
      ...(command.positional === undefined ? [] : [`[${command.positional}..]`]),
    ].join(' ');
    const options = Object.fromEntries(
      [...command.options, ...COMMON_OPTIONS].map((name) => [name, yargsOption(name)]),
    );
    parser = parser.command(
      [word, ...command.aliases],
      command.describe,
      (builder) => describeCommand(builder, command, options),
      (flags) => onCommand(command, flags as Flags),
    );
  }
  await parser.parseAsync();
}

function describeCommand(builder: Argv, command: Command, options: Record<string, Record<string, unknown>>): Argv {
  const actions = Object.entries(command.actions);
  const meanings = actions.map(([word, meaning]) => `${word}: ${meaning}`).join('; ');
  const named =
    actions.length === 0
      ? builder
      : builder.positional('action', { type: 'string', choices: Object.keys(command.actions), describe: meanings });
  // words are words: a prompt of 3.10 is no 3.1, and 0x01 no 1
  const worded =
    command.positional === undefined ? named : named.positional(command.positional, { type: 'string', array: true });
  return command.examples.reduce((all, example) => all.example(example, ''), worded.options(options));
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function readConfigFile(file: string, required: boolean): Readonly<Record<string, unknown>> {
  if (!existsSync(file)) {
    if (required) throw new UsageError(`config file ${file} does not exist`);
    return {};
  }
  const content: unknown = yaml.parse(readFileSync(file, 'utf8'));
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw new UsageError(`config file ${file} is not a map of options`);
  const unknown = Object.keys(content).filter((key) => !(key in OPTIONS));
  if (unknown.length > 0) throw new UsageError(`config file ${file} has unknown keys: ${unknown.join(', ')}`);
  return content as Record<string, unknown>;
}

function gatherSources(flags: Flags): OptionSources & { dataDir: string; dataDirGiven: boolean } {
  const outside = { flags, env: process.env, file: {} };
  const early = resolveOptions(['data-dir', 'config'], outside);
  const dataDir = resolve(early['data-dir'] ?? join(homedir(), '.tessera'));
  const file = readConfigFile(early.config ?? join(dataDir, 'config.yaml'), early.config !== undefined);
  return { ...outside, file, dataDir, dataDirGiven: early['data-dir'] !== undefined };
}

function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => controller.abort(new Error(`stopped by ${name}`)));
  }
  return controller.signal;
}

async function runCommand(command: Command, flags: Flags): Promise<void> {
  const sources = gatherSources(flags);
  const options = resolveOptions([...command.options, ...COMMON_OPTIONS], sources);
  const words = command.positional === undefined ? undefined : flags[command.positional];
  await command.run({
    options,
    action: typeof flags.action === 'string' ? flags.action : '',
    text: Array.isArray(words) ? words.join(' ') : '',
    given: (name) => originOf(name, sources) !== 'default',
    source: (name) => sourceOf(name, sources),
    dataDir: sources.dataDir,
    dataDirGiven: sources.dataDirGiven,
    ask: createAsk(options['passphrase-file']),
    io: createIo(options.json),
    log: createLog({ level: options['log-level'], format: options['log-format'] }),
    signal: abortOnSignals(),
  });
}

async function main(argv: readonly string[]): Promise<void> {
  if (argv[0] === 'completion') return printCompletionScript();
  if (argv[0] !== ASK_FLAG) return parse(argv, runCommand);
  const offered = await complete(argv.slice(1), [...Object.keys(COMMANDS), 'completion'], async (word) =>
    loadCommand(word),
  );
  process.stdout.write(offered.map((word) => `${word}\n`).join(''));
}

/** Whoever reads our words may leave (`tessera scores | head`): a command ends then, a node as if it were told to. */
function endWithReader(): void {
  let told = false;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (told) return;
    told = true;
    if (process.listenerCount('SIGTERM') === 0) process.exit(0);
    process.kill(process.pid, 'SIGTERM');
  });
}

endWithReader();
try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = exitCodeOf(error);
}
