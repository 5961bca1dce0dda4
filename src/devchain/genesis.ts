// Genesis by the runtime's own GenesisBuilder: presets and a JSON patch in, raw key-value pairs out. The same input gives the same bytes.

import { fromHex } from '../util/bytes.ts';
import { CodedError } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { createExecutor, type Executor, RuntimeError } from './executor.ts';
import { storageKey } from './hashing.ts';
import { type Hex, hex, keyToHex } from './hex.ts';
import { CODE_KEY } from './runtime.ts';
import { createReader, NONE, some, vec } from './scale.ts';
import { type RawSpec, withRawValues } from './spec.ts';
import { createState, type State } from './state.ts';
import { trieGet, trieKeys } from './trie.ts';

class GenesisError extends CodedError<
  { code: 'GENESIS_REFUSED'; reason: string } | { code: 'GENESIS_PRESET_UNKNOWN'; preset: string }
> {}

/** A genesis as JSON text. Text and not a value: balances above 2^53 must stay bare integers (runtime-build.md, trap 3). */
export type GenesisJson = string;

/** Names of the presets inside a runtime. */
export function presetNames(code: Uint8Array, deps: { readonly log: Log }): readonly string[] {
  const reader = createReader(createExecutor(code, deps).call(createState(undefined), 'GenesisBuilder_preset_names'));
  return Array.from({ length: reader.compact() }, () => reader.text());
}

/** A preset's JSON, or with no name the runtime's default genesis; undefined when there is no such preset. */
export function getPreset(
  code: Uint8Array,
  name: string | undefined,
  deps: { readonly log: Log },
): GenesisJson | undefined {
  return presetOf(createExecutor(code, deps), name);
}

function presetOf(executor: Executor, name: string | undefined): GenesisJson | undefined {
  const id = name === undefined ? NONE : some(vec(Buffer.from(name)));
  const reader = createReader(executor.call(createState(undefined), 'GenesisBuilder_get_preset', id));
  return reader.u8() === 0 ? undefined : reader.text();
}

/**
 * The genesis state that a runtime builds from a JSON genesis, as raw pairs in ascending order of keys, with `code` itself under `:code`.
 * Throws GenesisError when the runtime refuses the JSON.
 *
 * @param code plain or compressed; it goes into the state as it is
 */
export function buildGenesis(
  code: Uint8Array,
  json: GenesisJson,
  deps: { readonly log: Log },
): readonly (readonly [Hex, Hex])[] {
  const state = createState(undefined);
  const reader = createReader(callBuilder(createExecutor(code, deps), state, json));
  if (reader.u8() !== 0) throw refused(reader.text());
  state.set(Buffer.from(CODE_KEY).toString('latin1'), new Uint8Array(code));
  const trie = state.trie();
  return Array.from(trieKeys(trie, ''), (key) => [keyToHex(key), hex(trieGet(trie, key) as Uint8Array)] as const);
}

/** A pallet that cannot live with its parameters panics: that is an answer, too. */
function callBuilder(executor: Executor, state: State, json: GenesisJson): Uint8Array {
  try {
    return executor.call(state, 'GenesisBuilder_build_state', vec(Buffer.from(json)));
  } catch (error) {
    if (error instanceof RuntimeError && error.facts.code === 'RUNTIME_TRAPPED')
      throw refused(error.facts.panic, error);
    throw error;
  }
}

function refused(reason: string, cause?: unknown): GenesisError {
  return new GenesisError({ code: 'GENESIS_REFUSED', reason }, `the runtime refuses this genesis: ${reason}`, {
    cause,
  });
}

/**
 * The spec with its genesis built anew: a preset of its runtime, with `patch` (JSON text) laid over it member by member. The genesis hash is
 * another one then; the clock starts where the spec says. A preset is itself a patch over the runtime's default genesis.
 */
export function withGenesis(
  spec: RawSpec,
  choice: { readonly preset?: string; readonly patch?: GenesisJson },
  deps: { readonly log: Log },
): RawSpec {
  const code = codeOf(spec);
  const executor = createExecutor(code, deps);
  const layers = [presetOf(executor, undefined) ?? '{}'];
  if (choice.preset !== undefined) {
    const preset = presetOf(executor, choice.preset);
    if (preset === undefined) {
      throw new GenesisError(
        { code: 'GENESIS_PRESET_UNKNOWN', preset: choice.preset },
        `the runtime has no preset "${choice.preset}"`,
      );
    }
    layers.push(preset);
  }
  if (choice.patch !== undefined) layers.push(choice.patch);
  const json = writeJson(layers.map(readJson).reduce(merge));
  const built: RawSpec = { ...spec, genesis: { raw: { top: Object.fromEntries(buildGenesis(code, json, deps)) } } };
  const clockKey = keyToHex(storageKey('Timestamp', 'Now'));
  const clock = spec.genesis.raw.top[clockKey];
  return clock === undefined ? built : withRawValues(built, { [clockKey]: clock });
}

/** The runtime inside a spec, as it stands there. */
export function codeOf(spec: RawSpec): Uint8Array {
  return fromHex(spec.genesis.raw.top[keyToHex(CODE_KEY)] as Hex);
}

/** JSON whose integers are kept as written: a large one becomes a bigint. */
type Json = string | number | bigint | boolean | null | readonly Json[] | { readonly [key: string]: Json };

function readJson(text: GenesisJson): Json {
  return JSON.parse(text, exactIntegers) as Json;
}

function exactIntegers(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const exact = typeof value === 'number' && context?.source !== undefined && /^-?\d+$/.test(context.source);
  return exact && !Number.isSafeInteger(value) ? BigInt(context.source) : value;
}

function writeJson(value: Json): GenesisJson {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return `[${value.map(writeJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .map(([key, member]) => `${JSON.stringify(key)}:${writeJson(member as Json)}`)
      .join(',')}}`;
  }
  return JSON.stringify(value);
}

/** Objects are merged member by member; everything else is replaced (RFC 7396 without deletion). */
function merge(base: Json, over: Json): Json {
  if (!isObject(base) || !isObject(over)) return over;
  const merged: Record<string, Json> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = merged[key];
    merged[key] = old === undefined ? value : merge(old, value);
  }
  return merged;
}

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
