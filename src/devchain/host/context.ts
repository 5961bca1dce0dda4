// What a host function works with during one call into a runtime.

import type { State } from '../state.ts';
import type { GuestMemory } from './memory.ts';

export interface HostContext {
  readonly memory: GuestMemory;
  readonly state: State;
  /** Storage transactions that the host opened: the runtime can close only those above. */
  readonly floor: number;
  /** A log line of the runtime; `level` is Substrate's: 0 error, 1 warn, 2 info, 3 debug, 4 trace. */
  log(level: number, target: string, text: string): void;
  /** Remembers the text of a panic; the trap that follows carries it. */
  panic(text: string): void;
  /** SCALE of the RuntimeVersion inside a wasm blob, or undefined when it has none. */
  versionOf(code: Uint8Array): Uint8Array | undefined;
}

/** Functions of the wasm module `env`. An i32 is a number, an i64 a bigint; spans are i64. */
export type HostFunctions = Readonly<Record<string, (...args: never[]) => number | bigint | undefined>>;
