// Every option of every command, once: type, default, meaning. The same table gives the flag (--block-ms), its environment twin
// (TESSERA_BLOCK_MS) and its key in the config file (block-ms). Flags beat the environment, that beats the file, that the default.

import { z } from 'zod';
import { REACH } from '../p2p/reach-names.ts';
import { CodedError } from '../util/errors.ts';

const text = z.string();
const count = z.coerce.number().int().min(0);
const positive = z.coerce.number().int().min(1);
const flag = z.union([
  z.boolean(),
  z.enum(['true', 'false', '1', '0', '']).transform((word) => word === 'true' || word === '1'),
]);
const port = z.coerce.number().int().min(0).max(65_535);
const list = z.union([
  z.array(z.string()),
  z.string().transform((line) => line.split(/[,\s]+/).filter((word) => word !== '')),
]);
/** On the command line too, `a,b` is two of them: for what has no comma in it. */
const commaList = list.transform((words) => words.flatMap((word) => word.split(',')).filter((word) => word !== ''));
const endpoints = commaList.check(
  each((word) => ['ws:', 'wss:', 'http:', 'https:'].includes(URL.parse(word)?.protocol ?? ''), 'ws://127.0.0.1:9944'),
);
/** Only that they are meant as such: what each part says is read where it is used. */
const multiaddrs = list.check(each((word) => /^\/[a-z0-9-]+(\/|$)/.test(word), '/ip4/127.0.0.1/tcp/31330'));
/** TENSOR with at most 18 decimals -> planck. */
const tensor = z.union([z.string(), z.number()]).transform((value, context) => {
  const match = /^(\d{1,18})(?:\.(\d{1,18}))?$/.exec(String(value));
  if (match === null) {
    context.addIssue({ code: 'custom', message: 'expected an amount of TENSOR such as 100 or 0.5' });
    return z.NEVER;
  }
  return BigInt(match[1] ?? '0') * 10n ** 18n + BigInt((match[2] ?? '').padEnd(18, '0'));
});

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
/** `8GiB`, `512M` or plain bytes -> bytes. */
const memoryBytes = z.union([z.string(), z.number()]).transform((value, context) => {
  const match = /^(\d{1,15})\s*(?:([KMGT])(?:iB)?)?$/.exec(String(value));
  const bytes = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? 1);
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  context.addIssue({ code: 'custom', message: 'expected a size such as 8GiB or 512MiB' });
  return z.NEVER;
});

/** A check of every word of a list, with an example of what is expected. */
function each(fits: (word: string) => boolean, example: string) {
  return z.refine<readonly string[]>((words) => words.every(fits), { error: `expected addresses such as ${example}` });
}

interface OptionSpec {
  readonly schema: z.ZodType;
  readonly describe: string;
  /** A flag stands alone on the command line (`--json`), a list takes several values. */
  readonly kind: Kind;
}

type Kind = 'value' | 'flag' | 'list';

function option<S extends z.ZodType>(schema: S, describe: string, kind: Kind = 'value') {
  return { schema, describe, kind };
}

/** Names are the flags without dashes in front; `_` may be typed for `-`. */
export const OPTIONS = {
  json: option(flag.default(false), 'print one JSON object per line on stdout', 'flag'),
  'log-level': option(
    z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('warn'),
    'how much to log to stderr',
  ),
  'data-dir': option(text.optional(), 'folder for keys, journal and chain (default ~/.tessera)'),
  config: option(text.optional(), 'config file (default <data-dir>/config.yaml, if it is there)'),
  rpc: option(endpoints.default(['ws://127.0.0.1:9944']), 'chain endpoints, tried in order', 'list'),
  'subnet-id': option(positive.default(128_001), 'the subnet'),
  'subnet-node-id': option(positive.optional(), 'this node (default: the node of the hotkey)'),
  coldkey: option(text.optional(), 'account that owns: key file or //dev:N'),
  hotkey: option(text.optional(), 'account that acts: key file or //dev:N'),
  'new-hotkey': option(text.optional(), 'account that acts from now on: 0x address, key file or //dev:N'),
  'new-coldkey': option(text.optional(), 'account that owns from now on: 0x address, key file or //dev:N'),
  'identity-path': option(text.optional(), 'Ed25519 identity of this node (default <data-dir>/keys/peer_id)'),
  accounts: option(flag.default(false), 'also make hotkey.json and coldkey.json', 'flag'),
  name: option(text.default('tessera'), 'name of the subnet'),
  model: option(text.optional(), 'model folder (default: the bundled models/tiny)'),
  cut: option(text.optional(), 'cut of the model into shards (default: the first of the manifest)'),
  bootnode: option(list.default([]), 'multiaddr of a boot node, ending in /p2p/<peer id>', 'list'),
  'min-stake': option(tensor.default(100n * 10n ** 18n), 'least stake of a node, TENSOR'),
  'max-stake': option(tensor.default(1000n * 10n ** 18n), 'most stake of a node, TENSOR'),
  'initial-coldkeys': option(
    list.default([]),
    'only these may register before the subnet is active: accounts or keys, each with =N for more than one node',
    'list',
  ),
  stake: option(tensor.default(100n * 10n ** 18n), 'stake to put down, TENSOR'),
  access: option(z.enum(['open', 'registered', 'private']).default('open'), 'who may ask for inference'),
  'fund-hotkey': option(tensor.default(0n), 'TENSOR that the coldkey sends the hotkey, where it has less'),
  wait: option(flag.default(false), 'wait for the start epoch', 'flag'),
  role: option(z.enum(['hoster', 'attestor']).default('hoster'), 'serve shards, or only verify'),
  audit: option(
    flag.default(false),
    'an attestor also holds the model and confirms the answers of the shards that it is drawn for',
    'flag',
  ),
  shards: option(text.default('auto'), 'shards to serve: auto, or runs such as 0-2 or 0,2-3'),
  device: option(
    z.enum(['auto', 'cpu', 'cuda']).default('auto'),
    'where to run the model: cuda is an NVIDIA GPU, auto takes one where there is one',
  ),
  threads: option(positive.optional(), 'threads of the engine (default: cores - 1)'),
  memory: option(
    memoryBytes.optional(),
    'for weights and caches, such as 8GiB or 512MiB (default: four fifths of what is free)',
  ),
  prepack: option(
    flag.default(false),
    'keep repacked weights in the data directory: less memory from the next start on, about twice the disk (f16, int8)',
    'flag',
  ),
  'isolate-engine': option(
    flag.default(false),
    'run the model in a process of its own, whose crash or hang is not the end of the node; what goes in and out is copied',
    'flag',
  ),
  'host-maddrs': option(multiaddrs.default(['/ip4/127.0.0.1/tcp/0']), 'addresses to listen on', 'list'),
  'announce-maddrs': option(multiaddrs.default([]), 'addresses to announce instead', 'list'),
  'initial-peers': option(
    multiaddrs.default([]),
    'peers to dial first (default: boot nodes and nodes known to the chain)',
    'list',
  ),
  'keep-ends': option(
    flag.default(false),
    'compute the first and the last shard here: others see hidden states, no tokens',
    'flag',
  ),
  'hand-over': option(
    z.enum(['none', 'receipts', 'transcripts']).default('none'),
    'what attestors that audit are given of the sessions: what hops signed, or the tokens that entered too',
  ),
  'hand-share': option(
    z.coerce.number().min(0).max(1).default(0.25),
    'share of the sessions of which --hand-over gives something',
  ),
  'network-key': option(text.optional(), 'file of the key of a private network (keygen makes it)'),
  'model-from-peers': option(flag.default(false), 'fetch the model that the subnet runs from its nodes', 'flag'),
  'model-url': option(list.default([]), 'web folders to fetch the model from, too', 'list'),
  'upload-rate': option(
    z.coerce.number().positive().optional(),
    "MiB per second of the model's files that others are sent (default: no limit)",
  ),
  reach: option(
    list
      .default(['relay'])
      .transform((words) => words.filter((word) => word !== 'none'))
      .pipe(z.array(z.enum(REACH))),
    'ways to be met by others: relay, hole-punch, autonat, upnp, mdns, or none',
    'list',
  ),
  relay: option(flag.default(false), 'carry the traffic of nodes that cannot be dialled', 'flag'),
  'private-addresses': option(
    z.enum(['auto', 'yes', 'no']).default('auto'),
    'dial private addresses that others name: auto judges by the own addresses',
  ),
  'new-swarm': option(flag.default(false), 'be the first: do not wait for peers', 'flag'),
  port: option(port.optional(), 'port to listen on, 0 = any (default: 8080 for HTTP, 9944 for devchain)'),
  host: option(text.default('127.0.0.1'), 'address to listen on'),
  spec: option(text.optional(), 'raw chain spec (default: the bundled devnet)'),
  preset: option(text.optional(), 'build the genesis anew from this preset: devnet, strict or standard'),
  genesis: option(text.optional(), 'JSON laid over the genesis, such as {"network":{"epochLength":10}}'),
  param: option(list.default([]), 'single values of the genesis: Pallet.Item=0x<SCALE>', 'list'),
  'genesis-time': option(
    count.optional(),
    "milliseconds since 1970 at which the chain's clock starts (default: what the spec says)",
  ),
  fsync: option(flag.default(false), 'wait for the disk after each block: survives a power cut too', 'flag'),
  mode: option(z.enum(['tick', 'instant', 'manual']).default('tick'), 'when blocks are made'),
  'block-ms': option(positive.default(1000), 'milliseconds between blocks'),
  'finality-lag': option(count.default(2), 'blocks between best and finalized head'),
  hosters: option(positive.max(64).default(4), 'number of hosters'),
  attestors: option(count.max(64).default(1), 'number of attestors'),
  epochs: option(count.default(0), 'stop after that many settled epochs, 0 = never'),
  prompt: option(text.default('Once upon a time'), 'what to ask the network'),
  'rpc-port': option(port.default(9944), 'port of the chain'),
  'max-tokens': option(positive.max(4096).default(200), 'most tokens to generate'),
  temperature: option(z.coerce.number().min(0).max(5).default(0), '0 takes the likeliest token'),
  'top-p': option(z.coerce.number().gt(0).max(1).default(1), 'nucleus of this mass'),
  'top-k': option(positive.max(64).default(64), 'candidates per token'),
  seed: option(count.default(0), 'seed of sampling'),
  stop: option(list.default([]), 'texts that end the answer', 'list'),
  chat: option(flag.default(false), 'ask in the chat form of the model', 'flag'),
  local: option(flag.default(false), 'run all shards in this process, without a network', 'flag'),
  out: option(text.optional(), 'new folder for the model, or new file'),
  format: option(
    z.enum(['f32', 'f16', 'int4', 'int4b32', 'int4b128', 'int8']).optional(),
    'how weights are stored: f32 (as published; what embeddings come in), f16, int8 (fastest for prompts and batches) or int4 (smallest, fastest for one user)',
  ),
  keep: option(
    commaList.default([]),
    'linear layers that stay in floats, or in the format behind an equals sign: down,head=int8 (default: head=int8 where --format is int4)',
    'list',
  ),
  parts: option(positive.max(4096).default(4), 'shards to cut the model into'),
  'model-name': option(text.optional(), 'name of the model (default: that of its folder)'),
  license: option(text.optional(), 'license of the model'),
  context: option(positive.optional(), 'most positions of a session (default: what the model was made for)'),
  text: option(text.optional(), 'file with a text to measure quality on (default: a short English one)'),
  'cors-origins': option(
    list.default([]),
    'web pages elsewhere that may ask the gateway, as https://app.example',
    'list',
  ),
  'concurrent-requests': option(positive.max(64).default(4), 'requests that a new API key may have open at once'),
  'tokens-per-minute': option(positive.default(60_000), 'tokens that a new API key may use'),
  epoch: option(count.optional(), 'one subnet epoch'),
  node: option(positive.optional(), 'one node'),
  amount: option(tensor.optional(), 'how much, TENSOR (default: all there is, where that makes sense)'),
  to: option(text.optional(), 'account that receives: 0x address, key file or //dev:N'),
  'peer-role': option(z.enum(['node', 'bootnode', 'client']).default('node'), 'which of the three peers of a node'),
  clear: option(flag.default(false), 'take it away instead of changing it', 'flag'),
  policy: option(
    text.optional(),
    'YAML file with hoster-share, attestor-share, challenge-tokens, audit-rate, access (default: usual values)',
  ),
  'remove-bootnode': option(list.default([]), 'peer id of a boot node to take off the list', 'list'),
  'metrics-port': option(port.optional(), 'serve Prometheus metrics on this port of loopback, 0 = any (default: not)'),
  'log-format': option(
    z.enum(['json', 'pretty']).default('json'),
    'how log lines look: JSON for programs, one readable line for people',
  ),
  'drain-seconds': option(count.max(3600).default(30), 'after SIGTERM: how long open sessions may go on'),
  'passphrase-file': option(text.optional(), 'file whose first line opens (or will open) encrypted keys'),
  'from-passphrase-file': option(text.optional(), 'file with the passphrase of the key that is imported'),
  encrypt: option(flag.default(false), 'ask for a passphrase and encrypt with it', 'flag'),
  in: option(text.optional(), 'file to read'),
  form: option(
    z.enum(['encrypted', 'plain', 'raw32', 'raw64']).default('encrypted'),
    'how an exported key is written: encrypted, plain (libp2p protobuf or JSON), or its bare bytes',
  ),
  derivation: option(text.default("m/44'/60'/0'/0/0"), 'path of the account within a mnemonic'),
  last: option(positive.max(64).default(8), 'how many epochs to show'),
} as const satisfies Readonly<Record<string, OptionSpec>>;

export type OptionName = keyof typeof OPTIONS;
export type Values<Name extends OptionName> = { readonly [N in Name]: z.infer<(typeof OPTIONS)[N]['schema']> };

/** What was given from outside, not checked yet. */
export interface OptionSources {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file: Readonly<Record<string, unknown>>;
}

class OptionError extends CodedError<{
  code: 'OPTION_INVALID';
  readonly option: string;
  readonly source: string;
}> {}

/** `block-ms` -> `TESSERA_BLOCK_MS`. */
function environmentName(name: string): string {
  return `TESSERA_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** Where the value of an option came from. */
export type OptionOrigin = 'flag' | 'environment' | 'file' | 'default';

export function originOf(name: OptionName, sources: OptionSources): OptionOrigin {
  return findSource(name, sources).origin;
}

/** The place as a person would look for it: `--rpc`, `TESSERA_RPC`, `config key rpc`, `default of rpc`. */
export function sourceOf(name: OptionName, sources: OptionSources): string {
  return findSource(name, sources).source;
}

/** Checks and merges the named options; throws OptionError naming the option, where it came from, and what was expected. */
export function resolveOptions<Name extends OptionName>(names: readonly Name[], sources: OptionSources): Values<Name> {
  return Object.fromEntries(names.map((name) => [name, resolveOption(name, sources)])) as Values<Name>;
}

function resolveOption(name: OptionName, sources: OptionSources): unknown {
  const found = findSource(name, sources);
  const result = OPTIONS[name].schema.safeParse(found.value);
  if (result.success) return result.data;
  const why = result.error.issues[0]?.message ?? 'invalid';
  throw new OptionError(
    { code: 'OPTION_INVALID', option: name, source: found.source },
    `${found.source} is ${JSON.stringify(found.value)}: ${why} (${OPTIONS[name].describe})`,
  );
}

interface Source {
  readonly value: unknown;
  readonly origin: OptionOrigin;
  /** The place as a person would look for it. */
  readonly source: string;
}

function findSource(name: OptionName, { flags, env, file }: OptionSources): Source {
  if (flags[name] !== undefined) return { value: flags[name], origin: 'flag', source: `--${name}` };
  const variable = environmentName(name);
  if (env[variable] !== undefined) return { value: env[variable], origin: 'environment', source: variable };
  if (file[name] !== undefined) return { value: file[name], origin: 'file', source: `config key ${name}` };
  return { value: undefined, origin: 'default', source: `default of ${name}` };
}

/** The default as a person would type it, or undefined. */
export function shownDefault(name: OptionName): string | undefined {
  const result = OPTIONS[name].schema.safeParse(undefined);
  if (!result.success || result.data === undefined) return undefined;
  const value: unknown = result.data;
  if (typeof value === 'bigint') return String(value / 10n ** 18n);
  return Array.isArray(value) ? value.join(',') || undefined : String(value);
}
