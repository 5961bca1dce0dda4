import assert from 'node:assert/strict';
import { Keyring } from '@polkadot/keyring';
import {
  cryptoWaitReady,
  ed25519PairFromSeed,
  ed25519Sign,
  secp256k1PairFromSeed,
  secp256k1Sign,
  sr25519PairFromSeed,
  sr25519Sign,
} from '@polkadot/util-crypto';
import { keccak } from '../../../../src/devchain/hashing.ts';
import type { HostContext, HostFunctions } from '../../../../src/devchain/host/context.ts';
import { cryptoFunctions } from '../../../../src/devchain/host/crypto.ts';
import { hashingFunctions } from '../../../../src/devchain/host/hashing.ts';
import { createGuestMemory } from '../../../../src/devchain/host/memory.ts';
import { miscFunctions } from '../../../../src/devchain/host/misc.ts';
import { storageFunctions } from '../../../../src/devchain/host/storage.ts';
import { vec } from '../../../../src/devchain/scale.ts';
import { createState } from '../../../../src/devchain/state.ts';
import { wasm } from '../../../../src/devchain/wasm.ts';
import { concatBytes, fromHex, toHex, u32le, utf8 } from '../../../../src/util/bytes.ts';

interface Bench {
  readonly context: HostContext;
  readonly lines: string[];
  /** Calls a function whose arguments and result are spans. */
  span(name: string, ...args: (Uint8Array | string | number)[]): string;
  /** Calls a function whose result is a pointer to `length` bytes. */
  pointed(name: string, length: number, ...args: (Uint8Array | string)[]): string;
  number(name: string, ...args: (bigint | number)[]): unknown;
}

function createBench(): Bench {
  const memory = createGuestMemory(new wasm.Memory({ initial: 2 }));
  memory.startHeap(1024);
  const lines: string[] = [];
  const context: HostContext = {
    memory,
    state: createState(undefined),
    floor: 0,
    log: (level, target, text) => void lines.push(`${level} ${target} ${text}`),
    panic: (text) => void lines.push(`panic ${text}`),
    versionOf: (code) => (code.length > 0 ? Uint8Array.of(1, 2) : undefined),
  };
  const functions: HostFunctions = {
    ...storageFunctions(context),
    ...hashingFunctions(context),
    ...cryptoFunctions(context),
    ...miscFunctions(context),
  };
  const number = (name: string, ...args: (bigint | number)[]) =>
    (functions[name] as (...args: (bigint | number)[]) => unknown)(...args);
  const spanOf = (value: Uint8Array | string | number) =>
    typeof value === 'number' ? value : memory.placeSpan(typeof value === 'string' ? utf8(value) : value);
  return {
    context,
    lines,
    number,
    span: (name, ...args) => {
      const result = number(name, ...args.map(spanOf));
      return result === undefined ? '' : toHex(memory.span(result as bigint));
    },
    pointed: (name, length, ...args) => toHex(memory.view(number(name, ...args.map(spanOf)) as number, length)),
  };
}

describe('devchain/host', () => {
  before(async () => {
    await cryptoWaitReady();
  });

  it('stores, reads, lists and deletes', () => {
    const bench = createBench();
    bench.span('ext_storage_set_version_1', 'ab', '12345');
    bench.span('ext_storage_set_version_1', 'ac', '');
    assert.equal(bench.span('ext_storage_get_version_1', 'ab'), `0114${toHex(utf8('12345'))}`);
    assert.equal(bench.span('ext_storage_get_version_1', 'ac'), '0100');
    assert.equal(bench.span('ext_storage_get_version_1', 'a'), '00');
    assert.equal(bench.span('ext_storage_next_key_version_1', 'ab'), `0108${toHex(utf8('ac'))}`);
    assert.equal(bench.span('ext_storage_next_key_version_1', 'ac'), '00');
    const key = bench.context.memory.placeSpan(utf8('ac'));
    assert.equal(bench.number('ext_storage_exists_version_1', key), 1);
    bench.number('ext_storage_clear_version_1', key);
    assert.equal(bench.number('ext_storage_exists_version_1', key), 0);
  });

  it('reads a part of a value into the guest and tells what is left', () => {
    const bench = createBench();
    const { memory } = bench.context;
    bench.span('ext_storage_set_version_1', 'k', 'abcdef');
    const read = (bytes: number, offset: number) => {
      const target = memory.placeSpan(new Uint8Array(bytes));
      const result = bench.number('ext_storage_read_version_1', memory.placeSpan(utf8('k')), target, offset) as bigint;
      return [toHex(memory.span(result)), memory.text(target)];
    };
    assert.deepEqual(read(2, 1), ['0105000000', 'bc']);
    assert.deepEqual(read(4, 4), ['0102000000', 'ef\0\0']);
    assert.deepEqual(read(1, 99), ['0100000000', '\0']);
    assert.equal(bench.span('ext_storage_read_version_1', 'none', 'x', 0), '00');
  });

  it('appends to lists, across the borders of the compact length, and replaces what is no list', () => {
    const bench = createBench();
    for (let count = 1; count <= 70; count++) {
      bench.span('ext_storage_append_version_1', 'list', Uint8Array.of(count));
      const prefix = count < 64 ? Uint8Array.of(count << 2) : Uint8Array.of(((count << 2) | 1) & 255, count >> 6);
      assert.deepEqual(
        bench.context.state.get('list'),
        concatBytes(
          prefix,
          Uint8Array.from({ length: count }, (_, index) => index + 1),
        ),
      );
    }
    bench.span('ext_storage_set_version_1', 'bad', Uint8Array.of(3));
    bench.span('ext_storage_append_version_1', 'bad', Uint8Array.of(9));
    assert.deepEqual(bench.context.state.get('bad'), Uint8Array.of(4, 9));
  });

  it('clears a prefix up to a limit', () => {
    const bench = createBench();
    for (const key of ['p1', 'p2', 'p3', 'q']) bench.span('ext_storage_set_version_1', key, 'x');
    assert.equal(
      bench.span('ext_storage_clear_prefix_version_2', 'p', concatBytes(Uint8Array.of(1), u32le(2))),
      '0102000000',
    );
    assert.equal(bench.span('ext_storage_clear_prefix_version_2', 'p', Uint8Array.of(0)), '0001000000');
    assert.equal(bench.context.state.nextKey(''), 'q');
  });

  it('hashes as published', () => {
    const bench = createBench();
    const hash = (name: string, bytes: number, text: string) =>
      bench.pointed(`ext_hashing_${name}_version_1`, bytes, text);
    assert.equal(hash('twox_128', 16, 'System'), '26aa394eea5630e07c48ae0c9558cef7');
    assert.equal(hash('twox_64', 8, 'abc'), '990977adf52cbc44');
    assert.equal(hash('twox_256', 32, 'abc').slice(0, 16), '990977adf52cbc44');
    assert.equal(hash('blake2_128', 16, ''), 'cae66941d9efbd404e4d88758ea67670');
    assert.equal(hash('blake2_256', 32, 'abc'), 'bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319');
    assert.equal(hash('keccak_256', 32, ''), 'c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470');
    assert.equal(hash('keccak_512', 64, '').slice(0, 32), '0eab42de4c3ceb9235fc91acffe746b2');
    assert.equal(hash('sha2_256', 32, ''), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });

  it('computes the root of a list', () => {
    const bench = createBench();
    const { memory } = bench.context;
    const root = (list: Uint8Array) =>
      toHex(
        memory.view(
          bench.number('ext_trie_blake2_256_ordered_root_version_2', memory.placeSpan(list), 1) as number,
          32,
        ),
      );
    assert.equal(root(Uint8Array.of(0)), '03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314');
    assert.notEqual(
      root(concatBytes(Uint8Array.of(4), vec(utf8('a')))),
      root(concatBytes(Uint8Array.of(4), vec(utf8('b')))),
    );
  });

  it('recovers the key of an Ethereum-style signature, and tells what is wrong with others', () => {
    const bench = createBench();
    const { memory } = bench.context;
    const pair = secp256k1PairFromSeed(new Uint8Array(32).fill(3));
    const message = keccak(utf8('hello'), 256);
    const signature = secp256k1Sign(message, pair, 'blake2');
    const hash = secp256k1Sign(utf8('hello'), pair, 'keccak');
    assert.notDeepEqual(signature, hash);
    const recover = (bytes: Uint8Array, form = '') =>
      toHex(
        memory.span(
          bench.number(
            `ext_crypto_secp256k1_ecdsa_recover${form}_version_2`,
            memory.place(bytes),
            memory.place(message),
          ) as bigint,
        ),
      );
    const expanded = recover(hash);
    assert.equal(expanded.slice(0, 2), '00');
    const address = keccak(fromHex(expanded.slice(2)), 256).slice(-20);
    const known = new Keyring({ type: 'ethereum' }).addFromSeed(new Uint8Array(32).fill(3));
    assert.equal(toHex(address), known.address.slice(2).toLowerCase());
    assert.equal(recover(hash, '_compressed'), `00${toHex(pair.publicKey)}`);
    assert.equal(recover(hash.with(64, (hash[64] as number) + 27)), expanded);
    assert.equal(recover(hash.with(64, 4)), '0101');
    assert.equal(recover(new Uint8Array(65).fill(0xff).with(64, 0)), '0100');
    assert.equal(recover(new Uint8Array(65)), '0102');
  });

  it('verifies sr25519 and ed25519, and says no to the rest', () => {
    const bench = createBench();
    const { memory } = bench.context;
    const seed = new Uint8Array(32).fill(1);
    const [sr, ed] = [sr25519PairFromSeed(seed), ed25519PairFromSeed(seed)];
    const verify = (name: string, signature: Uint8Array, text: string, key: Uint8Array) =>
      bench.number(`ext_crypto_${name}`, memory.place(signature), memory.placeSpan(utf8(text)), memory.place(key));
    for (const [name, signature, key] of [
      ['sr25519_verify_version_2', sr25519Sign(utf8('m'), sr), sr.publicKey],
      ['ed25519_verify_version_1', ed25519Sign(utf8('m'), ed), ed.publicKey],
    ] as const) {
      assert.equal(verify(name, signature, 'm', key), 1);
      assert.equal(verify(name, signature, 'n', key), 0);
      assert.equal(verify(name, new Uint8Array(64).fill(0xff), 'm', key), 0);
      assert.equal(verify(name, signature, 'm', new Uint8Array(32).fill(0xff)), 0);
    }
  });

  it('logs, prints, and passes a panic on', () => {
    const bench = createBench();
    const { memory } = bench.context;
    bench.number('ext_logging_log_version_1', 1, memory.placeSpan(utf8('pallet')), memory.placeSpan(utf8('look')));
    bench.span('ext_misc_print_utf8_version_1', 'hi');
    bench.span('ext_misc_print_hex_version_1', Uint8Array.of(1, 255));
    assert.throws(() => bench.span('ext_panic_handler_abort_on_panic_version_1', 'boom'), { code: 'RUNTIME_ABORTED' });
    assert.deepEqual(bench.lines, ['1 pallet look', '3 print hi', '3 print 01ff', 'panic boom']);
  });

  it('tells the version inside a blob, or none', () => {
    const bench = createBench();
    assert.equal(bench.span('ext_misc_runtime_version_version_1', 'blob'), '01080102');
    assert.equal(bench.span('ext_misc_runtime_version_version_1', ''), '00');
  });
});
