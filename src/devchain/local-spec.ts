// The spec of one's own chain: a file whose genesis is built anew by its runtime (preset, JSON patch) or in which single values are replaced
// (chain.md 8). What a person types is checked here; the chain so made has another genesis hash.

import { CodedError, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { codeOf, type GenesisJson, presetNames, withGenesis } from './genesis.ts';
import { storageKey, twox } from './hashing.ts';
import { bytesToKey, type Hex, keyToHex } from './hex.ts';
import { type RawSpec, readSpec, withRawValues } from './spec.ts';

export interface LocalSpecOptions {
  /** A raw spec. */
  readonly file: string;
  /** A preset of the runtime inside. */
  readonly preset?: string | undefined;
  /** JSON laid over the preset; where none is named, over the preset `devnet` of a runtime that has it. */
  readonly genesis?: GenesisJson | undefined;
  /** `Pallet.Item=0x...` of plain values, `:Name:=0x...` of parameters that the metadata shows as constants, `0x<key>=0x...` of any key. */
  readonly params: readonly string[];
}

class LocalSpecError extends CodedError<
  | { code: 'GENESIS_NO_JSON' }
  | { code: 'GENESIS_PARAM_INVALID'; param: string }
  | { code: 'GENESIS_PRESET_NEEDED'; presets: readonly string[] }
> {}

/** What the runtime of the bundled spec calls the genesis inside that spec. */
const USUAL_PRESET = 'devnet';

/** Throws SpecError, GenesisError, RuntimeError (a foreign runtime may not build its genesis), LocalSpecError. */
export function localSpec({ file, preset, genesis, params }: LocalSpecOptions, deps: { readonly log: Log }): RawSpec {
  const spec = readSpec(file);
  const values = Object.fromEntries(params.map(readParam));
  if (preset === undefined && genesis === undefined) return withRawValues(spec, values);
  const base = preset ?? usualPreset(presetNames(codeOf(spec), deps));
  const choice = {
    ...(base === undefined ? {} : { preset: base }),
    ...(genesis === undefined ? {} : { patch: checkJson(genesis) }),
  };
  return withRawValues(withGenesis(spec, choice, deps), values);
}

/** JSON over nothing makes a chain without authors, which no preset is. */
function usualPreset(presets: readonly string[]): string | undefined {
  if (presets.length === 0 || presets.includes(USUAL_PRESET)) return presets.find((name) => name === USUAL_PRESET);
  throw new LocalSpecError(
    { code: 'GENESIS_PRESET_NEEDED', presets },
    `say what --genesis is laid over: --preset ${presets.join(' or --preset ')}`,
  );
}

function checkJson(text: GenesisJson): GenesisJson {
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    throw new LocalSpecError({ code: 'GENESIS_NO_JSON' }, `--genesis is not JSON: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

const PARAM =
  /^(?:(?<pallet>\w+)\.(?<item>\w+)|(?<constant>:\w+:)|(?<key>0x(?:[0-9a-f]{2})+))=(?<value>0x(?:[0-9a-f]{2})*)$/i;

function readParam(param: string): readonly [Hex, Hex] {
  const { pallet, item, constant, key, value } = PARAM.exec(param)?.groups ?? {};
  if (value === undefined) {
    throw new LocalSpecError(
      { code: 'GENESIS_PARAM_INVALID', param },
      `"${param}" is no value of a genesis: expected Pallet.Item=0x... (SCALE), :Name:=0x... or 0x<key>=0x...`,
    );
  }
  return [keyOf({ pallet, item, constant, key }), value.toLowerCase() as Hex];
}

function keyOf(named: Readonly<Record<'pallet' | 'item' | 'constant' | 'key', string | undefined>>): Hex {
  if (named.key !== undefined) return named.key.toLowerCase() as Hex;
  if (named.constant !== undefined) return keyToHex(bytesToKey(twox(Buffer.from(named.constant), 128)));
  return keyToHex(storageKey(named.pallet ?? '', named.item ?? ''));
}
