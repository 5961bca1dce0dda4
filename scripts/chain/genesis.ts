// The genesis state of our runtime, made by the runtime itself: GenesisBuilder_build_state on an empty state, with one of its presets.

import { createExecutor } from '../../src/devchain/executor.ts';
import { storageKey } from '../../src/devchain/hashing.ts';
import { createReader, NONE, some, vec } from '../../src/devchain/scale.ts';
import { createState } from '../../src/devchain/state.ts';
import type { Trie } from '../../src/devchain/trie.ts';
import { u64le, utf8 } from '../../src/util/bytes.ts';
import { silentLog } from '../../src/util/log.ts';

/** Milliseconds since 1970 of the block before the first; later blocks follow every 6 s, whatever a wall clock says (chain.md 8). */
const GENESIS_TIME_MS = 1_770_000_000_000n;

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** The state without `:code`. Throws Error with the runtime's words when it refuses the preset. */
export function buildGenesis(wasm: Uint8Array, preset: string): Trie {
  const executor = createExecutor(wasm, { log: silentLog });
  const readPreset = (name: Uint8Array): Json => {
    const answer = createReader(executor.call(createState(undefined), 'GenesisBuilder_get_preset', name));
    if (answer.u8() === 0) throw new Error(`the runtime has no preset ${preset}`);
    return parseJson(answer.text());
  };
  const config = merge(readPreset(NONE), readPreset(some(vec(utf8(preset)))));
  const state = createState(undefined);
  const result = createReader(executor.call(state, 'GenesisBuilder_build_state', vec(utf8(printJson(config)))));
  if (result.u8() !== 0) throw new Error(`the runtime refuses the genesis: ${result.text()}`);
  state.set(storageKey('Timestamp', 'Now'), u64le(GENESIS_TIME_MS));
  return state.trie();
}

function merge(base: Json, patch: Json): Json {
  if (!isObject(base) || !isObject(patch)) return patch;
  const merged = Object.entries(patch).map(([name, value]) => [name, merge(base[name] ?? null, value)]);
  return { ...base, ...Object.fromEntries(merged) };
}

function isObject(value: Json): value is { [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// Balances are integers that a JavaScript number cannot hold: they travel through the merge as marked strings.
const BIG = 'big:';

function parseJson(text: string): Json {
  return JSON.parse(text.replace(/(?<=[[,:]\s*)\d{16,}(?=\s*[,\]}])/g, `"${BIG}$&"`));
}

function printJson(value: Json): string {
  return JSON.stringify(value).replace(new RegExp(`"${BIG}(\\d+)"`, 'g'), '$1');
}
