// The other host functions: allocator, logging, printing, versions of blobs, panics, and the proof size that a chain without proofs has.

import { toHex } from '../../util/bytes.ts';
import { CodedError } from '../../util/errors.ts';
import { NONE, some, vec } from '../scale.ts';
import type { HostContext, HostFunctions } from './context.ts';

/** LevelFilter of Substrate's logger: panics are logged as errors, and warnings of pallets are worth reading. */
const LOG_WARNINGS = 2;
const LEVEL_DEBUG = 3;
/** "Proof recording is disabled." */
const NO_PROOF_SIZE = 0xffff_ffff_ffff_ffffn;

export function miscFunctions(context: HostContext): HostFunctions {
  const { memory } = context;
  return {
    ext_allocator_malloc_version_1: (bytes: number) => memory.allocate(bytes >>> 0),
    ext_allocator_free_version_1: (pointer: number) => {
      memory.free(pointer);
      return undefined;
    },
    ext_logging_max_level_version_1: () => LOG_WARNINGS,
    ext_logging_log_version_1: (level: number, target: bigint, message: bigint) => {
      const text = memory.text(message);
      if (text.includes('panicked at')) context.panic(text);
      context.log(level, memory.text(target), text);
      return undefined;
    },
    ext_misc_print_utf8_version_1: (text: bigint) => {
      context.log(LEVEL_DEBUG, 'print', memory.text(text));
      return undefined;
    },
    ext_misc_print_hex_version_1: (bytes: bigint) => {
      context.log(LEVEL_DEBUG, 'print', toHex(memory.span(bytes)));
      return undefined;
    },
    ext_misc_runtime_version_version_1: (code: bigint) => {
      const version = context.versionOf(memory.copy(code));
      return memory.placeSpan(version === undefined ? NONE : some(vec(version)));
    },
    ext_panic_handler_abort_on_panic_version_1: (message: bigint) => {
      const text = memory.text(message);
      context.panic(text);
      throw new RuntimeAbort(text);
    },
    ext_storage_proof_size_storage_proof_size_version_1: () => NO_PROOF_SIZE,
  };
}

class RuntimeAbort extends CodedError<{ code: 'RUNTIME_ABORTED' }> {
  constructor(text: string) {
    super({ code: 'RUNTIME_ABORTED' }, text);
  }
}
