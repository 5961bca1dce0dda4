// A runtime as the chain uses it: the executor of the code that a state contains, and its version. Compiled once per code.

import { CodedError } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { createExecutor, type Executor } from './executor.ts';
import { type Hex, hex } from './hex.ts';
import { createReader } from './scale.ts';
import { createState } from './state.ts';
import { type Trie, trieGet } from './trie.ts';

export interface RuntimeVersion {
  readonly specName: string;
  readonly implName: string;
  readonly authoringVersion: number;
  readonly specVersion: number;
  readonly implVersion: number;
  /** Runtime APIs: 8-byte id and version. */
  readonly apis: readonly (readonly [Hex, number])[];
  readonly transactionVersion: number;
  readonly stateVersion: 0 | 1;
}

export interface Runtime extends Executor {
  readonly version: RuntimeVersion;
}

class NoRuntimeError extends CodedError<{ code: 'RUNTIME_MISSING' }> {
  constructor() {
    super({ code: 'RUNTIME_MISSING' }, 'the state has no runtime code under the key :code');
  }
}

export const CODE_KEY = ':code';

/** The runtime inside a state. The same code object gives the same runtime. */
export type RuntimeOf = (trie: Trie) => Runtime;

export function createRuntimes(deps: { readonly log: Log }): RuntimeOf {
  const known = new WeakMap<Uint8Array, Runtime>();
  return (trie) => {
    const code = trieGet(trie, CODE_KEY);
    if (code === undefined) throw new NoRuntimeError();
    const runtime = known.get(code) ?? createRuntime(code, deps);
    known.set(code, runtime);
    return runtime;
  };
}

function createRuntime(code: Uint8Array, deps: { readonly log: Log }): Runtime {
  const executor = createExecutor(code, deps);
  return { ...executor, version: decodeVersion(executor.call(createState(undefined), 'Core_version')) };
}

/** sp_version::RuntimeVersion; the last two fields came later and are 1 and 0 where they are missing. */
function decodeVersion(bytes: Uint8Array): RuntimeVersion {
  const reader = createReader(bytes);
  return {
    specName: reader.text(),
    implName: reader.text(),
    authoringVersion: reader.u32(),
    specVersion: reader.u32(),
    implVersion: reader.u32(),
    apis: Array.from({ length: reader.compact() }, () => [hex(reader.bytes(8)), reader.u32()] as const),
    transactionVersion: reader.left() >= 4 ? reader.u32() : 1,
    stateVersion: reader.left() >= 1 && reader.u8() === 0 ? 0 : 1,
  };
}
