// Runs functions of a Substrate runtime (a wasm blob) in V8. Each call gets a fresh instance, so nothing survives it but the state it changed.
// A trap rolls the state back to where the call began and becomes an error with the panic's text. A runtime is trusted to come to an end.

import { zstdDecompressSync } from 'node:zlib';
import { CodedError, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import type { HostContext, HostFunctions } from './host/context.ts';
import { cryptoFunctions } from './host/crypto.ts';
import { hashingFunctions } from './host/hashing.ts';
import { createGuestMemory } from './host/memory.ts';
import { miscFunctions } from './host/misc.ts';
import { storageFunctions } from './host/storage.ts';
import { createState, type State } from './state.ts';
import { type WasmInstance, type WasmMemory, type WasmModule, wasm } from './wasm.ts';
import { memoryMinimum } from './wasm-memory.ts';

export class RuntimeError extends CodedError<
  | { code: 'RUNTIME_UNUSABLE' }
  | { code: 'RUNTIME_FUNCTION_MISSING'; method: string }
  | { code: 'RUNTIME_TRAPPED'; method: string; panic: string }
> {}

export interface Executor {
  /** Calls an exported function with SCALE arguments; answers its SCALE result. Throws RuntimeError. */
  call(state: State, method: string, args?: Uint8Array): Uint8Array;
  has(method: string): boolean;
  /** Functions the blob imports that this host does not have: calling one traps. */
  readonly missingHostFunctions: readonly string[];
}

const ZSTD_MAGIC = Buffer.from('52bc537646db8e05', 'hex');
/** As in Substrate: a blob that unpacks to more is refused. */
const CODE_LIMIT = 50 * 2 ** 20;
/** Pages beyond the blob's own minimum at the start of a call: most calls never grow. */
const EXTRA_PAGES = 16;
/** A memory that grew beyond this is not kept for the next call: wiping it would cost more than a new one. */
const KEPT_MEMORY_BYTES = 8 * 2 ** 20;
const NO_ARGS = new Uint8Array();

/** @param code a blob, plain or zstd-compressed as in a chain spec; throws RuntimeError `RUNTIME_UNUSABLE` */
export function createExecutor(code: Uint8Array, deps: { readonly log: Log }): Executor {
  const blob = decompressCode(code);
  const module = compile(blob);
  const pages = memoryMinimum(blob) + EXTRA_PAGES;
  const exported = new Set(wasm.Module.exports(module).map(({ name }) => name));
  const imported = wasm.Module.imports(module).filter(
    ({ kind, module: from }) => kind === 'function' && from === 'env',
  );
  const known = new Set(Object.keys(hostFunctions(probeContext)));
  const missing = imported.map(({ name }) => name).filter((name) => !known.has(name));
  let spare: WasmMemory | undefined;

  function takeMemory(): WasmMemory {
    const memory = spare;
    spare = undefined;
    if (memory === undefined) return new wasm.Memory({ initial: pages });
    new Uint8Array(memory.buffer).fill(0);
    return memory;
  }

  function giveBack(memory: WasmMemory): void {
    if (memory.buffer.byteLength <= KEPT_MEMORY_BYTES) spare = memory;
  }

  function call(state: State, method: string, args: Uint8Array = NO_ARGS): Uint8Array {
    if (!exported.has(method)) {
      throw new RuntimeError({ code: 'RUNTIME_FUNCTION_MISSING', method }, `the runtime has no function ${method}`);
    }
    const memory = takeMemory();
    const depth = state.depth();
    let panic = '';
    state.begin();
    try {
      const result = run(module, memory, missing, state, method, args, {
        floor: depth + 1,
        log: (level, target, text) => logRuntime(deps.log, level, target, text),
        panic: (text) => {
          panic = text;
        },
        versionOf: (other) => versionOf(other, deps),
      });
      if (state.depth() !== depth + 1) throw new RangeError('storage transactions left open');
      state.commit();
      return result;
    } catch (error) {
      while (state.depth() > depth) state.rollback();
      const text = panic === '' ? errorMessage(error) : panic;
      throw new RuntimeError({ code: 'RUNTIME_TRAPPED', method, panic: text }, `${method} trapped: ${text}`, {
        cause: error,
      });
    } finally {
      giveBack(memory);
    }
  }

  return { call, has: (method) => exported.has(method), missingHostFunctions: missing };
}

/** The wasm inside a spec's `:code`. */
export function decompressCode(code: Uint8Array): Uint8Array {
  if (!ZSTD_MAGIC.equals(code.subarray(0, ZSTD_MAGIC.length))) return code;
  try {
    return new Uint8Array(zstdDecompressSync(code.subarray(ZSTD_MAGIC.length), { maxOutputLength: CODE_LIMIT }));
  } catch (error) {
    throw new RuntimeError(
      { code: 'RUNTIME_UNUSABLE' },
      `the runtime blob does not decompress: ${errorMessage(error)}`,
      { cause: error },
    );
  }
}

function compile(blob: Uint8Array): WasmModule {
  try {
    return new wasm.Module(blob);
  } catch (error) {
    throw new RuntimeError({ code: 'RUNTIME_UNUSABLE' }, `the runtime blob does not compile: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

function run(
  module: WasmModule,
  wasmMemory: WasmMemory,
  missing: readonly string[],
  state: State,
  method: string,
  args: Uint8Array,
  hooks: Omit<HostContext, 'memory' | 'state'>,
): Uint8Array {
  const memory = createGuestMemory(wasmMemory);
  const functions = hostFunctions({ memory, state, ...hooks });
  const instance = new wasm.Instance(module, { env: { ...refusals(missing), ...functions, memory: wasmMemory } });
  memory.startHeap(heapBase(instance));
  const target = instance.exports[method] as (pointer: number, length: number) => bigint;
  return memory.copy(target(memory.place(args), args.length));
}

function hostFunctions(context: HostContext): HostFunctions {
  return {
    ...storageFunctions(context),
    ...hashingFunctions(context),
    ...cryptoFunctions(context),
    ...miscFunctions(context),
  };
}

/** Only used to list the names of the host functions. */
const probeContext: HostContext = {
  memory: createGuestMemory({ buffer: new ArrayBuffer(0), grow: () => 0 }),
  state: createState(undefined),
  floor: 0,
  log: () => undefined,
  panic: () => undefined,
  versionOf: () => undefined,
};

function refusals(names: readonly string[]): HostFunctions {
  return Object.fromEntries(
    names.map((name) => [
      name,
      () => {
        throw new RangeError(`host function not available: ${name}`);
      },
    ]),
  );
}

function heapBase(instance: WasmInstance): number {
  const base = instance.exports.__heap_base as { readonly value: number } | undefined;
  if (base === undefined) throw new RangeError('the runtime does not export __heap_base');
  return base.value;
}

function versionOf(code: Uint8Array, deps: { readonly log: Log }): Uint8Array | undefined {
  try {
    return createExecutor(code, deps).call(createState(undefined), 'Core_version');
  } catch {
    return undefined;
  }
}

function logRuntime(log: Log, level: number, target: string, text: string): void {
  const facts = { target, text };
  if (level <= 1) log.warn('runtime says', facts);
  else log.debug('runtime says', facts);
}
