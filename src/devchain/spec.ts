// Raw chain specs: reading one, its genesis state, and rewriting its genesis by the runtime's own GenesisBuilder or by single values.

import { readFileSync } from 'node:fs';
import { fromHex, u64le } from '../util/bytes.ts';
import { CodedError, errorMessage } from '../util/errors.ts';
import { storageKey } from './hashing.ts';
import { type Hex, hexToKey, keyToHex } from './hex.ts';
import { type Trie, trieSet } from './trie.ts';

/** The fields of a raw chain spec that a chain needs. */
export interface RawSpec {
  readonly name: string;
  readonly id: string;
  readonly chainType?: string;
  readonly properties?: Readonly<Record<string, unknown>> | null;
  readonly genesis: { readonly raw: { readonly top: Readonly<Record<Hex, Hex>> } };
}

class SpecError extends CodedError<{ code: 'DEVCHAIN_SPEC_INVALID'; file: string }> {}

/** Reads a raw spec from a file; throws SpecError when it is none. */
export function readSpec(file: string): RawSpec {
  try {
    return checkSpec(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new SpecError(
      { code: 'DEVCHAIN_SPEC_INVALID', file },
      `${file} is not a raw chain spec: ${errorMessage(error)}`,
      { cause: error },
    );
  }
}

function checkSpec(value: unknown): RawSpec {
  const spec = value as Partial<RawSpec> | null;
  if (typeof spec?.name !== 'string' || typeof spec.id !== 'string') throw new TypeError('name or id is missing');
  const top: unknown = spec.genesis?.raw?.top;
  if (typeof top !== 'object' || top === null) throw new TypeError('genesis.raw.top is missing');
  if (!('0x3a636f6465' in top)) throw new TypeError('it contains no runtime (:code)');
  return spec as RawSpec;
}

/** The state that a spec begins with; throws SpecError for keys or values that are not hex. */
export function genesisState(spec: RawSpec): Trie {
  let trie: Trie;
  for (const [key, value] of Object.entries(spec.genesis.raw.top)) {
    try {
      trie = trieSet(trie, hexToKey(key), fromHex(value));
    } catch (error) {
      throw new SpecError(
        { code: 'DEVCHAIN_SPEC_INVALID', file: spec.id },
        `the spec ${spec.id} has a bad genesis entry ${key}`,
        { cause: error },
      );
    }
  }
  return trie;
}

/** The spec with other raw genesis values; keys stay sorted. */
export function withRawValues(spec: RawSpec, values: Readonly<Record<Hex, Hex>>): RawSpec {
  const top = Object.entries({ ...spec.genesis.raw.top, ...values }).sort(([a], [b]) => (a < b ? -1 : 1));
  return { ...spec, genesis: { raw: { ...spec.genesis.raw, top: Object.fromEntries(top) } } };
}

/** The spec whose clock starts at `timeMs` (milliseconds since 1970). */
export function withGenesisTime(spec: RawSpec, timeMs: number): RawSpec {
  return withRawValues(spec, {
    [keyToHex(storageKey('Timestamp', 'Now'))]: `0x${Buffer.from(u64le(BigInt(timeMs))).toString('hex')}`,
  });
}
