import assert from 'node:assert/strict';
import { zstdCompressSync } from 'node:zlib';
import { createExecutor, decompressCode, type RuntimeError } from '../../../src/devchain/executor.ts';
import { createState } from '../../../src/devchain/state.ts';
import { memoryMinimum } from '../../../src/devchain/wasm-memory.ts';
import { concatBytes, fromHex, utf8 } from '../../../src/util/bytes.ts';
import { silentLog } from '../../../src/util/log.ts';
import { ARGS_SPAN, buildWasm, call, DROP, i32, i64, UNREACHABLE } from './wasm-builder.ts';

const BLOB = buildWasm({
  imports: [
    { name: 'ext_storage_set_version_1', params: ['i64', 'i64'] },
    { name: 'ext_panic_handler_abort_on_panic_version_1', params: ['i64'] },
    { name: 'ext_storage_start_transaction_version_1', params: [] },
    { name: 'ext_storage_commit_transaction_version_1', params: [] },
    { name: 'ext_allocator_malloc_version_1', params: ['i32'], result: 'i32' },
    { name: 'ext_allocator_free_version_1', params: ['i32'] },
    { name: 'ext_offchain_is_validator_version_1', params: [], result: 'i32' },
    { name: 'ext_storage_get_version_1', params: ['i64'], result: 'i64' },
  ],
  functions: {
    echo: ARGS_SPAN,
    set: [...ARGS_SPAN, ...ARGS_SPAN, ...call(0), ...ARGS_SPAN],
    get: [...ARGS_SPAN, ...call(7)],
    set_and_panic: [...ARGS_SPAN, ...ARGS_SPAN, ...call(0), ...ARGS_SPAN, ...call(1), ...ARGS_SPAN],
    set_and_trap: [...call(2), ...ARGS_SPAN, ...ARGS_SPAN, ...call(0), UNREACHABLE],
    leave_open: [...call(2), ...ARGS_SPAN],
    commit_too_much: [...call(3), ...ARGS_SPAN],
    greedy: [...i32(33 * 2 ** 20), ...call(4), DROP, ...ARGS_SPAN],
    free_nothing: [...i32(40), ...call(5), ...ARGS_SPAN],
    uses_missing: [...call(6), DROP, ...ARGS_SPAN],
    points_outside: i64(2 ** 30),
    long_result: [...i64(-1)],
    dirty: [...i32(4096), ...i32(77), 0x36, 2, 0, ...ARGS_SPAN],
    dirt: [...i32(4096), 0x28, 2, 0, 0xac, 0x42, 32, 0x86],
  },
  pages: 3,
});

const executor = createExecutor(BLOB, { log: silentLog });

function failure(
  method: string,
  args = utf8('key'),
): { readonly error: RuntimeError; readonly keys: string | undefined } {
  const state = createState(undefined);
  state.set('before', Uint8Array.of(1));
  state.begin();
  let error: unknown;
  try {
    executor.call(state, method, args);
  } catch (thrown) {
    error = thrown;
  }
  assert.equal(state.depth(), 1, 'transactions of the call are closed');
  assert.deepEqual(state.get('before'), Uint8Array.of(1));
  assert.equal(state.get('key'), undefined, 'changes of the call are gone');
  assert.ok(error instanceof Error && 'facts' in error);
  return { error: error as RuntimeError, keys: state.nextKey('') };
}

describe('devchain/executor', () => {
  it('passes arguments in and results out', () => {
    const state = createState(undefined);
    const args = new Uint8Array(100_000).fill(9);
    assert.deepEqual(executor.call(state, 'echo', args), args);
    assert.deepEqual(executor.call(state, 'echo'), new Uint8Array());
  });

  it('keeps what a call stored', () => {
    const state = createState(undefined);
    executor.call(state, 'set', utf8('key'));
    assert.deepEqual(state.get('key'), utf8('key'));
    assert.deepEqual(executor.call(state, 'get', utf8('key')), concatBytes(fromHex('010c'), utf8('key')));
    assert.deepEqual(executor.call(state, 'get', utf8('no')), Uint8Array.of(0));
    assert.equal(state.depth(), 0);
  });

  it('rolls back at a panic and tells its text', () => {
    const { error } = failure('set_and_panic');
    assert.equal(error.code, 'RUNTIME_TRAPPED');
    assert.match(error.message, /set_and_panic trapped: key/);
  });

  it('rolls back at a trap inside a transaction of the runtime', () => {
    assert.match(failure('set_and_trap').error.message, /unreachable/);
  });

  it('does not let a runtime leave transactions open, nor close those of the host', () => {
    assert.match(failure('leave_open').error.message, /left open/);
    assert.match(failure('commit_too_much').error.message, /none is open/);
  });

  it('bounds memory and checks pointers', () => {
    assert.match(failure('greedy').error.message, /one block of 34603008 bytes/);
    assert.match(failure('free_nothing').error.message, /not allocated/);
    assert.match(failure('points_outside').error.message, /outside its memory/);
    assert.match(failure('long_result').error.message, /outside its memory/);
  });

  it('names host functions that it does not have, when they are called', () => {
    assert.deepEqual(executor.missingHostFunctions, ['ext_offchain_is_validator_version_1']);
    assert.match(
      failure('uses_missing').error.message,
      /host function not available: ext_offchain_is_validator_version_1/,
    );
  });

  it('gives every call a clean memory', () => {
    const state = createState(undefined);
    executor.call(state, 'dirty');
    assert.equal(executor.call(state, 'dirt').length, 0);
  });

  it('tells which functions there are', () => {
    assert.equal(executor.has('echo'), true);
    assert.equal(executor.has('nothing'), false);
    assert.equal(failure('nothing').error.code, 'RUNTIME_FUNCTION_MISSING');
  });

  it('takes compressed blobs and refuses what is none', () => {
    const packed = concatBytes(fromHex('52bc537646db8e05'), zstdCompressSync(BLOB));
    assert.deepEqual(decompressCode(packed), BLOB);
    assert.deepEqual(
      createExecutor(packed, { log: silentLog }).call(createState(undefined), 'echo', utf8('x')),
      utf8('x'),
    );
    assert.throws(() => createExecutor(packed.subarray(0, 60), { log: silentLog }), { code: 'RUNTIME_UNUSABLE' });
    assert.throws(() => createExecutor(utf8('no wasm'), { log: silentLog }), { code: 'RUNTIME_UNUSABLE' });
  });

  it('reads how much memory a blob asks for', () => {
    assert.equal(memoryMinimum(BLOB), 3);
    assert.equal(memoryMinimum(buildWasm({ imports: [], functions: { f: ARGS_SPAN }, pages: 300 })), 300);
    assert.equal(memoryMinimum(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)), 0);
  });
});
